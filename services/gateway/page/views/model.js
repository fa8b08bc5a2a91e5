/** The embedding model of a collection: which one answers, another one in its place, and the way back. */

import { BASE, collectionPath, json, requestId } from "../api.js";
import { element, icon } from "../dom.js";
import { count, number } from "../format.js";
import { asked, field, section, single, trouble, watch } from "./parts.js";

/** @typedef {{name: string, dimension: number, revision: string | null, configured: boolean}} Model */

/** @typedef {{embedding_model: string, dimension: number, embedding_revision: string | null}} Vectors Whose they are. */

/** @typedef {Vectors & {stage: string, chunks: number, vectors: number, refused_chunks: number, reverts: boolean}} Build */

/**
 * @typedef {object} State What a collection says of its vectors.
 * @property {string} [role]
 * @property {string} [owner]
 * @property {number} chunks
 * @property {number} vectors
 * @property {string | null} embedding_notice Why its model cannot be asked.
 * @property {Build | null} reembedding
 * @property {(Vectors & {vectors: number, expires: string | null}) | null} previous_embedding
 */

/** @typedef {import("../api.js").Collection & Vectors & State} Known */

/** As long as a model may take to show that it answers, and some more. */
const DEADLINE = 30_000;
/** @type {Record<string, string>} */
const STAGES = {
  EMBEDDING: "Passages are being embedded",
  INDEXING: "All vectors are there; the index is learning them",
  STALLED: "The model refuses what is left. Delete those documents, or give it up",
};

