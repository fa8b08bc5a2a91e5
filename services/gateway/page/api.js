/** The gateway's HTTP doors that the page uses, and the shapes that pass through them. */

import { reach } from "./login.js";
import { asProblem, failed } from "./problem.js";

/**
 * @typedef {object} Agent
 * @property {string} id "code_repair".
 * @property {string} name For people.
 * @property {string} purpose
 * @property {string[]} [examples] Requests that it is good for.
 * @property {{properties?: Record<string, object>}} [input_schema]
 */

/**
 * @typedef {object} Collection
 * @property {string} id
 * @property {string} [name]
 * @property {number} documents
 * @property {number} chunks
 * @property {number} vectors
 */

/**
 * @typedef {object} KnownDocument
 * @property {string} id
 * @property {string} title
 * @property {string} [filename]
 * @property {string} [media_type]
 * @property {"RECEIVED" | "PARSING" | "EMBEDDING" | "READY" | "FAILED"} state
 * @property {{reason: string, message: string} | null} [error] Why it FAILED.
 * @property {number} bytes Size of the original.
 * @property {number} chunks Passages.
 * @property {number} vectors Passages that have their vector.
 * @property {number | null} [pages]
 * @property {string[]} [warnings] Which text of the original is missing.
 * @property {string} [extraction_sha256]
 * @property {Record<string, any>} [metadata] `url`: where it was fetched from.
 */

/**
 * @typedef {object} Citation A quote that stands in a document.
 * @property {number} number The answer refers to it as "[1]".
 * @property {string} document_id
 * @property {string} collection
 * @property {string} title
 * @property {string} extraction_sha256
 * @property {number} byte_start
 * @property {number} byte_end
 * @property {string} quote
 * @property {number | null} [page] From 1.
 * @property {string | null} [location] Where it stands in the original, for people.
 */

/**
 * @typedef {object} Passage A passage that was retrieved for a run.
 * @property {string} document_id
 * @property {string} collection
 * @property {string} title
 * @property {string} text
 * @property {string} extraction_sha256
 * @property {number} byte_start
 * @property {number} byte_end
 * @property {number | null} [page]
 * @property {string | null} [location]
 * @property {number} score
 */

/**
 * @typedef {object} Attachment A file that was sent.
 * @property {string} id
 * @property {string | null} [run_id] The run that made it.
 * @property {string} filename
 * @property {string} media_type
 * @property {number} bytes
 */

/** @typedef {Omit<Attachment, "id" | "run_id"> & {attachment_id: string}} StoredFile In results. */

/**
 * @typedef {object} Workflow
 * @property {string} id
 * @property {string} title
 * @property {string} [description]
 * @property {import("./graph.js").Step[]} [steps]
 */

/**
 * @typedef {object} RunRequest
 * @property {string} agent
 * @property {string} workflow Asked instead of the agent; empty for none.
 * @property {string} message
 * @property {string[]} collections
 * @property {string} [session_id]
 * @property {object} [inputs]
 */

/**
 * @typedef {object} Answer The result of a run.
 * @property {string} run_id
 * @property {string} agent
 * @property {"GENERATIVE" | "EXTRACTIVE" | "NO_ANSWER" | "TOOLS" | null} answer_mode
 * @property {string} text
 * @property {string | null} [html] The text, rendered; null where it is shown as it stands.
 * @property {Citation[]} citations
 * @property {any} [result] The agent's own, typed by its schema.
 * @property {Usage | null} [usage]
 * @property {Degradation[]} [degraded]
 * @property {boolean} [recorded] It comes from the conversation, without the typed part of its result.
 */

/**
 * @typedef {object} Usage
 * @property {number} input_tokens
 * @property {number} output_tokens
 * @property {string} [model] Empty when none answered.
 * @property {number | null} [duration_seconds]
 * @property {number | null} [cost_usd] Null where the model's price is not known.
 */

/** @typedef {{component: string, reason: string}} Degradation */

/**
 * @typedef {object} Verdict
 * @property {boolean} verified
 * @property {string | null} [fault] Why not.
 */

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {string} [title]
 * @property {number} [messages]
 * @property {string} [updated] RFC 3339.
 * @property {string | null} [expires] RFC 3339.
 */

