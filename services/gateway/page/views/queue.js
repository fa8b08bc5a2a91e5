/** The queue of a collection: files that are being taken in, and those that were not. */

import { api, collectionPath, documentsPath, json, requestId } from "../api.js";
import { documentProgress } from "../documents.js";
import { element, icon } from "../dom.js";
import { ago, count, duration, number } from "../format.js";
import { asProblem } from "../problem.js";
import { read } from "./changes.js";
import { button, empty, section, sure, trouble, watch } from "./parts.js";

/** @typedef {import("./changes.js").KnownDocument & {queue?: {position: number, remaining_seconds: number | null} | null, created?: string}} Waiting */

const PAGE = 50;
/** After which failures the same bytes may be taken after all, and are kept. */
const MAY_END_OTHERWISE = new Set(["PARSER_LIMIT", "INTERRUPTED"]);

/** @type {import("./knowledge.js").OpenPart} */
export async function open(root, { signal, collection, announcer, changed }) {
  const documents = documentsPath(collection);
  const refusing = element("div", {});
  const waiting = element("ul", { class: "rows", "aria-label": "Under way" });
  const failed = element("ul", { class: "rows", "aria-label": "Not taken" });
  const more = element("p", { class: "rule" });
  const said = element("p", { class: "rule", role: "status", tabindex: "-1" });
  const outage = element("div", {});
  /** @type {Map<string, {item: HTMLLIElement, text: HTMLElement, bar: HTMLProgressElement}>} */
  const rows = new Map();
  /** What failed was drawn from: what asks "are you sure?" must survive the next look. */
  let failures = "";
  let works = false;
  root.append(refusing, section("Under way", waiting, more, said, outage), section("Not taken", failed));

  async function look() {
    const states = (/** @type {string} */ words) => `${documents}?state=${words}&page_size=${PAGE}`;
    const [known, underWay, lost] = await Promise.all([
      json("GET", collectionPath(collection), { signal }),
      json("GET", states("RECEIVED,PARSING,EMBEDDING"), { signal }),
      json("GET", states("FAILED"), { signal }),
    ]);
    if (signal.aborted) return;
    outage.replaceChildren();
    refusing.replaceChildren(known.embedding_notice ? element("p", { class: "notice" }, icon("alert"), known.embedding_notice) : "");
    drawWaiting(underWay.documents, known, Boolean(underWay.next_page_token));
    drawFailed(lost.documents, Boolean(lost.next_page_token));
    works = underWay.documents.length > 0;
  }

  async function lookAgain() {
    try {
      await look();
    } catch (error) {
      works = false;
      if (!signal.aborted) outage.replaceChildren(trouble(error, lookAgain));
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

  /** @param {Waiting} known */
  function lost(known) {
    const { id, title, filename, error, created, has_original: aside } = known;
    const name = filename || title || id;
    const url = `${documents}/${encodeURIComponent(id)}`;
    // One that was set aside has its file, which is read again; of others the bytes may be kept.
    const again = aside || MAY_END_OTHERWISE.has(error?.reason ?? "");
    const why = element("span", { class: "row-facts failure-reason", "data-tone": "bad" }, error?.message || error?.reason || "");
    const facts = [error?.reason ?? "", created ? ago(new Date(created)) : "", again ? "" : "The same bytes would end alike: mend the file and send it again."];
    const retry = button(aside ? "Read again" : "Try again", async () => {
      try {
        if (aside) await read(collection, known);
        else await json("POST", `${url}/retry`, { key: requestId() });
        said.textContent = aside ? `“${name}” was read again.` : `“${name}” is tried again.`;
        await Promise.all([lookAgain(), changed()]);
      } catch (problem) {
        why.textContent = asProblem(problem).sentence;
        announcer.say(why.textContent);
      }
    }, { drawing: "retry", name: `${aside ? "Read" : "Try"} ${name} again` });
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

  await lookAgain();
  watch(signal, () => works, lookAgain);
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
