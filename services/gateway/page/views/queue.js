/**
 * The queue of a collection: files that are being taken in, those that were not, and vectors that are being built
 * anew.
 */

import { api, collectionPath, documentsPath, json, requestId } from "../api.js";
import { documentProgress } from "../documents.js";
import { element, icon } from "../dom.js";
import { sleep } from "../events.js";
import { ago, count, duration, number } from "../format.js";
import { asProblem } from "../problem.js";
import { asked, button, empty, section, sure, trouble } from "./parts.js";

/** @typedef {import("../api.js").KnownDocument & {queue?: {position: number, remaining_seconds: number | null} | null, created?: string}} Waiting */

/** Milliseconds between looks while there is work, and while there is none. */
const PAUSE = 1_500;
const IDLE_PAUSE = 8_000;
const PAGE = 50;
/** After which failures the same bytes may be taken after all, and are kept. */
const MAY_END_OTHERWISE = new Set(["PARSER_LIMIT", "INTERRUPTED"]);
/** @type {Record<string, string>} */
const STAGES = {
  EMBEDDING: "Passages are being embedded",
  INDEXING: "All vectors are there; the index is learning them",
  STALLED: "The model refuses what is left. Delete those documents, or give it up",
};

/** @type {import("./knowledge.js").OpenPart} */
export async function open(root, { signal, collection, announcer, changed }) {
  const documents = documentsPath(collection);
  const building = element("div", {});
  const waiting = element("ul", { class: "rows", "aria-label": "Under way" });
  const failed = element("ul", { class: "rows", "aria-label": "Not taken" });
  const more = element("p", { class: "rule" });
  const said = element("p", { class: "rule", role: "status", tabindex: "-1" });
  const outage = element("div", {});
  /** @type {Map<string, {item: HTMLLIElement, text: HTMLElement, bar: HTMLProgressElement}>} */
  const rows = new Map();
  /** What the vectors were drawn from: what asks "are you sure?" must survive the next look. */
  let drawn = "";
  let failures = "";
  root.append(building, section("Under way", waiting, more, said, outage), section("Not taken", failed));

  /** @returns {Promise<boolean>} Whether something is under way. */
  async function look() {
    const states = (/** @type {string} */ words) => `${documents}?state=${words}&page_size=${PAGE}`;
    const [known, underWay, lost] = await Promise.all([
      json("GET", collectionPath(collection), { signal }),
      json("GET", states("RECEIVED,PARSING,EMBEDDING"), { signal }),
      json("GET", states("FAILED"), { signal }),
    ]);
    if (signal.aborted) return false;
    outage.replaceChildren();
    drawVectors(known);
    drawWaiting(underWay.documents, known, Boolean(underWay.next_page_token));
    drawFailed(lost.documents, Boolean(lost.next_page_token));
    return underWay.documents.length > 0 || known.reembedding !== null;
  }

  async function lookAgain() {
    try {
      return await look();
    } catch (error) {
      if (!signal.aborted) outage.replaceChildren(trouble(error, lookAgain));
      return false;
    }
  }

  /**
   * @param {Waiting[]} found Newest first.
   * @param {{chunks: number, vectors: number}} known
   * @param {boolean} cut
   */
  function drawWaiting(found, known, cut) {
    // Who comes next stands first.
    const order = [...found].reverse().sort((one, other) => place(one) - place(other));
    for (const [id, { item }] of rows) {
      if (order.some((document) => document.id === id)) continue;
      rows.delete(id);
      if (item.contains(window.document.activeElement)) said.focus(); // It has arrived while somebody was at it.
      item.remove();
    }
    order.forEach((document, index) => {
      const row = rows.get(document.id) ?? begin(document);
      const progress = documentProgress(document);
      row.text.textContent = [progress.text, queued(document)].filter(Boolean).join(" · ");
      if (typeof progress.fraction === "number") row.bar.value = progress.fraction;
      else row.bar.removeAttribute("value");
      if (waiting.children[index] !== row.item) waiting.insertBefore(row.item, waiting.children[index] ?? null);
    });
    for (const nothing of waiting.querySelectorAll(".nothing")) nothing.remove();
    if (order.length === 0) waiting.append(element("li", { class: "nothing" }, empty("Nothing is under way", "All files of this collection that were taken can be found by words and by meaning.")));
    const missing = Math.max(0, known.chunks - known.vectors);
    more.textContent = cut ? `The newest ${number(PAGE)} are shown. ${count(missing, "passage")} of all have no vector yet.` : "";
  }

  /** @param {Waiting} document */
  function begin(document) {
    const name = document.title || document.filename || document.id;
    const text = element("span", { class: "row-facts" });
    const bar = element("progress", { "aria-label": `Progress of ${name}` });
    const item = element(
      "li",
      { class: "row" },
      element("div", { class: "row-name" }, element("span", { class: "row-title" }, name), text, bar),
      element(
        "div",
        { class: "row-actions" },
        sure("close", `Cancel ${name}`, { yes: "Take it back", no: "Go on" }, async () => {
          const receipt = await json("POST", `${documents}/${encodeURIComponent(document.id)}/cancel`, { deadline: 60_000, key: requestId() });
          const left = Object.values(receipt.left ?? {}).reduce((all, entries) => all + Number(entries), 0);
          said.textContent = `“${name}” was taken back. ${left === 0 ? "Nothing of it is left." : `${count(left, "part")} of it are left.`}`;
          said.focus();
          await Promise.all([lookAgain(), changed()]);
        }),
      ),
    );
    const row = { item, text, bar };
    rows.set(document.id, row);
    return row;
  }

  /**
   * @param {Waiting[]} found
   * @param {boolean} cut
   */
  function drawFailed(found, cut) {
    const now = `${found.map(({ id }) => id).join()}/${cut}`;
    if (now === failures) return;
    failures = now;
    failed.replaceChildren(...found.map(lost));
    if (found.length === 0) failed.append(element("li", {}, empty("Every file was taken", "What cannot be read stands here, and why.")));
    if (cut) failed.append(element("li", { class: "row" }, `The newest ${number(PAGE)} are shown.`));
  }

  /** @param {Waiting} document */
  function lost({ id, title, filename, error, created }) {
    const name = filename || title || id;
    const url = `${documents}/${encodeURIComponent(id)}`;
    const again = MAY_END_OTHERWISE.has(error?.reason ?? "");
    const why = element("span", { class: "row-facts failure-reason", "data-tone": "bad" }, error?.message || error?.reason || "");
    const facts = [error?.reason ?? "", created ? ago(new Date(created)) : "", again ? "" : "The same bytes would end alike: mend the file and send it again."];
    const retry = button("Try again", async () => {
      try {
        await json("POST", `${url}/retry`, { key: requestId() });
        said.textContent = `“${name}” is tried again.`;
        await Promise.all([lookAgain(), changed()]);
      } catch (problem) {
        why.textContent = asProblem(problem).sentence;
        announcer.say(why.textContent);
      }
    }, { drawing: "retry", name: `Try ${name} again` });
    return element(
      "li",
      { class: "row" },
      element("div", { class: "row-name" }, element("span", { class: "row-title" }, name), why, element("span", { class: "row-facts" }, facts.filter(Boolean).join(" · "))),
      element(
        "div",
        { class: "row-actions" },
        again ? retry : "",
        sure("trash", `Forget ${name}`, { yes: "Forget", no: "Keep" }, async () => {
          await api.deleteDocument(collection, id);
          said.textContent = `“${name}” is forgotten.`;
          said.focus();
          await Promise.all([lookAgain(), changed()]);
        }),
      ),
    );
  }

  /** @param {any} known The collection. */
  function drawVectors({ embedding_model, embedding_notice, reembedding, previous_embedding, chunks }) {
    const now = JSON.stringify([embedding_model, embedding_notice, reembedding && { ...reembedding, vectors: 0, chunks: 0, refused_chunks: 0 }, previous_embedding]);
    if (now !== drawn) {
      drawn = now;
      building.replaceChildren(...vectors({ embedding_model, embedding_notice, reembedding, previous_embedding }));
    }
    if (!reembedding) return;
    const bar = /** @type {HTMLProgressElement} */ (building.querySelector("progress"));
    bar.max = Math.max(1, reembedding.chunks);
    bar.value = reembedding.vectors;
    const refused = reembedding.refused_chunks ? `, ${number(reembedding.refused_chunks)} refused so far` : "";
    /** @type {HTMLElement} */ (building.querySelector(".built")).textContent = `${number(reembedding.vectors)} of ${count(reembedding.chunks || chunks, "passage")}${refused}`;
  }

  /** @param {any} known */
  function vectors({ embedding_model, embedding_notice, reembedding, previous_embedding }) {
    const path = `${collectionPath(collection)}/reembed`;
    /**
     * @param {string} method
     * @param {string} url
     * @param {string} done
     */
    const act = (method, url, done) => async () => {
      await json(method, url, { deadline: 30_000, key: requestId() });
      announcer.say(done);
      await lookAgain();
    };
    const parts = [];
    if (embedding_notice) parts.push(element("p", { class: "notice" }, icon("alert"), embedding_notice));
    if (reembedding) {
      parts.push(
        element(
          "section",
          { class: "card building", "aria-label": "Vectors being built anew" },
          element("h3", {}, reembedding.reverts ? `Going back to ${reembedding.embedding_model}` : `Built anew with ${reembedding.embedding_model}`),
          element("p", { class: "muted" }, `${STAGES[reembedding.stage] ?? reembedding.stage}. Until then ${embedding_model} answers.`),
          element("progress", { "aria-label": "Progress of the new vectors" }),
          element("div", { class: "report-head" }, element("span", { class: "row-facts built" }), asked("Give it up", "Give up the new vectors", act("DELETE", path, "The new vectors are given up"))),
        ),
      );
    } else if (previous_embedding) {
      const until = previous_embedding.expires ? ` until ${new Date(previous_embedding.expires).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}` : "";
      parts.push(
        element(
          "section",
          { class: "card building", "aria-label": "Vectors before" },
          element("h3", {}, `${embedding_model} answers now`),
          element("p", { class: "muted" }, `The ${count(previous_embedding.vectors, "vector")} of ${previous_embedding.embedding_model} are kept${until}.`),
          element(
            "div",
            { class: "view-actions" },
            asked("Go back", `Go back to ${previous_embedding.embedding_model}`, act("POST", `${path}/revert`, "Going back")),
            asked("Forget them", "Forget the vectors before", act("POST", `${path}/finish`, "They are forgotten")),
          ),
        ),
      );
    }
    return parts;
  }

  let works = await lookAgain();
  (async () => {
    while (!signal.aborted) {
      await sleep(works ? PAUSE : IDLE_PAUSE, signal);
      if (!signal.aborted && !window.document.hidden) works = await lookAgain();
    }
  })();
}

/** @param {Waiting} document */
const place = ({ state, queue }) => (state === "PARSING" ? 0 : queue ? queue.position : 1) + (state === "EMBEDDING" ? 0 : 1e9);

/**
 * Where it stands, for people: "431st, about 38 s".
 * @param {Waiting} document
 */
function queued({ state, queue }) {
  if (!queue) return "";
  const what = state === "RECEIVED" ? "file" : "passage";
  const before = queue.position - 1;
  const turn = before <= 0 ? "next" : `${count(before, what)} before it`;
  return queue.remaining_seconds === null ? turn : `${turn}, about ${duration(queue.remaining_seconds * 1000)}`;
}
