/** Files on their way in: sent a few at a time, each followed through its stages. */

import { requestId } from "./api.js";
import { EventParser } from "./events.js";
import { Problem, late, parseProblem, unreachable } from "./problem.js";

/** @typedef {import("./api.js").KnownDocument} KnownDocument */

/**
 * @typedef {"waiting" | "sending" | "working" | "taken" | "failed" | "cancelled"} Phase
 *   sending: bytes are leaving; working: they are there and become a document;
 *   taken: what it has become is durable.
 */

/**
 * @typedef {object} Upload
 * @property {string} key Names this upload, also to the server.
 * @property {string} url Where it is sent to.
 * @property {File} file
 * @property {Phase} phase
 * @property {number} fraction Of the bytes that have left, 0 to 1.
 * @property {string} stage The last stage the server told of, in lower case.
 * @property {any} made What it has become: a KnownDocument or an Attachment; null before that.
 * @property {boolean} existing The collection held these bytes already.
 * @property {Problem | null} problem
 */

/** Two at once keep the network and the parser busy; more would only wait for each other. */
const AT_ONCE = 2;
/** Milliseconds without a byte in either direction. */
const SILENCE = 120_000;
const MOST_FILES = 1_000;

/**
 * @param {string} url
 * @param {File} file
 * @returns {Upload}
 */
export const fresh = (url, file) => ({
  key: requestId(),
  url,
  file,
  phase: "waiting",
  fraction: 0,
  stage: "",
  made: null,
  existing: false,
  problem: null,
});

export class Uploads {
  /** @type {Upload[]} */
  #waiting = [];
  /** @type {Map<string, XMLHttpRequest>} */
  #sending = new Map();
  #onChange;

  /** @param {(upload: Upload) => void} onChange Called at every step of every file. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Whether leaving the page would lose something. */
  get busy() {
    return this.#waiting.length + this.#sending.size > 0;
  }

  /**
   * @param {string} url Where they are sent to.
   * @param {File[]} files
   */
  add(url, files) {
    for (const file of files.slice(0, MOST_FILES)) {
      const upload = fresh(url, file);
      this.#waiting.push(upload);
      this.#onChange(upload);
    }
    this.#next();
  }

  /**
   * Sends a failed file again.
   * @param {Upload} upload
   */
  retry(upload) {
    Object.assign(upload, { phase: "waiting", fraction: 0, stage: "", problem: null });
    this.#waiting.push(upload);
    this.#onChange(upload);
    this.#next();
  }

  /** @param {Upload} upload */
  cancel(upload) {
    this.#waiting = this.#waiting.filter((other) => other !== upload);
    const request = this.#sending.get(upload.key);
    this.#sending.delete(upload.key);
    upload.phase = "cancelled";
    request?.abort();
    this.#onChange(upload);
    this.#next();
  }

  #next() {
    while (this.#sending.size < AT_ONCE) {
      const upload = this.#waiting.shift();
      if (!upload) return;
      this.#send(upload);
    }
  }

  /** @param {Upload} upload */
  #send(upload) {
    // XMLHttpRequest, because fetch does not tell how much of a body has left.
    const request = new XMLHttpRequest();
    this.#sending.set(upload.key, request);
    const parser = new EventParser();
    let read = 0;
    let silence = 0;

    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => end(late()), SILENCE);
    };
    /** @param {Problem | null} problem */
    const end = (problem) => {
      clearTimeout(silence);
      if (this.#sending.get(upload.key) !== request) return;
      this.#sending.delete(upload.key);
      upload.phase = problem ? "failed" : "taken";
      upload.problem = problem;
      request.abort();
      this.#onChange(upload);
      this.#next();
    };
    const readStages = () => {
      if (request.status !== 200 || !isEventStream(request)) return;
      const text = request.responseText;
      const events = parser.push(text.slice(read));
      read = text.length;
      for (const event of events) {
        const problem = applyStage(upload, event);
        if (problem) return end(problem);
        if (isDurable(upload.made)) return end(null);
        this.#onChange(upload);
      }
    };

    request.upload.onprogress = (event) => {
      alive();
      upload.fraction = event.total > 0 ? event.loaded / event.total : 0;
      this.#onChange(upload);
    };
    request.upload.onload = () => {
      upload.fraction = 1;
      upload.phase = "working";
      this.#onChange(upload);
    };
    request.onprogress = () => {
      alive();
      readStages();
    };
    request.onload = () => {
      readStages();
      if (request.status < 200 || request.status > 299) {
        end(parseProblem(request.status, request.getResponseHeader("Content-Type") ?? "", request.responseText));
      } else if (!isEventStream(request)) {
        upload.made = JSON.parse(request.responseText);
        end(null);
      } else {
        end(upload.made ? null : unreachable());
      }
    };
    request.onerror = () => end(unreachable());

    const form = new FormData();
    form.append("file", upload.file, upload.file.name);
    request.open("POST", upload.url);
    request.setRequestHeader("Accept", "text/event-stream");
    request.setRequestHeader("Idempotency-Key", upload.key);
    upload.phase = "sending";
    alive();
    request.send(form);
    this.#onChange(upload);
  }
}

/**
 * @param {Upload} upload
 * @param {import("./events.js").ServerEvent} event
 * @returns {Problem | null} What ended it.
 */
function applyStage(upload, { name, data }) {
  if (name === "error") return new Problem(data);
  upload.stage = String(data.stage ?? name).toLowerCase();
  upload.made = data.document ?? upload.made;
  upload.existing = Boolean(data.existing);
  if (upload.made?.state !== "FAILED") return null;
  const { reason = "", message = "" } = upload.made.error ?? {};
  return new Problem({ status: 400, reason, title: "The file was not taken", detail: message });
}

/** @param {KnownDocument | null} document */
function isDurable(document) {
  return document?.state === "EMBEDDING" || document?.state === "READY";
}

/** @param {XMLHttpRequest} request */
function isEventStream(request) {
  return (request.getResponseHeader("Content-Type") ?? "").startsWith("text/event-stream");
}

/**
 * The files of a drop, those in folders too.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
export async function droppedFiles(transfer) {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null);
  if (!entries.some((entry) => entry?.isDirectory)) return Array.from(transfer.files);
  /** @type {File[]} */
  const files = [];
  /** @type {(FileSystemEntry | undefined)[]} */
  const queue = [...entries];
  while (queue.length > 0 && files.length < MOST_FILES) {
    const entry = queue.shift();
    if (entry?.isFile) files.push(await fileOf(/** @type {FileSystemFileEntry} */ (entry)));
    else if (entry?.isDirectory) queue.push(...(await childrenOf(/** @type {FileSystemDirectoryEntry} */ (entry))));
  }
  // Folders carry files that nobody meant to add, such as .DS_Store.
  return files.filter((file) => !file.name.startsWith("."));
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File>}
 */
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

/**
 * @param {FileSystemDirectoryEntry} directory
 * @returns {Promise<FileSystemEntry[]>}
 */
async function childrenOf(directory) {
  const reader = directory.createReader();
  /** @type {FileSystemEntry[]} */
  const children = [];
  for (;;) {
    // A reader gives at most 100 at a time, and none at the end.
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0 || children.length >= MOST_FILES) return children;
    children.push(...some);
  }
}
