/** Knowledge: collections, the documents of one, search in it with its scores, receipts of deletions. */

import { setAddress } from "../address.js";
import { BASE, collectionPath, documentsPath, json, requestId } from "../api.js";
import { byId, element } from "../dom.js";
import { count, number, where, wordsOnly } from "../format.js";
import { verifyAgain } from "../sources.js";
import { table } from "../table.js";
import { MOST, button, choice, cut, empty, head, sure, trouble } from "./parts.js";

/**
 * @typedef {object} Place What a part of a collection gets.
 * @property {AbortSignal} signal Aborted when the part is left.
 * @property {string} collection
 * @property {import("../announcer.js").Announcer} announcer
 * @property {() => Promise<void>} changed To be called when documents came or went otherwise than in their list.
 */

/** @typedef {(root: HTMLElement, place: Place) => void | Promise<void>} OpenPart */

/** @typedef {import("../api.js").Passage & {lexical_score: number, vector_score: number, late_interaction_score: number, headings: string[]}} Hit */

const HITS = 10;
/** Milliseconds for a document from an address; the gateway ends it before. */
const FETCHING = 150_000;
/** @type {[string, string][]} */
const MODES = [
  ["hybrid", "Both"],
  ["lexical", "Words"],
  ["dense", "Meaning"],
];
/** @type {[string, string][]} */
const PARTS = [
  ["", "Documents"],
  ["queue", "Queue"],
  ["evaluations", "Evaluations"],
  ["model", "Model"],
  ["access", "Access"],
];
/** @type {Record<string, () => Promise<{open: OpenPart}>>} */
const LOADS = {
  queue: () => import("./queue.js"),
  evaluations: () => import("./evaluations.js"),
  model: () => import("./model.js"),
  access: () => import("./access.js"),
};
const LEFT = [
  ["record_documents", "documents in the record"],
  ["record_chunks", "passages in the record"],
  ["lexical_entries", "entries of the keyword index"],
  ["vector_entries", "vectors"],
  ["record_originals", "originals"],
  ["files", "files"],
];

