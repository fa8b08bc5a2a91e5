/**
 * Text that was broken into lines for paper flows again: a line that goes on in
 * the next one is shown together with it. No character is changed or left out.
 */

import { STANDS } from "./lines.js";

/** Media types whose lines come from a printed page or a typewriter's width. */
const BROKEN = new Set(["application/pdf", "text/plain"]);
/** Beyond this many bytes lines stay as they are, for one element a paragraph would be too many. */
const MOST = 2_000_000;
/** Characters of the longest usual line; text with longer lines was not broken for a page. */
const WIDEST = 140;
const NARROWEST = 40;
/** Of the width, from where on a line counts as full. */
const FULL = 0.6;

const GOES_ON = /^["'“‘(]?\p{Ll}/u;

/**
 * Whether a line goes on in the next one.
 * @param {string} line
 * @param {string} next
 * @param {number} width Of a full line, in characters.
 */
function goesOn(line, next, width) {
  return line.length >= FULL * width && GOES_ON.test(next) && !STANDS.test(next);
}

/**
 * The width that a text was broken to; 0 for a text that flows by itself.
 * @param {string} text Some of it is enough.
 * @param {string} mediaType
 * @param {number} bytes Length of all of it.
 */
export function brokenWidth(text, mediaType, bytes) {
  if (!BROKEN.has(mediaType) || bytes > MOST) return 0;
  const lengths = text.split("\n").map((line) => line.length).filter((length) => length > 0);
  lengths.sort((a, b) => a - b);
  const width = lengths[Math.floor(lengths.length * 0.9)] ?? 0;
  return width >= NARROWEST && width <= WIDEST ? width : 0;
}

/**
 * Cuts a text into runs of lines: those that go on in each other, and those
 * that stand as they are. Together the runs are the text.
 * @param {string} text
 * @param {number} width
 * @returns {{text: string, flows: boolean}[]}
 */
export function runs(text, width) {
  const lines = text.split(/(?<=\n)/);
  /** @type {{text: string, flows: boolean}[]} */
  const found = [];
  for (let first = 0; first < lines.length; ) {
    let last = first;
    while (last + 1 < lines.length && goesOn(lines[last], lines[last + 1], width)) last += 1;
    const flows = last > first;
    const run = lines.slice(first, last + 1).join("");
    const before = found.at(-1);
    if (before && !before.flows && !flows) before.text += run;
    else found.push({ text: run, flows });
    first = last + 1;
  }
  return found;
}