/** @type {import("./knowledge.js").OpenPart} */
export async function open(root, { signal, collection, announcer, changed }) {
  const url = collectionPath(collection);
  const path = `${url}/reembed`;
  /** @type {[{embedding_models: Model[]}, Known]} */
  const [{ embedding_models }, first] = await Promise.all([json("GET", `${BASE}/embedding-models`, { signal }), json("GET", url, { signal })]);
  if (signal.aborted) return;
  const place = element("div", {});
  const outage = element("div", {});
  const held = element("dd", {});
  const bar = element("progress", { "aria-label": "Progress of the new vectors" });
  const built = element("span", { class: "row-facts" });
  let heading = element("h3", {});
  let known = first;
  /** What it was drawn from: what asks "are you sure?", and what is chosen, must survive the next look. */
  let drawn = "";
  /** Counts looks and what makes them old. */
  let looks = 0;
  root.append(place, outage);

  async function look() {
    looks += 1;
    const mine = looks;
    try {
      const now = await json("GET", url, { signal });
      if (mine !== looks || signal.aborted) return;
      outage.replaceChildren();
      draw(now);
    } catch (error) {
      if (mine === looks && !signal.aborted) outage.replaceChildren(trouble(error, look));
    }
  }

  /**
   * @param {string} method
   * @param {string} where
   * @param {object} [body]
   */
  const act = (method, where, body) => async () => {
    const now = await json(method, where, { body, deadline: DEADLINE, key: requestId() });
    looks += 1;
    if (signal.aborted) return;
    draw(now);
    heading.focus(); // What was pressed is gone.
  };

  /** @param {Known} now */
  function draw(now) {
    const told = happened(known, now);
    if (told) announcer.say(told);
    if (!alike(known, now)) changed(); // The list above counts vectors.
    known = now;
    const { role, owner, embedding_model, dimension, embedding_revision, embedding_notice, reembedding, previous_embedding } = now;
    const shape = JSON.stringify([role, owner, embedding_model, dimension, embedding_revision, embedding_notice, reembedding && { ...reembedding, chunks: 0, vectors: 0, refused_chunks: 0 }, previous_embedding]);
    if (shape !== drawn) {
      drawn = shape;
      const within = place.contains(document.activeElement);
      place.replaceChildren(...all(now));
      if (within) heading.focus();
    }
    held.textContent = `${number(now.vectors)} of ${number(now.chunks)}`;
    if (!reembedding) return;
    bar.max = Math.max(1, reembedding.chunks);
    bar.value = reembedding.vectors;
    const refused = reembedding.refused_chunks ? `, ${number(reembedding.refused_chunks)} refused so far` : "";
    built.textContent = `${number(reembedding.vectors)} of ${count(reembedding.chunks, "passage")}${refused}`;
  }

  /** @param {Known} now */
  function all(now) {
    const owns = now.role === "OWNER";
    const parts = [answering(now)];
    if (now.reembedding) parts.push(building(now, now.reembedding, owns));
    if (now.previous_embedding) parts.push(before(now.previous_embedding, owns && !now.reembedding));
    if (!owns) parts.push(element("p", { class: "part-note" }, `Which model it has, its owner says${now.owner ? ` (${now.owner})` : ""}.`));
    else if (!now.reembedding) parts.push(another(now));
    return parts;
  }

  /** @param {Known} now */
  function answering({ embedding_model, dimension, embedding_revision, embedding_notice }) {
    heading = element("h3", { tabindex: "-1" }, `${embedding_model} ${embedding_notice ? "cannot answer" : "answers now"}`);
    return element(
      "section",
      { class: "card building", "aria-label": "Model now" },
      heading,
      embedding_notice ? element("p", { class: "notice" }, icon("alert"), embedding_notice) : "",
      element(
        "dl",
        { class: "facts" },
        ...[element("dt", {}, "passages with a vector"), held],
        ...[element("dt", {}, "dimensions"), element("dd", {}, number(dimension))],
        ...(embedding_revision ? [element("dt", {}, "revision"), element("dd", {}, element("code", {}, embedding_revision))] : []),
      ),
    );
  }

  /**
   * @param {Known} now
   * @param {Build} build
   * @param {boolean} owns
   */
  function building(now, { embedding_model, stage, reverts }, owns) {
    return element(
      "section",
      { class: "card building", "aria-label": "Vectors being built anew" },
      element("h3", {}, reverts ? `Going back to ${embedding_model}` : `Built anew with ${embedding_model}`),
      element("p", { class: "muted" }, `${STAGES[stage] ?? stage}. ${untilThen(now)}`),
      bar,
      element("div", { class: "report-head" }, built, owns && asked("Give up", `Give up ${embedding_model}`, act("DELETE", path))),
    );
  }

  /**
   * @param {NonNullable<Known["previous_embedding"]>} kept
   * @param {boolean} may
   */
  function before({ embedding_model, vectors, expires }, may) {
    const until = expires ? ` until ${new Date(expires).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}` : "";
    return element(
      "section",
      { class: "card building", "aria-label": "Vectors before" },
      element("h3", {}, `${embedding_model} answered before`),
      element("p", { class: "muted" }, `Its ${count(vectors, "vector")} ${vectors === 1 ? "is" : "are"} kept${until}.`),
      may &&
        element(
          "div",
          { class: "view-actions" },
          asked("Go back", `Go back to ${embedding_model}`, act("POST", `${path}/revert`)),
          asked("Forget it now", `Forget it now: ${embedding_model}`, act("POST", `${path}/finish`)),
        ),
    );
  }

  /** @param {Known} now */
  function another(now) {
    const offered = embedding_models.filter((one) => !agrees(one, now));
    if (offered.length === 0) {
      return section("Another model", element("p", {}, "This house is set to use no other. Who runs it sets MELD_EMBEDDING_MODEL or MELD_OTHER_EMBEDDING_MODELS, or puts a model's folder where it looks for them."));
    }
    const select = element("select", {}, ...offered.map((one) => element("option", { value: one.name }, optionOf(one, now))));
    const said = element("div", { role: "status" });
    const start = single(async () => {
      said.replaceChildren(element("p", { class: "rule" }, `${select.value} is asked whether it answers.`));
      try {
        await act("POST", path, { embedding_model: select.value })();
      } catch (error) {
        if (!signal.aborted) said.replaceChildren(trouble(error));
      }
    });
    const kept = now.previous_embedding;
    const lost = kept && offered.some((one) => !agrees(one, kept)) ? ` What is kept of ${kept.embedding_model} is forgotten once a third model begins.` : "";
    const form = element("form", { class: "card fields" }, field("Model", select), element("button", { class: "small primary", type: "submit" }, "Build its vectors"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
    return section("Another model", element("p", {}, `Its vectors are built beside those that there are, and answer once they are whole. ${untilThen(now)} Meanwhile there must be space for the vectors of both.${lost}`), form, said);
  }

  draw(first);
  watch(signal, () => known.reembedding !== null, look);
}

/** @param {Known} now */
const untilThen = ({ embedding_model, embedding_notice }) => (embedding_notice ? "Until then search is by words only." : `Until then ${embedding_model} answers.`);

/**
 * @param {Model} model
 * @param {Known} now
 */
function optionOf({ name, dimension, configured }, now) {
  const apart = name === now.embedding_model && dimension === now.dimension ? "another revision" : count(dimension, "dimension");
  return `${name}, ${apart}${configured ? ", of new collections" : ""}`;
}

/**
 * Whether it made these vectors, as far as is known.
 * @param {Model} model
 * @param {Vectors} vectors
 */
function agrees({ name, dimension, revision }, { embedding_model, dimension: wide, embedding_revision }) {
  return name === embedding_model && dimension === wide && (!revision || !embedding_revision || revision === embedding_revision);
}

/**
 * @param {Vectors} one
 * @param {Vectors} other
 */
const alike = (one, other) => one.embedding_model === other.embedding_model && one.dimension === other.dimension && one.embedding_revision === other.embedding_revision;

/**
 * What has changed for people between two looks; empty for nothing.
 * @param {Known} before
 * @param {Known} now
 */
function happened(before, now) {
  if (!alike(before, now)) return `${now.embedding_model} answers now`;
  if (now.reembedding && !before.reembedding) return `Vectors of ${now.reembedding.embedding_model} are being built`;
  if (before.reembedding && !now.reembedding) return `${before.reembedding.embedding_model} was given up`;
  if (before.previous_embedding && !now.previous_embedding) return `The vectors of ${before.previous_embedding.embedding_model} are forgotten`;
  return "";
}