/**
 * @typedef {object} Message
 * @property {number} sequence
 * @property {string} role
 * @property {string} text
 * @property {string | null} [html]
 * @property {string} [agent]
 * @property {string} [run_id]
 * @property {Record<string, any>} [attributes]
 */

/** Milliseconds for calls that only read or start something. */
const DEADLINE = 15_000;
/** Milliseconds for a document's text and for a delete. */
const LONG_DEADLINE = 60_000;

export const BASE = "/api/v1";

/** @param {string} collection */
export const collectionPath = (collection) => `${BASE}/collections/${encodeURIComponent(collection)}`;

/** @param {string} collection */
export const documentsPath = (collection) => `${collectionPath(collection)}/documents`;

export const ATTACHMENTS = `${BASE}/attachments`;

/** @param {string} attachment */
export const contentUrl = (attachment) => `${ATTACHMENTS}/${encodeURIComponent(attachment)}/content`;

/** @param {string} run */
const runPath = (run) => `${BASE}/runs/${encodeURIComponent(run)}`;

/**
 * Where a run is asked for, and with what.
 * @param {RunRequest} request
 * @returns {[string, object]}
 */
function runDoor({ agent, workflow, ...rest }) {
  return workflow ? [`${BASE}/workflows/runs`, { workflow, ...rest }] : [`${BASE}/runs`, { agent, ...rest }];
}

