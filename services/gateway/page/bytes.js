/**
 * Text addressed by UTF-8 bytes, as citations address it. A JavaScript string
 * counts UTF-16 units, so offsets are applied to the bytes and only whole
 * pieces are decoded.
 */

const ENCODER = new TextEncoder();
const NEWLINE = 0x0a;
const SPACE = 0x20;

/** @typedef {{start: number, end: number}} ByteRange First byte, and one past the last. */

export class ByteText {
  #bytes;
  // A byte order mark is part of what was counted; a decoder would swallow it.
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** @param {Uint8Array} bytes UTF-8. */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /** @param {string} text */
  static of(text) {
    return new ByteText(ENCODER.encode(text));
  }

  get length() {
    return this.#bytes.length;
  }

  /**
   * The text of a range; what lies outside is left out.
   * @param {number} start
   * @param {number} end
   */
  slice(start, end) {
    return this.#decoder.decode(this.#bytes.subarray(Math.max(0, start), Math.max(0, end)));
  }

  /**
   * True when exactly these characters stand at the range.
   * @param {number} start
   * @param {number} end
   * @param {string} quote
   */
  holds(start, end, quote) {
    return start >= 0 && end <= this.length && start < end && this.slice(start, end) === quote;
  }

  /**
   * How many bytes a text takes.
   * @param {string} text
   */
  static lengthOf(text) {
    return ENCODER.encode(text).length;
  }

  /**
   * Cuts the text into ranges that end after a line, or where a line is longer
   * than `most`, after a blank, or between characters. Together they are the
   * whole text.
   * @param {number} [least] Bytes before a range may end.
   * @param {number} [most] Bytes by which it has to.
   * @returns {ByteRange[]}
   */
  blocks(least = 8192, most = 32768) {
    const ranges = [];
    let start = 0;
    while (start < this.length) {
      const end = this.#blockEnd(start, least, most);
      ranges.push({ start, end });
      start = end;
    }
    return ranges;
  }

  /**
   * @param {number} start
   * @param {number} least
   * @param {number} most
   */
  #blockEnd(start, least, most) {
    const limit = Math.min(start + most, this.length);
    if (this.length - start <= least) return this.length;
    const newline = this.#bytes.indexOf(NEWLINE, start + least);
    if (newline !== -1 && newline < limit) return newline + 1;
    if (limit === this.length) return limit;
    const blank = this.#bytes.subarray(0, limit).lastIndexOf(SPACE);
    if (blank > start + least) return blank + 1;
    let end = limit;
    while (end > start + 1 && this.#continues(end)) end -= 1;
    return end;
  }

  /**
   * True for the second and later bytes of a character.
   * @param {number} offset
   */
  #continues(offset) {
    return (this.#bytes[offset] & 0xc0) === 0x80;
  }
}

/**
 * Cuts a range at the edges of marked ranges and says which marks each piece
 * carries.
 * @param {ByteRange} range
 * @param {ByteRange[]} marks
 * @returns {{start: number, end: number, marks: number[]}[]} `marks` holds indexes.
 */
export function pieces(range, marks) {
  const edges = new Set([range.start, range.end]);
  for (const mark of marks) {
    for (const edge of [mark.start, mark.end]) {
      if (edge > range.start && edge < range.end) edges.add(edge);
    }
  }
  const sorted = [...edges].sort((a, b) => a - b);
  return sorted.slice(1).map((end, index) => {
    const start = sorted[index];
    const carried = marks.flatMap((mark, which) => (mark.start <= start && mark.end >= end ? [which] : []));
    return { start, end, marks: carried };
  });
}
