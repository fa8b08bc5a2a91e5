/** Lines of text: which of them stand for themselves, and which are only broken. */

/** Begins a line that is one of its own: an item, a heading, a row, something indented. */
export const STANDS = /^(\s{2,}|[#|>]|\s*([-*•–·▪◦‣]|\(?([0-9]{1,3}|[a-z])[.)])\s)/i;

/**
 * A paragraph of an answer without the line breaks that quotes bring along;
 * lists and tables keep theirs.
 * @param {string} paragraph
 */
export function unbroken(paragraph) {
  if (paragraph.includes("```")) return paragraph;
  return paragraph
    .split("\n")
    .reduce((text, line) => `${text}${STANDS.test(line) || text.endsWith(":") ? "\n" : " "}${line}`);
}
