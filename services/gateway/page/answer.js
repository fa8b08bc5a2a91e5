/** The text of an answer: as the gateway has rendered it, else in paragraphs; and "[1]" as a way to its source. */

import { copiable } from "./copy.js";
import { element } from "./dom.js";
import { unbroken } from "./lines.js";

/** @typedef {import("./api.js").Citation} Citation */

const MARKERS = /\[(\d{1,3})\]/g;
/** Code as Markdown has it; its end may still be on the way. */
const FENCED = /^```[^\n]*\n([^]*?)(?:\n?```\s*)?$/;
const REGION = { tabindex: "0", role: "region" };

/** The content policy lets no other place make elements of text. */
const rendered = /** @type {any} */ (window).trustedTypes?.createPolicy("rendered", { createHTML: (/** @type {string} */ html) => html });

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
   * @param {string | null} [html] The whole text, rendered by the gateway.
   */
  show(text, citations, html) {
    this.#root.classList.toggle("rendered", Boolean(html));
    if (html) {
      this.#drawn = [];
      this.#root.replaceChildren(...this.#rendered(html, citations));
      return;
    }
    const paragraphs = blocks(text);
    const known = citations.length > 0 ? "cited" : "";
    for (const [index, paragraph] of paragraphs.entries()) {
      const drawn = known + paragraph;
      if (this.#drawn[index] === drawn) continue;
      const [, code] = FENCED.exec(paragraph) ?? [];
      const node =
        code === undefined
          ? element("p", {}, ...this.#parts(paragraph.trim(), citations))
          : codeBlock(element("code", {}, code));
      const before = this.#root.children[index];
      if (before) before.replaceWith(node);
      else this.#root.append(node);
      this.#drawn[index] = drawn;
    }
    while (this.#root.children.length > paragraphs.length) this.#root.lastElementChild?.remove();
    this.#drawn.length = paragraphs.length;
  }

  /**
   * @param {string} html
   * @param {Citation[]} citations
   */
  #rendered(html, citations) {
    // Nothing is loaded or run in a document that is not shown.
    const { body } = new DOMParser().parseFromString(rendered?.createHTML(html) ?? html, "text/html");
    const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
    /** @type {Text[]} */
    const texts = [];
    while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
    for (const text of texts) {
      if (/\[\d/.test(text.data) && !text.parentElement?.closest("pre, code, a")) text.replaceWith(...this.#parts(text.data, citations));
    }
    for (const code of body.querySelectorAll("pre")) code.replaceWith(codeBlock(...code.childNodes));
    for (const table of body.querySelectorAll("table")) {
      const region = element("div", { ...REGION, class: "wide", "aria-label": "Table" });
      table.replaceWith(region);
      region.append(table);
    }
    for (const link of body.querySelectorAll("a")) link.title = link.href;
    return body.childNodes;
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

/** @param {...Node} code */
function codeBlock(...code) {
  const block = element("pre", { ...REGION, "aria-label": "Code" }, ...code);
  return copiable(block, () => block.textContent ?? "");
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
