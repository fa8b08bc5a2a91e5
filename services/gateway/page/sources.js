/** The sources of an answer, each with its quote and whether the quote was found to stand. */

import { where } from "./format.js";
import { api } from "./api.js";
import { element, icon } from "./dom.js";
import { asProblem } from "./problem.js";

/** @typedef {import("./api.js").Citation} Citation */

/** @type {Record<string, string>} */
const FAULTS = {
  DOCUMENT_NOT_FOUND: "The document is no longer there",
  EXTRACTION_CHANGED: "The document has changed since",
  SPAN_INVALID: "The place is outside the document",
  QUOTE_DIFFERS: "Other words stand there",
};

/** @typedef {{tone: "" | "good" | "bad", text: string}} Mark */

/** @type {Mark} */
const CHECKING = { tone: "", text: "Checking" };

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
  drawMark(place, CHECKING);
  drawMark(place, await verification.mark(citation));
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
