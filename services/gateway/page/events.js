/** Server-sent events: read as they arrive, followed across lost connections. */

import { reach } from "./login.js";
import { Problem, failed, unreachable } from "./problem.js";

/** @typedef {{id: string, name: string, data: any}} ServerEvent `data` is parsed JSON. */

const FIRST_PAUSE = 400;
const LONGEST_PAUSE = 5_000;
/** The server sends a heartbeat more often than this; silence means a dead connection. */
const SILENCE = 45_000;
/** How long a lost connection is tried again. */
const PATIENCE = 300_000;

/** Takes text as it comes and gives whole events. https://html.spec.whatwg.org/#event-stream-interpretation */
export class EventParser {
  #rest = "";
  #name = "";
  /** @type {string[]} */
  #data = [];
  #id = "";

  /**
   * @param {string} text
   * @returns {ServerEvent[]}
   */
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line));
  }

  /**
   * @param {string} line
   * @returns {ServerEvent[]}
   */
  #line(line) {
    if (line === "") return this.#dispatch();
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? ["", "", ""];
    if (field === "event") this.#name = value ?? "";
    else if (field === "data") this.#data.push(value ?? "");
    else if (field === "id") this.#id = value ?? "";
    return [];
  }

  /** @returns {ServerEvent[]} */
  #dispatch() {
    const [name, data] = [this.#name || "message", this.#data.join("\n")];
    this.#name = "";
    this.#data = [];
    return data === "" ? [] : [{ id: this.#id, name, data: JSON.parse(data) }];
  }
}

/**
 * Reads a stream of events until it ends or falls silent.
 * @param {Response} response
 * @param {AbortController} connection Aborted when the stream falls silent.
 * @returns {AsyncGenerator<ServerEvent, void, void>}
 */
export async function* readEvents(response, connection) {
  const parser = new EventParser();
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const silence = setTimeout(() => connection.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    yield* parser.push(decoder.decode(value, { stream: true }));
  }
}

/**
 * Follows a recorded stream to its last event. A lost connection is opened
 * again after the last event seen, so nothing is missed or seen twice.
 * @param {string} url
 * @param {object} options
 * @param {(event: ServerEvent) => void} options.onEvent
 * @param {(connected: boolean) => void} options.onConnection
 * @param {(event: ServerEvent) => boolean} options.isLast
 * @param {AbortSignal} options.signal Leaves the stream; the promise then resolves.
 * @throws {Problem} The stream is gone, refused, or was lost for too long.
 */
export async function follow(url, { onEvent, onConnection, isLast, signal }) {
  let seen = "";
  let pause = FIRST_PAUSE;
  let heard = Date.now();
  while (!signal.aborted) {
    const connection = new AbortController();
    const leave = () => connection.abort();
    signal.addEventListener("abort", leave);
    let loss = unreachable();
    try {
      const headers = { Accept: "text/event-stream", ...(seen && { "Last-Event-ID": seen }) };
      const response = await reach(url, { headers, signal: connection.signal, cache: "no-store" });
      if (!response.ok) throw await failed(response);
      if (response.status === 204) return; // The run has ended and nothing comes after what was seen.
      onConnection(true);
      for await (const event of readEvents(response, connection)) {
        if (event.name === "error") throw new Problem(event.data);
        heard = Date.now();
        pause = FIRST_PAUSE;
        if (event.id !== "" && event.id === seen) continue;
        seen = event.id || seen;
        onEvent(event);
        if (isLast(event)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.temporary) loss = error;
      else if (!isConnectionLoss(error)) throw error;
    } finally {
      signal.removeEventListener("abort", leave);
      connection.abort();
    }
    if (Date.now() - heard > PATIENCE) throw loss;
    onConnection(false);
    await sleep(pause, signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/**
 * fetch reports a lost connection as TypeError, our own end of it as AbortError.
 * @param {unknown} error
 */
function isConnectionLoss(error) {
  return error instanceof TypeError || (error instanceof DOMException && error.name === "AbortError");
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
  });
}
