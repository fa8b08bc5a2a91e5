/** Golden sets in files: JSON, or a line of JSON for each query, as `meld eval` takes them. */

import { Problem } from "../problem.js";

/** Bytes that the gateway takes. */
const MOST_BYTES = 64 * 2 ** 20;

export class GoldenFile {
  /**
   * @param {Record<string, any>} header What the file itself says of label, settings and cutoffs.
   * @param {object[]} queries
   */
  constructor(header, queries) {
    this.header = header;
    this.queries = queries;
  }

  /**
   * @param {File} file
   * @throws {Problem} With the line where there is one.
   */
  static async read(file) {
    if (file.size > MOST_BYTES) throw broken(file, 0, "is larger than 64 MiB");
    const text = await file.text();
    return file.name.endsWith(".json") ? whole(file, text) : lines(file, text);
  }

  /**
   * NDJSON for the gateway.
   * @param {object} more Wins over what the file says.
   */
  body(more) {
    return [{ ...this.header, ...more }, ...this.queries].map((line) => `${JSON.stringify(line)}\n`).join("");
  }
}

/**
 * @param {File} file
 * @param {string} text
 */
function whole(file, text) {
  const { queries, ...header } = parsed(file, text, 0);
  if (!Array.isArray(queries)) throw broken(file, 0, 'has no list of "queries"');
  return new GoldenFile(header, queries.map((query, index) => ({ ...query, id: query?.id || String(index + 1) })));
}

/**
 * @param {File} file
 * @param {string} text
 */
function lines(file, text) {
  /** @type {Record<string, any>} */
  let header = {};
  /** @type {object[]} */
  const queries = [];
  let begun = false;
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const given = parsed(file, line, index + 1);
    if (!begun && !("query" in given)) header = given;
    else queries.push({ ...given, line: given.line || index + 1 });
    begun = true;
  }
  return new GoldenFile(header, queries);
}

/**
 * @param {File} file
 * @param {string} text
 * @param {number} line
 * @returns {Record<string, any>}
 */
function parsed(file, text, line) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken(file, line, "is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw broken(file, line, "is no object");
  return value;
}

/**
 * @param {File} file
 * @param {number} line 0 where there is none.
 * @param {string} what
 */
function broken({ name }, line, what) {
  return new Problem({ status: 400, reason: "GOLDEN_SET", title: "The golden set cannot be read", detail: `${name}${line ? `, line ${line},` : ""} ${what}.` });
}
