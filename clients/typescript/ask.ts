// Asks one question and prints the answer with its citations.
//
//   node build/ask.js "How deep is the harbour?" notes
//
// MELD_AGENTS_ADDRESS says where the agents service is, MELD_TOKEN who asks.

import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AgentService, RunOutcome } from "./gen/meldrag/agents/v1/agents_pb.js";

const [message, ...collectionIds] = process.argv.slice(2);
if (message === undefined) {
  console.error("usage: ask QUESTION [COLLECTION...]");
  process.exit(2);
}

const identity: Interceptor = (next) => (request) => {
  const token = process.env.MELD_TOKEN;
  if (token) request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const transport = createGrpcTransport({
  baseUrl: `http://${process.env.MELD_AGENTS_ADDRESS ?? "127.0.0.1:50051"}`,
  interceptors: [identity],
});
const agents = createClient(AgentService, transport);

try {
  const events = agents.runAgent({ agentId: "auto", message, collectionIds }, { timeoutMs: 120_000 });
  for await (const { event } of events) {
    // What was written so far may be taken back (text.reset); the text that stands is the result's.
    if (event.case !== "ended") continue;
    const { outcome, result, error } = event.value;
    if (outcome !== RunOutcome.SUCCEEDED || result === undefined) {
      console.error(`no answer: ${error?.message} (${error?.reason})`);
      process.exitCode = 1;
      break;
    }
    console.log(result.text);
    for (const { number, title, byteStart, byteEnd, quote } of result.citations) {
      console.log(`[${number}] ${title}, bytes ${byteStart}-${byteEnd}: “${quote}”`);
    }
  }
} catch (error) {
  const refused = ConnectError.from(error);
  console.error(`${Code[refused.code]}: ${refused.rawMessage}`);
  process.exitCode = 1;
}
