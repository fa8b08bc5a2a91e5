/** The text of an answer: paragraphs, and "[1]" as a way to its source. */

import { element } from "./dom.js";

/** @typedef {import("./api.js").Citation} Citation */

const MARKER = /\[(\d{1,3})\]/;

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
    const paragraphs = text.split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== "");
    const known = citations.length > 0 ? "cited" : "";
    for (const [index, paragraph] of paragraphs.entries()) {
      const drawn = known + paragraph;
      if (this.#drawn[index] === drawn) continue;
      const node = element("p", {}, ...this.#parts(paragraph.trim(), citations));
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
    // Split by a pattern with one group: text, number, text, number, text.
    return paragraph.split(MARKER).map((part, index) => {
      if (index % 2 === 0) return part;
      const citation = citations.find(({ number }) => number === Number(part));
      return citation ? this.#button(citation) : element("span", { class: "marker" }, `[${part}]`);
    });
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
