/** Tables of answers and views. */

import { element } from "./dom.js";

/** @typedef {string | {name: string, number?: boolean, unseen?: boolean}} Column unseen: for screen readers. */

/**
 * A table that scrolls by itself where it is wider than its place.
 * @param {string} label
 * @param {Column[]} columns
 * @param {import("./dom.js").Child[][]} rows
 * @param {string} [place] The class of what it scrolls in.
 */
export function table(label, columns, rows, place = "table-scroll") {
  const heads = columns.map((column) => (typeof column === "string" ? { name: column } : column));
  /** @param {number} at */
  const kind = (at) => (heads[at]?.number ? "number" : null);
  return element(
    "div",
    { class: place, tabindex: "0", role: "region", "aria-label": label },
    element(
      "table",
      {},
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          ...heads.map(({ name, unseen }, at) =>
            element("th", { scope: "col", class: kind(at) }, element("span", { class: unseen ? "unseen" : null }, name)),
          ),
        ),
      ),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, at) => element("td", { class: kind(at) }, cell))))),
    ),
  );
}
