/**
 * A document beside the answer, opened at a passage. The passage is marked only
 * when its very bytes stand there.
 */

import { api, documentsPath } from "./api.js";
import { ByteText, pieces } from "./bytes.js";
import { byId, element } from "./dom.js";
import { brokenWidth, runs } from "./flow.js";
import { count, size, where } from "./format.js";
import { asProblem } from "./problem.js";
import { showMark, verifyAgain } from "./sources.js";

/** @typedef {import("./api.js").Citation} Citation */
/** @typedef {import("./views/changes.js").KnownDocument} KnownDocument */
/** @typedef {import("./sources.js").Verification} Verification */

/**
 * @typedef {object} Place A place in a document.
 * @property {string} document_id
 * @property {string} collection
 * @property {string} title
 * @property {number} byte_start
 * @property {number} byte_end
 * @property {string} quote What should stand there.
 * @property {number | null} [page]
 * @property {string | null} [location]
 * @property {number} [number] Of the citation.
 */

/**
 * @typedef {object} View What is open.
 * @property {string} collection
 * @property {string} documentId
 * @property {string} title
 * @property {Place[]} places Those that can be gone through, in order.
 * @property {number} current Index of the one shown; -1 for none.
 * @property {Verification | null} verification
 * @property {string} [question] That the places were taken for.
 */

/** @typedef {{text: ByteText, document: KnownDocument}} Opened */

/** Bytes from which the width of its lines is read off. */
const SAMPLE = 100_000;
/** Texts kept, so that going from source to source does not load them again. */
const KEPT_TEXTS = 6;

export class Reader {
  #panel = byId("reader");
  #title = byId("reader-title");
  #facts = byId("reader-facts");
  #notice = byId("reader-notice");
  #why = byId("reader-why");
  #scroll = byId("reader-scroll");
  #text = byId("reader-text");
  #walk = byId("reader-walk");
  #position = byId("reader-position");
  /** @type {Map<string, Promise<Opened>>} By document id; the last used last. */
  #texts = new Map();
  /** @type {View | null} */
  #view = null;
  #drawn = "";
  /** @type {HTMLElement | null} */
  #opener = null;
  #opening = new AbortController();
  #onToggle;

  /** @param {(open: boolean) => void} onToggle */
  constructor(onToggle) {
    this.#onToggle = onToggle;
    byId("reader-close").addEventListener("click", () => this.close());
    byId("reader-before").addEventListener("click", () => this.#step(-1));
    byId("reader-after").addEventListener("click", () => this.#step(1));
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /**
   * @param {View} view
   * @param {HTMLElement} opener Gets the focus back when the reader closes.
   */
  async open(view, opener) {
    this.#opener = opener;
    const wasOpen = this.isOpen;
    this.#panel.hidden = false;
    if (!wasOpen) this.#onToggle(true);
    opener.scrollIntoView({ block: "nearest" }); // The answer has become narrower.
    this.#title.focus({ preventScroll: true });
    await this.#show(view);
  }

  close() {
    if (!this.isOpen) return;
    this.#opening.abort();
    this.#panel.hidden = true;
    this.#markOpener(null);
    this.#onToggle(false);
    if (this.#opener?.isConnected) this.#opener.focus();
  }

  /**
   * Forgets a text, for its document is gone.
   * @param {string} documentId
   */
  forget(documentId) {
    this.#texts.delete(documentId);
    if (this.#view?.documentId === documentId) this.close();
  }

  /** @param {number} by */
  #step(by) {
    const view = this.#view;
    if (!view) return;
    const current = (view.current + by + view.places.length) % view.places.length;
    const place = view.places[current];
    this.#show({
      ...view,
      current,
      collection: place.collection,
      documentId: place.document_id,
      title: place.title,
    });
  }

  /** @param {View} view */
  async #show(view) {
    this.#opening.abort();
    const opening = new AbortController();
    this.#opening = opening;
    this.#view = view;
    const place = view.places[view.current] ?? null;
    this.#drawHead(view, place);
    this.#say(null);
    try {
      const opened = await this.#load(view, opening.signal);
      if (opening.signal.aborted) return;
      this.#drawText(view, place, opened);
    } catch (error) {
      if (opening.signal.aborted) return;
      this.#text.replaceChildren();
      this.#drawn = "";
      const problem = asProblem(error);
      const gone = problem.status === 404;
      if (gone) verifyAgain(view.documentId);
      this.#say(gone ? "This document is no longer there." : problem.sentence, gone ? null : () => this.#show(view));
    } finally {
      if (!opening.signal.aborted) this.#scroll.removeAttribute("aria-busy");
    }
  }

  /**
   * @param {View} view
   * @param {AbortSignal} signal
   */
  #load({ collection, documentId }, signal) {
    let opened = this.#texts.get(documentId);
    if (!opened) {
      this.#scroll.setAttribute("aria-busy", "true");
      this.#text.replaceChildren();
      this.#drawn = "";
      opened = openDocument(collection, documentId, signal);
      opened.catch(() => this.#texts.delete(documentId));
    }
    this.#texts.delete(documentId);
    this.#texts.set(documentId, opened);
    for (const oldest of this.#texts.keys()) {
      if (this.#texts.size <= KEPT_TEXTS) break;
      this.#texts.delete(oldest);
    }
    return opened;
  }

  /**
   * @param {View} view
   * @param {Place | null} place
   */
  #drawHead(view, place) {
    this.#title.textContent = view.title;
    const mark = element("span");
    this.#facts.replaceChildren(
      ...(place?.number ? [element("span", { class: "source-number" }, String(place.number))] : []),
      ...(where(place) ? [element("span", { class: "source-page" }, where(place))] : []),
      mark,
    );
    if (place && view.verification) showMark(mark, view.verification, /** @type {Citation} */ (place));
    this.#why.hidden = true;
    if (place && view.question) this.#facts.append(this.#whyButton(view.question, place));
    this.#walk.hidden = view.places.length < 2;
    this.#position.textContent = `${view.current + 1} of ${view.places.length}`;
    this.#markOpener(place);
  }

