/** What is done to a document when somebody asks for it: it is deleted, or read again from its file. */

import { api, documentsPath, json, requestId } from "../api.js";
import { count, number } from "../format.js";
import { asProblem } from "../problem.js";

/**
 * @typedef {import("../api.js").KnownDocument & {
 *   has_original?: boolean,
 *   reprocessing?: boolean,
 *   reprocess_error?: {reason: string, message: string} | null,
 * }} KnownDocument has_original: its file is kept. reprocessing: that is being read again, and until then it is
 *   what it was. reprocess_error: why that came to nothing.
 */

/** @typedef {{item: HTMLLIElement, document: any}} Row Of a KnownDocument, which says its collection: another one may
 *   be open by the time that it is asked for once more. */

/**
 * @typedef {object} List What the list of documents lets be done to it.
 * @property {HTMLElement} note
 * @property {(document: KnownDocument) => void} put Draws a document that it has anew.
 * @property {(id: string) => void} remove Takes a row away.
 * @property {(id: string) => void} forget What was known of the text of a document holds no more.
 * @property {() => void} keep Ends the question whether the document shall go.
 * @property {(text: string) => void} inform
 */

/** Milliseconds; the gateway ends the waiting before, and never the reading. */
const READING = 150_000;

/**
 * @param {Row} row
 * @param {List} list
 */
export async function remove({ item, document }, list) {
  item.classList.add("leaving");
  try {
    const receipt = await api.deleteDocument(document.collection, document.id);
    const next = /** @type {HTMLElement | null} */ (item.nextElementSibling ?? item.previousElementSibling);
    list.remove(document.id);
    list.forget(document.id);
    list.inform(receiptText(document, receipt));
    // For a view that shows the whole receipt.
    list.note.dispatchEvent(new CustomEvent("receipt", { detail: { id: document.id, title: document.title, receipt } }));
    (next?.querySelector("button") ?? list.note).focus();
  } catch (error) {
    item.classList.remove("leaving");
    list.keep();
    throw error;
  }
}

/**
 * @param {KnownDocument} document
 * @param {any} receipt
 */
function receiptText(document, receipt) {
  const left = Object.values(receipt.left ?? {}).reduce((sum, entries) => sum + Number(entries), 0);
  const rest = left === 0 ? "Nothing of it is left." : `Hidden now; ${number(left)} index entries are still to go.`;
  return `Deleted “${document.title}”. ${rest}`;
}

/**
 * @param {Row} row
 * @param {List} list
 */
export async function reread({ document }, list) {
  const { text, changed } = await read(document.collection, document, list.put);
  if (changed) list.forget(document.id);
  list.inform(text);
}

/**
 * @param {Row} row
 * @param {List} list
 */
export async function stop({ document }, list) {
  list.put(await json("DELETE", readingPath(document.collection, document.id), { key: requestId() }));
}

/**
 * Waits until the new text is there, or is said to take longer.
 * @param {string} collection
 * @param {KnownDocument} document
 * @param {(document: KnownDocument) => void} [seen] Told of it as it is, each time that is known.
 * @returns {Promise<{text: string, changed: boolean}>} What came of it, for people.
 * @throws {import("../problem.js").Problem} The document is what it was.
 */
export async function read(collection, document, seen = () => {}) {
  const { id, title, extraction_sha256, chunks } = document;
  seen({ ...document, reprocessing: true, reprocess_error: null });
  try {
    const after = await json("POST", readingPath(collection, id), { key: requestId(), deadline: READING });
    seen(after);
    const changed = after.extraction_sha256 !== extraction_sha256;
    const same = changed || after.chunks !== chunks ? "" : " Its text is what it was.";
    return { text: `Read “${title}” again: ${count(after.chunks, "passage")}.${same}`, changed };
  } catch (error) {
    seen(await api.document(collection, id).catch(() => document));
    const problem = asProblem(error);
    if (problem.reason === "INGEST_CANCELLED") return { text: `Stopped: “${title}” is what it was.`, changed: false };
    if (!["DEADLINE", "UPSTREAM_DEADLINE"].includes(problem.reason)) throw problem;
    return { text: `Reading “${title}” takes longer, and goes on.`, changed: false };
  }
}

/**
 * @param {string} collection
 * @param {string} id
 */
const readingPath = (collection, id) => `${documentsPath(collection)}/${encodeURIComponent(id)}/reprocess`;