/** @type {import("../views.js").Open} */
export async function open(root, { signal, item, collections, read, announcer }) {
  const select = byId("collection");
  const note = byId("library-note");
  const list = element("div", {});
  const title = element("h2", {});
  const documents = element("div", { class: "shelf wide" });
  const results = element("div", { class: "results" });
  const receipts = element("div", { class: "receipts", role: "status" });
  const fromAddress = addressForm();
  const inDocuments = element("div", {}, searchForm(), results, fromAddress, documents);
  const other = element("div", { class: "collection-part" });
  let part = item in LOADS ? item : "";
  const parts = choice("Part of the collection", PARTS, part, (chosenPart) => {
    part = chosenPart;
    setAddress({ item: part });
    openPart();
  });
  root.append(
    head("Knowledge", "What answers are quoted from.", button("New collection", () => collections.begin(), { drawing: "plus", primary: true })),
    list,
    receipts,
    element("section", { class: "part" }, element("div", { class: "part-head" }, title, parts), inDocuments, other),
  );
  borrow(documents, signal);
  let leaving = new AbortController();
  signal.addEventListener("abort", () => leaving.abort());
  let chosen = collections.current;
  /** Counts searches and what ends them: an older, slower one is not shown. */
  let searches = 0;
  select.addEventListener("chosen", choose, { signal });
  note.addEventListener("receipt", (event) => removed(/** @type {CustomEvent} */ (event).detail), { signal });

  async function draw() {
    title.textContent = collections.current || "Documents";
    try {
      const { collections: known, next_page_token } = await json("GET", `${BASE}/collections?page_size=${MOST}`, { signal });
      if (signal.aborted) return;
      list.replaceChildren(
        known.length > 0 ? overview(known) : empty("No collection yet", "The first is made with the first file that you add."),
        cut(next_page_token, "collections"),
      );
    } catch (error) {
      if (!signal.aborted) list.replaceChildren(trouble(error, draw));
    }
  }

  function choose() {
    if (chosen !== collections.current) {
      forget();
      chosen = collections.current;
      openPart();
    }
    return draw();
  }

  /** Shows the part that was chosen; a part that is left ends its requests. */
  async function openPart() {
    const changed = () => collections.load().catch(draw);
    leaving.abort();
    leaving = new AbortController();
    const left = leaving.signal;
    const load = collections.current ? LOADS[part] : undefined;
    parts.hidden = collections.current === "";
    inDocuments.hidden = load !== undefined;
    fromAddress.hidden = collections.current === "";
    other.replaceChildren();
    other.removeAttribute("aria-busy");
    if (!load) return;
    other.setAttribute("aria-busy", "true");
    const inner = element("div", {});
    other.append(inner);
    try {
      const module = await load();
      if (!left.aborted) await module.open(inner, { signal: left, collection: collections.current, announcer, changed });
    } catch (error) {
      if (!left.aborted) other.replaceChildren(trouble(error, openPart));
    }
    if (!left.aborted) other.removeAttribute("aria-busy");
  }

  /** Takes away what was found, and what is being looked for. */
  function forget() {
    searches += 1;
    results.replaceChildren();
    results.removeAttribute("aria-busy");
  }

  /** @param {(import("../api.js").Collection & {role?: string, owner?: string})[]} known */
  function overview(known) {
    return table(
      "Collections",
      ["Collection", "Your role", { name: "Documents", number: true }, { name: "Passages", number: true }, { name: "With vector", number: true }, { name: "Delete", unseen: true }],
      known.map(({ id, role, documents: held, chunks, vectors }) => [
        element(
          "button",
          { class: "row-title", type: "button", "aria-current": id === collections.current ? "true" : null, onclick: () => collections.choose(id) },
          id,
        ),
        element("span", { class: "muted" }, (role ?? "").toLowerCase().replaceAll("_", " ")),
        number(held),
        number(chunks),
        number(vectors),
        sure("trash", `Delete the collection ${id}`, { yes: `Delete with ${count(held, "document")}`, no: "Keep" }, () => remove(id)),
      ]),
    );
  }

  /** @param {string} id */
  async function remove(id) {
    const receipt = await json("DELETE", collectionPath(id), { deadline: 60_000 });
    show({ title: id, receipt });
    verifyAgain();
    await collections.load().catch(draw); // Otherwise it draws as the collections say that they are known.
  }

  /** @param {{id: string, title: string, receipt: any}} deleted */
  function removed(deleted) {
    show(deleted);
    // What else was found still stands.
    for (const hit of /** @type {NodeListOf<HTMLElement>} */ (results.querySelectorAll(".hit"))) {
      if (hit.dataset.document === deleted.id) hit.remove();
    }
    if (!results.querySelector(".hit")) forget();
    draw();
  }

  /** @param {{title: string, receipt: any}} made */
  function show({ title: name, receipt }) {
    const left = LEFT.reduce((all, [key]) => all + (receipt.left?.[key] ?? 0), 0);
    const close = button("Dismiss", () => receipts.replaceChildren(), { name: "Dismiss the receipt" });
    receipts.replaceChildren(
      element(
        "section",
        { class: "card receipt", "aria-label": "Receipt of the deletion" },
        element("h2", {}, `“${name}” was deleted`),
        element("p", { class: "state", "data-tone": left === 0 ? "good" : "bad" }, left === 0 ? "Nothing of it is left." : `${count(left, "part")} of it are left.`),
        element(
          "dl",
          { class: "facts" },
          ...LEFT.flatMap(([key, words]) => [element("dt", {}, words), element("dd", {}, number(receipt.left?.[key] ?? 0))]),
          ...(receipt.tombstone_id ? [element("dt", {}, "receipt"), element("dd", {}, element("code", {}, receipt.tombstone_id))] : []),
          ...(receipt.deleted_at ? [element("dt", {}, "deleted"), element("dd", {}, new Date(receipt.deleted_at).toLocaleString("en-GB"))] : []),
        ),
        close,
      ),
    );
  }

  /** What is at an address becomes a document, or takes the place of the one that came from there. */
  function addressForm() {
    const address = element("input", { type: "url", class: "search", "aria-label": "Address of a page or file", placeholder: "https://… of a page or file", maxlength: 2000, required: true });
    const add = element("button", { class: "small", type: "submit" }, "Add from address");
    const said = element("p", { class: "rule", role: "status" });
    const form = element("form", {}, element("div", { class: "search-row" }, address, add), said);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      add.disabled = true;
      said.textContent = "Being fetched …";
      try {
        const body = { url: address.value.trim() };
        const made = await json("POST", documentsPath(collections.current), { body, key: requestId(), deadline: FETCHING, signal });
        address.value = "";
        said.textContent = `“${made.title || made.filename}” can be asked about.`;
        await collections.load();
      } catch (error) {
        if (!signal.aborted) said.replaceChildren(trouble(error));
      } finally {
        add.disabled = false;
      }
    });
    return form;
  }

  function searchForm() {
    let mode = "hybrid";
    const query = element("input", { type: "search", class: "search", "aria-label": "Search this collection", placeholder: "Search this collection", maxlength: 1000 });
    const form = element(
      "form",
      { class: "search-row", role: "search" },
      query,
      choice("Search by", MODES, mode, (chosen) => {
        mode = chosen;
        if (query.value.trim()) find();
      }),
      element("button", { class: "small", type: "submit" }, "Search"),
    );
    async function find() {
      const asked = query.value.trim();
      if (asked === "" || !collections.current) {
        forget();
        return;
      }
      searches += 1;
      const search = searches;
      results.setAttribute("aria-busy", "true");
      try {
        const found = await json("POST", `${collectionPath(collections.current)}/search`, { body: { query: asked, mode, top_k: HITS }, signal });
        if (search !== searches) return;
        results.replaceChildren(...hits(found));
        announcer.say(`${count(found.hits.length, "passage")} found`);
      } catch (error) {
        if (!signal.aborted && search === searches) results.replaceChildren(trouble(error, find));
      } finally {
        if (search === searches) results.removeAttribute("aria-busy");
      }
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      find();
    });
    query.addEventListener("input", () => {
      if (query.value === "") forget();
    });
    return form;
  }

  /** @param {{hits: Hit[], degraded_reason: string | null, pending_vectors: number}} found */
  function hits({ hits: found, degraded_reason, pending_vectors }) {
    const places = found.map((hit) => ({ ...hit, quote: hit.text }));
    const most = Math.max(...found.map(({ lexical_score }) => lexical_score), 0.001);
    const said = [degraded_reason && wordsOnly(degraded_reason), pending_vectors ? `${count(pending_vectors, "passage")} have no vector yet and are found by words only.` : ""].filter(Boolean);
    const notes = said.map((words) => element("p", { class: "part-note" }, words ?? ""));
    if (found.length === 0) return [...notes, empty("Nothing was found", "Other words may find it; search by meaning finds what is said differently.")];
    return [
      ...notes,
      element(
        "ol",
        { class: "hits", "aria-label": "Passages, best first" },
        ...places.map((place, index) =>
          element(
            "li",
            { class: "hit", "data-document": place.document_id },
            element(
              "button",
              {
                type: "button",
                onclick: (/** @type {MouseEvent} */ event) =>
                  read(
                    { collection: place.collection, documentId: place.document_id, title: place.title, places, current: index, verification: null },
                    /** @type {HTMLElement} */ (event.currentTarget),
                  ),
              },
              element("span", { class: "hit-title" }, place.title, where(place) ? element("span", { class: "muted" }, ` ${where(place)}`) : ""),
              element("span", { class: "hit-text" }, place.text.trim().slice(0, 280)),
            ),
            element(
              "dl",
              { class: "scores" },
              score("Together", place.score, place.score / Math.max(found[0].score, 0.0001)),
              score("Words (BM25)", place.lexical_score, place.lexical_score / most),
              score("Meaning (cosine)", place.vector_score, place.vector_score),
              place.late_interaction_score ? score("Word by word", place.late_interaction_score, place.late_interaction_score) : "",
            ),
          ),
        ),
      ),
    ];
  }

  await Promise.all([draw(), openPart()]);
}

/**
 * @param {string} name
 * @param {number} value
 * @param {number} share 0 to 1.
 */
function score(name, value, share) {
  const meter = element("meter", { min: 0, max: 1, value: Math.max(0, Math.min(1, share)), "aria-hidden": "true" });
  return element("div", {}, element("dt", {}, name), element("dd", {}, meter, element("span", {}, value ? value.toFixed(3) : "–")));
}

/**
 * The list of documents stands beside the conversation; while this view is open it stands here.
 * @param {HTMLElement} place
 * @param {AbortSignal} signal
 */
function borrow(place, signal) {
  const scroll = /** @type {HTMLElement} */ (byId("documents").parentElement);
  const shelf = /** @type {HTMLElement} */ (scroll.parentElement);
  const parts = [...shelf.children].slice(1);
  place.append(...parts);
  signal.addEventListener("abort", () => shelf.append(...parts));
}
