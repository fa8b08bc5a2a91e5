/** How an answer came about, step by step; loaded when somebody unfolds it. */

import { api } from "./api.js";
import { element } from "./dom.js";
import { follow } from "./events.js";
import { count, dollars, duration, number, where } from "./format.js";
import { Problem } from "./problem.js";
import { STATES, after, isLast, newRun, stepName } from "./run.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./api.js").Passage} Passage */

/** @type {Record<string, string>} */
const MARKS = { RUNNING: "running", WAITING: "waiting", SUCCEEDED: "done", FAILED: "bad" };
/** Milliseconds that the events of a run that has ended may take. */
const LOADING = 20_000;

/**
 * A run from its record.
 * @param {string} id
 * @returns {Promise<Run>}
 * @throws {Problem}
 */
export async function recordedRun(id) {
  let run = newRun("");
  const onEvent = (/** @type {import("./events.js").ServerEvent} */ event) => {
    run = after(run, event);
  };
  try {
    await follow(api.eventsUrl(id), { signal: AbortSignal.timeout(LOADING), isLast, onConnection: () => {}, onEvent });
  } catch (error) {
    if (!(error instanceof Problem) || ![404, 410].includes(error.status)) throw error;
    throw new Problem({ ...error, detail: "The steps of this answer are no longer kept." });
  }
  if (run.outcome === "RUNNING") throw new Problem({ status: 504, detail: "The steps did not arrive in time." });
  return run;
}

/**
 * The steps in the order in which they began.
 * @param {Run} run
 * @param {(agent: string) => string} agentName
 * @param {(passages: Passage[], index: number, opener: HTMLElement) => void} onRead
 * @returns {HTMLElement[]}
 */
export function timeline(run, agentName, onRead) {
  /** @type {[string, HTMLElement][]} Behind what it began with. */
  const steps = [];
  if (run.routing) {
    const { agent, confidence, reasons } = run.routing;
    const sure = `${Math.round(confidence * 100)} % sure.`;
    steps.push(["routing", step(`${agentName(agent)} takes it`, [sure, ...reasons].join(" "))]);
  }
  if (run.passages) {
    const documents = new Set(run.passages.map((passage) => passage.document_id)).size;
    const found = `${count(run.passages.length, "passage")} from ${count(documents, "document")}`;
    const item = step(run.passages.length > 0 ? found : "No passage found", "");
    if (run.passages.length > 0) item.append(passageList(run.passages, onRead));
    steps.push(["passages", item]);
  }
  for (const { id, state, attempt, reason } of run.steps) {
    const again = attempt > 1 ? `, try ${attempt}` : "";
    // What a step asks stands below, with the answers to it.
    const why = reason && state !== "WAITING" ? `: ${reason}` : "";
    steps.push([id, step(stepName(id), `${STATES[state] ?? state}${again}${why}`, MARKS[state] ?? "")]);
  }
  for (const use of run.tools) {
    const time = use.seconds === null ? "" : duration(use.seconds * 1000);
    const state = use.succeeded === null ? "running" : use.succeeded ? "" : "bad";
    steps.push([use.id, step(use.tool, [use.summary, time].filter(Boolean).join(", "), state)]);
  }
  steps.sort(([one], [other]) => (run.moments[one] ?? 0) - (run.moments[other] ?? 0));
  if (run.usage && (run.usage.input_tokens > 0 || run.usage.output_tokens > 0)) {
    const { model, input_tokens, output_tokens, cost_usd } = run.usage;
    const tokens = `${number(input_tokens)} tokens read, ${number(output_tokens)} written`;
    const cost = cost_usd == null ? "" : `, ${dollars(cost_usd)}`;
    steps.push(["text", step(model || "Model", tokens + cost)]);
  }
  if (run.moments.ended) steps.push(["ended", step(ENDS[run.outcome] ?? "Ended", "")]);
  return steps.map(([began, item]) => at(item, run.moments[began]));
}

/** @type {Record<string, string>} */
const ENDS = { SUCCEEDED: "Answered", FAILED: "Failed", CANCELLED: "Stopped" };

/**
 * @param {HTMLElement} item
 * @param {number | undefined} moment Milliseconds after the run began.
 */
function at(item, moment) {
  if (moment !== undefined) item.prepend(element("span", { class: "step-time", title: "After the question" }, duration(moment)));
  return item;
}

/**
 * @param {string} name
 * @param {string} detail
 * @param {string} [state] "running", "waiting", "done" or "bad".
 */
function step(name, detail, state) {
  return element(
    "li",
    { class: "step", "data-state": state },
    element("span", { class: "step-name" }, name),
    detail && element("span", { class: "step-detail" }, detail),
  );
}

/**
 * @param {Passage[]} passages
 * @param {(passages: Passage[], index: number, opener: HTMLElement) => void} onRead
 */
function passageList(passages, onRead) {
  const items = passages.map((passage, index) =>
    element(
      "li",
      {},
      element(
        "button",
        {
          type: "button",
          onclick: (/** @type {MouseEvent} */ event) =>
            onRead(passages, index, /** @type {HTMLElement} */ (event.currentTarget)),
        },
        element("span", { class: "passage-title" }, passage.title),
        where(passage) ? element("span", { class: "source-page" }, where(passage)) : "",
        element("span", { class: "passage-text" }, passage.text.trim().slice(0, 120)),
      ),
    ),
  );
  return element("ul", { class: "passages" }, ...items);
}
