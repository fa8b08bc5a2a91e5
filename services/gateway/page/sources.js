/** The sources of an answer, each with its quote and whether the quote was found to stand. */

import { where } from "./format.js";
import { api } from "./api.js";
import { element, icon } from "./dom.js";
import { asProblem } from "./problem.js";

/** @typedef {import("./api.js").Citation} Citation */

/** @type {Record<string, string>} */
const FAULTS = {
  DOCUMENT_NOT_FOUND: "Cannot be verified any more: the document is gone",
  EXTRACTION_CHANGED: "The document has changed since",
  SPAN_INVALID: "The place is outside the document",
  QUOTE_DIFFERS: "Other words stand there",
};

/** @typedef {{tone: "" | "good" | "bad", text: string}} Mark */

/** @type {Mark} */
const CHECKING = { tone: "", text: "Checking" };

/** @type {WeakMap<HTMLElement, {verification: Verification, citation: Citation}>} What each mark is about. */
const SHOWN = new WeakMap();

/**
 * The verdict on each citation, asked for once and shared by all who show it.
 */
export class Verification {
  /** @type {Promise<Mark[]> | null} */
  #marks = null;
  #citations;

  /** @param {Citation[]} citations */
  constructor(citations) {
    this.#citations = citations;
  }

  /** @param {Citation} citation */
  async mark(citation) {
    this.#marks ??= this.#ask();
    return (await this.#marks)[this.#citations.indexOf(citation)];
  }

  /** Lets the next who wants to know ask again. */
  forget() {
    this.#marks = null;
  }

  /** @returns {Promise<Mark[]>} */
  async #ask() {
    try {
      const verdicts = await api.verify(this.#citations);
      return verdicts.map(({ verified, fault }) =>
        verified
          ? { tone: "good", text: "Verified" }
          : { tone: "bad", text: FAULTS[fault ?? ""] ?? "Does not stand there" },
      );
    } catch (error) {
      this.#marks = null; // The next who asks tries again.
      const text = `Not checked: ${asProblem(error).sentence}`;
      return this.#citations.map(() => ({ tone: "", text }));
    }
  }
}

/**
 * Shows a mark as soon as it is known.
 * @param {HTMLElement} place
 * @param {Verification} verification
 * @param {Citation} citation
 */
export async function showMark(place, verification, citation) {
  const shown = { verification, citation };
  SHOWN.set(place, shown);
  drawMark(place, CHECKING);
  const mark = await verification.mark(citation);
  if (SHOWN.get(place) === shown) drawMark(place, mark);
}

/**
 * Asks for the verdicts anew that are shown, for what they were about has changed.
 * @param {string} [documentId] All without.
 */
export function verifyAgain(documentId) {
  const places = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".mark-verified")]);
  const shown = places.flatMap((place) => {
    const { verification, citation } = SHOWN.get(place) ?? {};
    const concerned = verification && citation && (!documentId || citation.document_id === documentId);
    return concerned ? [{ place, verification, citation }] : [];
  });
  for (const { verification } of shown) verification.forget();
  for (const { place, verification, citation } of shown) showMark(place, verification, citation);
}

/**
 * @param {HTMLElement} place
 * @param {Mark} mark
 */
function drawMark(place, { tone, text }) {
  place.className = "mark-verified";
  place.dataset.tone = tone;
  place.replaceChildren(tone === "good" ? icon("check") : tone === "bad" ? icon("alert") : "", text);
}

/**
 * @param {Citation[]} citations
 * @param {Verification} verification
 * @param {(citation: Citation, opener: HTMLElement) => void} onOpen
 */
export function sourceList(citations, verification, onOpen) {
  const items = citations.map((citation) => {
    const mark = element("span");
    const item = element(
      "li",
      { class: "source" },
      element(
        "button",
        {
          type: "button",
          "data-citation": citation.number,
          onclick: (/** @type {MouseEvent} */ event) =>
            onOpen(citation, /** @type {HTMLElement} */ (event.currentTarget)),
        },
        element("span", { class: "source-number" }, String(citation.number)),
        element(
          "span",
          { class: "source-name" },
          element("span", { class: "source-title" }, citation.title),
          where(citation) ? element("span", { class: "source-page" }, where(citation)) : "",
          mark,
        ),
        element("q", { class: "source-quote" }, citation.quote),
      ),
    );
    return { item, mark, citation };
  });
  // Old conversations hold many answers; only those that come into sight are checked.
  const sight = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    sight.disconnect();
    for (const { mark, citation } of items) showMark(mark, verification, citation);
  });
  const list = element("ol", { class: "source-list" }, ...items.map(({ item }) => item));
  sight.observe(list);
  return list;
}