  /**
   * @param {string} question
   * @param {Place} place
   */
  #whyButton(question, place) {
    const { signal } = this.#opening;
    const button = element("button", { class: "why", type: "button", "aria-expanded": "false", "aria-controls": "reader-why" }, "Why this passage");
    button.addEventListener("click", async () => {
      const open = this.#why.hidden;
      this.#why.hidden = !open;
      button.setAttribute("aria-expanded", String(open));
      if (!open) return;
      try {
        const { explain } = await import("./why.js");
        await explain(this.#why, question, place, signal);
      } catch (error) {
        this.#why.replaceChildren(element("p", {}, asProblem(error).sentence));
      }
    });
    return button;
  }

  /**
   * @param {View} view
   * @param {Place | null} place
   * @param {Opened} opened
   */
  #drawText(view, place, { text, document }) {
    const marks = view.places
      .filter((other) => other.document_id === view.documentId)
      .filter(({ byte_start, byte_end, quote }) => text.holds(byte_start, byte_end, quote));
    if (place && !marks.includes(place)) {
      this.#say("The passage does not stand in this document any more. It was quoted from an earlier version.");
    }
    if (!place && text.length === 0) this.#say("This document has no text.");
    if (!place) this.#facts.append(document.pages ? count(document.pages, "page") : size(text.length));
    if (document.has_original) this.#facts.append(originalLink(view, document, place?.page));
    if (!place && document.warnings?.length) {
      this.#say(`Not all of it could be read: ${document.warnings.join("; ")}.`, document.has_original ? () => this.#readAgain(view, document) : null);
    }
    const drawing = `${view.documentId} ${marks.map((mark) => `${mark.byte_start}-${mark.byte_end}`).join(" ")}`;
    if (this.#drawn !== drawing) this.#text.replaceChildren(...blocks(text, marks, document.media_type ?? ""));
    this.#drawn = drawing;
    this.#light(place, marks);
  }

