/** The text of an answer: paragraphs, and "[1]" as a way to its source. */

import { element } from "./dom.js";
import { unbroken } from "./flow.js";

/** @typedef {import("./api.js").Citation} Citation */

const MARKERS = /\[(\d{1,3})\]/g;
/** Code as Markdown has it; its end may still be on the way. */
const FENCED = /^```[^\n]*\n([^]*?)(?:\n?```\s*)?$/;

export class AnswerText {
  /** @type {string[]} Each paragraph as it is drawn. */
  #drawn = [];
  #root;
  #onCite;

  /**
   * @param {HTMLElement} root
   * @param {(citation: Citation, opener: HTMLElement) => void} onCite
   */
  constructor(root, onCite) {
    this.#root = root;
    this.#onCite = onCite;
  }

  /**
   * Draws what has changed and leaves the rest, so that a selection or the
   * focus in an earlier paragraph stays.
   * @param {string} text
   * @param {Citation[]} citations Empty while the answer is written: markers are not links yet.
   */
  show(text, citations) {
    const paragraphs = blocks(text);
    const known = citations.length > 0 ? "cited" : "";
    for (const [index, paragraph] of paragraphs.entries()) {
      const drawn = known + paragraph;
      if (this.#drawn[index] === drawn) continue;
      const [, code] = FENCED.exec(paragraph) ?? [];
      const node =
        code === undefined
          ? element("p", {}, ...this.#parts(paragraph.trim(), citations))
          : element("pre", { tabindex: "0", role: "region", "aria-label": "Code" }, element("code", {}, code));
      const before = this.#root.children[index];
      if (before) before.replaceWith(node);
      else this.#root.append(node);
      this.#drawn[index] = drawn;
    }
    while (this.#root.children.length > paragraphs.length) this.#root.lastElementChild?.remove();
    this.#drawn.length = paragraphs.length;
  }

  /**
   * @param {string} paragraph
   * @param {Citation[]} citations
   */
  #parts(paragraph, citations) {
    const quoted = quotedRanges(paragraph, citations);
    const parts = [];
    let done = 0;
    for (const { index, 0: marker, 1: digits } of paragraph.matchAll(MARKERS)) {
      // A footnote mark within a quote is the document's own.
      if (quoted.some(({ start, end }) => index >= start && index < end)) continue;
      const citation = citations.find(({ number }) => number === Number(digits));
      parts.push(unbroken(paragraph.slice(done, index)));
      parts.push(citation ? this.#button(citation) : element("span", { class: "marker" }, marker));
      done = index + marker.length;
    }
    return [...parts, unbroken(paragraph.slice(done))];
  }

  /** @param {Citation} citation */
  #button(citation) {
    return element(
      "button",
      {
        class: "cite",
        type: "button",
        "data-citation": citation.number,
        "aria-label": `Source ${citation.number}: ${citation.title}`,
        title: citation.title,
        onclick: (/** @type {MouseEvent} */ event) =>
          this.#onCite(citation, /** @type {HTMLElement} */ (event.currentTarget)),
      },
      `[${citation.number}]`,
    );
  }
}

/**
 * Paragraphs, and code in fences as a whole.
 * @param {string} text
 */
function blocks(text) {
  return text
    .split(/^(```[^\n]*\n[^]*?(?:^```[ \t]*$|(?![^])))/m)
    .flatMap((part) => (FENCED.test(part) ? [part] : part.split(/\n\s*\n/)))
    .filter((block) => block.trim() !== "");
}

/**
 * Where a paragraph repeats what it cites.
 * @param {string} paragraph
 * @param {Citation[]} citations
 */
function quotedRanges(paragraph, citations) {
  return citations.flatMap(({ quote }) => {
    const words = quote.trim();
    const start = words === "" ? -1 : paragraph.indexOf(words);
    return start < 0 ? [] : [{ start, end: start + words.length }];
  });
}