/** Makes a repeated request answer as the first did. */
export function requestId() {
  // crypto.randomUUID is only there on https and localhost.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * @param {string} method
 * @param {string} url
 * @param {{body?: object, deadline?: number, signal?: AbortSignal, accept?: string, key?: string}} [options]
 * @throws {import("./problem.js").Problem}
 */
async function call(method, url, { body, deadline = DEADLINE, signal, accept, key } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: accept ?? "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const limit = AbortSignal.timeout(deadline);
  try {
    const response = await reach(url, {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: "no-store",
    });
    if (!response.ok) throw await failed(response);
    return response;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw asProblem(error);
  }
}

/** @type {(...args: Parameters<typeof call>) => Promise<any>} */
export const json = async (...args) => (await call(...args)).json();

export const api = {
  /** @returns {Promise<Agent[]>} */
  async agents() {
    return (await json("GET", `${BASE}/agents`)).agents;
  },

  /**
   * Which agents a message fits.
   * @param {string} message
   * @returns {Promise<{agent: string, alternatives: {agent: string}[]}>}
   */
  route: (message) => json("POST", `${BASE}/agents/route`, { body: { message } }),

  /** @returns {Promise<Workflow[]>} None where the server knows no list of them. */
  async workflows() {
    try {
      const { workflows } = await json("GET", `${BASE}/workflows?page_size=1000`);
      return workflows.map((/** @type {any} */ { id, workflow_id, ...rest }) => ({ id: id ?? workflow_id, ...rest }));
    } catch (error) {
      if (asProblem(error).status === 404) return [];
      throw error;
    }
  },

  /** @returns {Promise<Collection[]>} */
  async collections() {
    return (await json("GET", `${BASE}/collections?page_size=1000`)).collections;
  },

  /**
   * @param {string} name 3 to 63 of letters, digits, ".", "_", "-".
   * @param {string} description
   * @returns {Promise<Collection>}
   */
  createCollection(name, description) {
    return json("POST", `${BASE}/collections`, { body: { name, description }, key: requestId() });
  },

  /**
   * A page of documents, newest first.
   * @param {string} collection
   * @param {string} [pageToken]
   * @returns {Promise<{documents: KnownDocument[], next_page_token?: string}>}
   */
  documents(collection, pageToken = "") {
    const query = new URLSearchParams({ page_size: "100", ...(pageToken && { page_token: pageToken }) });
    return json("GET", `${documentsPath(collection)}?${query}`);
  },

  /**
   * Documents that are on their way, newest first; at most 100.
   * @param {string} collection
   * @returns {Promise<KnownDocument[]>}
   */
  async documentsUnderWay(collection) {
    const query = "state=RECEIVED,PARSING,EMBEDDING&page_size=100";
    return (await json("GET", `${documentsPath(collection)}?${query}`)).documents;
  },

  /**
   * @param {string} collection
   * @param {string} id
   * @returns {Promise<KnownDocument>}
   */
  document(collection, id) {
    return json("GET", `${documentsPath(collection)}/${encodeURIComponent(id)}`);
  },

  /**
   * The extracted text, as the bytes that citations count.
   * @param {string} collection
   * @param {string} id
   * @param {AbortSignal} signal
   */
  async documentText(collection, id, signal) {
    const url = `${documentsPath(collection)}/${encodeURIComponent(id)}/text`;
    const response = await call("GET", url, { deadline: LONG_DEADLINE, signal, accept: "text/plain" });
    return new Uint8Array(await response.arrayBuffer());
  },

  /**
   * @param {string} collection
   * @param {string} id
   * @returns {Promise<any>} A receipt: what is left after the delete.
   */
  deleteDocument(collection, id) {
    const url = `${documentsPath(collection)}/${encodeURIComponent(id)}`;
    return json("DELETE", url, { deadline: LONG_DEADLINE });
  },

  /**
   * Whether those very bytes stand at each place.
   * @param {Citation[]} citations
   * @returns {Promise<Verdict[]>} In the same order.
   */
  async verify(citations) {
    const claims = citations.map(({ document_id, extraction_sha256, byte_start, byte_end, quote }) => ({
      document_id,
      extraction_sha256,
      byte_start,
      byte_end,
      quote,
    }));
    return (await json("POST", `${BASE}/citations/verify`, { body: { citations: claims } })).results;
  },

  /**
   * Starts a run that goes on when the page is left.
   * @param {RunRequest} request
   * @param {string} key
   * @returns {Promise<{run_id: string}>}
   */
  startRun(request, key) {
    const [url, body] = runDoor(request);
    return json("POST", url, { body: { ...body, background: true }, key });
  },

  /**
   * A run that lives as long as its connection and is kept nowhere.
   * @param {RunRequest} request
   * @param {AbortSignal} signal Ends the run.
   * @returns {Promise<Response>} Its events.
   */
  async streamRun(request, signal) {
    const [url, body] = runDoor(request);
    const response = await reach(url, {
      method: "POST",
      headers: { Accept: "text/event-stream", "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, stream: true }),
      signal,
    });
    if (!response.ok) throw await failed(response);
    return response;
  },

  /**
   * @param {string} id
   * @returns {Promise<any>} How it stands, and its answer once it has one.
   */
  run: (id) => json("GET", runPath(id)),

  /** @param {string} id */
  eventsUrl: (id) => `${runPath(id)}/events?render=html`,

  /** @param {string} id */
  cancelRun(id) {
    return json("POST", `${runPath(id)}/cancel`, { body: {} });
  },

  /**
   * Answers a step that waits.
   * @param {string} run
   * @param {string} step
   * @param {boolean} approved
   */
  decide(run, step, approved) {
    return json("POST", `${runPath(run)}/steps/${encodeURIComponent(step)}/decision`, { body: { approved } });
  },

  /**
   * @param {string} title
   * @param {string[]} collections
   * @returns {Promise<Session>}
   */
  createSession(title, collections) {
    return json("POST", `${BASE}/sessions`, { body: { title, collections }, key: requestId() });
  },

  /** @returns {Promise<Session[]>} */
  async sessions() {
    return (await json("GET", `${BASE}/sessions?page_size=20`)).sessions;
  },

  /**
   * The last messages, in order.
   * @param {string} id
   * @returns {Promise<Message[]>}
   */
  async messages(id) {
    const url = `${BASE}/sessions/${encodeURIComponent(id)}/messages?newest=true&page_size=200&render=html`;
    return (await json("GET", url)).messages;
  },

  /** @param {string} id */
  async deleteAttachment(id) {
    await call("DELETE", `${ATTACHMENTS}/${encodeURIComponent(id)}`);
  },

  /**
   * The latest files of a conversation; those that were made in it say by which run.
   * @param {string} session
   * @returns {Promise<Attachment[]>}
   */
  async files(session) {
    const query = new URLSearchParams({ session_id: session, page_size: "200" });
    return (await json("GET", `${ATTACHMENTS}?${query}`)).attachments;
  },
};