  /**
   * @param {View} view
   * @param {KnownDocument} document
   */
  async #readAgain(view, document) {
    this.#say("It is being read again …");
    try {
      const { read } = await import("./views/changes.js");
      await read(view.collection, document);
      this.#texts.delete(document.id);
      verifyAgain(document.id);
      if (this.#view === view) await this.#show(view);
    } catch (error) {
      if (this.#view === view) this.#say(asProblem(error).sentence, () => this.#readAgain(view, document));
    }
  }

  /**
   * Lights one passage and goes there.
   * @param {Place | null} place
   * @param {Place[]} marks
   */
  #light(place, marks) {
    const which = place ? marks.indexOf(place) : -1;
    /** @type {HTMLElement | null} */
    let first = null;
    for (const mark of this.#text.querySelectorAll("mark")) {
      const lit = mark.dataset.marks?.split(" ").includes(String(which)) ?? false;
      mark.classList.toggle("lit", lit);
      if (lit) first ??= mark;
    }
    if (!first) {
      this.#scroll.scrollTop = 0;
      return;
    }
    const target = first;
    target.scrollIntoView({ block: "center" });
    // Blocks around the target get their true height only now that they are near.
    requestAnimationFrame(() => requestAnimationFrame(() => target.scrollIntoView({ block: "center" })));
  }

  /**
   * Shows in the answer which of its sources is open.
   * @param {Place | null} place
   */
  #markOpener(place) {
    for (const button of document.querySelectorAll("[data-citation][aria-current]")) {
      button.removeAttribute("aria-current");
    }
    if (!place?.number) return;
    const turn = this.#opener?.closest(".turn");
    for (const button of turn?.querySelectorAll(`[data-citation="${place.number}"]`) ?? []) {
      button.setAttribute("aria-current", "true");
    }
  }

  /**
   * @param {string | null} text
   * @param {(() => void) | null} [retry]
   */
  #say(text, retry) {
    this.#notice.hidden = text === null;
    if (text === null) return;
    this.#notice.replaceChildren(
      element("p", {}, text),
      retry ? element("button", { class: "small", type: "button", onclick: retry }, "Try again") : "",
    );
  }
}

/**
 * Opens the file that a document was made of, a PDF at the page.
 * @param {View} view
 * @param {KnownDocument} document
 * @param {number | null} [page]
 */
function originalLink({ collection, documentId }, { filename, media_type, bytes }, page) {
  const at = page && media_type === "application/pdf" ? `#page=${page}` : "";
  const href = `${documentsPath(collection)}/${encodeURIComponent(documentId)}/original${at}`;
  const title = `${filename || "The file"}, ${size(bytes)}; opens in another tab`;
  return element("a", { class: "original", href, target: "_blank", rel: "noopener", title }, "Original");
}

/**
 * @param {string} collection
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Opened>}
 */
async function openDocument(collection, id, signal) {
  const [bytes, document] = await Promise.all([
    api.documentText(collection, id, signal),
    api.document(collection, id),
  ]);
  return { text: new ByteText(bytes), document };
}

/**
 * The text as blocks that the browser lays out when they come near, with the
 * marked passages. Together the blocks are the text, byte for byte.
 * @param {ByteText} text
 * @param {Place[]} places
 * @param {string} mediaType
 */
function blocks(text, places, mediaType) {
  const marks = places.map(({ byte_start, byte_end }) => ({ start: byte_start, end: byte_end }));
  const width = brokenWidth(text.slice(0, SAMPLE), mediaType, text.length);
  return text.blocks().map((range) => {
    const block = element("div", { class: "block" });
    if (width === 0) {
      block.append(...marked(text, range, marks));
      return block;
    }
    let { start } = range;
    for (const run of runs(text.slice(range.start, range.end), width)) {
      const end = start + ByteText.lengthOf(run.text);
      const words = marked(text, { start, end }, marks);
      block.append(element("div", { class: run.flows ? "flow" : null }, ...words));
      start = end;
    }
    return block;
  });
}

/**
 * A range of the text with the marks that fall into it.
 * @param {ByteText} text
 * @param {import("./bytes.js").ByteRange} range
 * @param {import("./bytes.js").ByteRange[]} marks
 */
function marked(text, range, marks) {
  return pieces(range, marks).map((piece) => {
    const words = text.slice(piece.start, piece.end);
    return piece.marks.length > 0 ? element("mark", { "data-marks": piece.marks.join(" ") }, words) : words;
  });
}
