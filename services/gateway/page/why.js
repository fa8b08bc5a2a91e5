/** Why a passage was taken: its place and its scores in a search for the question. */

import { BASE, json } from "./api.js";
import { element } from "./dom.js";
import { number, wordsOnly } from "./format.js";
import { asProblem } from "./problem.js";

/** How deep the search looks. */
const DEPTH = 50;

/**
 * @param {HTMLElement} root
 * @param {string} question
 * @param {import("./reader.js").Place} place
 * @param {AbortSignal} signal
 */
export async function explain(root, question, place, signal) {
  root.replaceChildren(element("p", { class: "muted" }, "Searching for the question…"));
  try {
    const body = { collections: [place.collection], query: question, top_k: DEPTH, explain: true };
    const found = await json("POST", `${BASE}/search`, { body, signal });
    root.replaceChildren(...told(found, question, place));
  } catch (error) {
    if (!signal.aborted) root.replaceChildren(element("p", {}, asProblem(error).sentence));
  }
}

/**
 * @param {{hits: any[], dropped?: any[], mode: string, degraded_reason: string | null}} found
 * @param {string} question
 * @param {import("./reader.js").Place} place
 */
function told({ hits, dropped = [], degraded_reason }, question, place) {
  const asked = element("q", {}, question.length > 120 ? `${question.slice(0, 119)}…` : question);
  const at = hits.findIndex(
    ({ document_id, byte_start, byte_end }) => document_id === place.document_id && byte_start < place.byte_end && byte_end > place.byte_start,
  );
  if (at < 0) {
    const same = dropped.filter(({ document_id }) => document_id === place.document_id);
    const more = same.length > 0 ? ` Other passages of the document were left out: ${[...new Set(same.map(({ cause }) => String(cause).toLowerCase().replaceAll("_", " ")))].join(", ")}.` : "";
    return [element("p", {}, "A search for ", asked, ` does not find it among the first ${number(DEPTH)} now. The agent searched with words of its own, or the collection has changed.${more}`)];
  }
  const hit = hits[at];
  const best = Math.max(...hits.map(({ lexical_score }) => lexical_score));
  /** @type {[string, string, string][]} */
  const scores = [
    ["Words", hit.lexical_score ? hit.lexical_score.toFixed(2) : "none", hit.lexical_score ? `BM25; the best passage has ${best.toFixed(2)}` : "it shares no word with the question"],
    ["Meaning", hit.vector_score ? hit.vector_score.toFixed(3) : "none", "cosine of its vector and the question's; 1 is the same"],
  ];
  const near = hit.late_interaction_score;
  if (near) scores.push(["Word by word", near.toFixed(3), "how near its words come to those of the question"]);
  scores.push(["Together", hit.score.toFixed(3), "what the passages are ordered by"]);
  return [
    element("p", {}, "A search for ", asked, " finds it as ", element("strong", {}, `number ${at + 1} of ${number(hits.length)}`), "."),
    element("dl", { class: "why-scores" }, ...scores.map(([name, value, rule]) => element("div", {}, element("dt", {}, name), element("dd", {}, value, element("span", { class: "muted" }, ` ${rule}`))))),
    hit.headings?.length > 0 ? element("p", { class: "muted" }, `It stands under ${hit.headings.join(" › ")}.`) : "",
    degraded_reason ? element("p", { class: "muted" }, wordsOnly(degraded_reason)) : "",
  ].filter((part) => part !== "");
}
