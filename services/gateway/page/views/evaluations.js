/** Evaluations of a collection: asked with a golden set, in sum and query by query, two settings side by side. */

import { collectionPath, json } from "../api.js";
import { element, icon } from "../dom.js";
import { readEvents } from "../events.js";
import { ago, count, duration, number } from "../format.js";
import { reach } from "../login.js";
import { Problem, failed } from "../problem.js";
import { table } from "../table.js";
import { GoldenFile } from "./golden.js";
import { MOST, button, cut, empty, field, single, sure, trouble } from "./parts.js";

const PAGE = 100;
/** @type {[string, string][]} */
const MODES = [
  ["hybrid", "Words and meaning"],
  ["lexical", "Words"],
  ["dense", "Meaning"],
];

/** @typedef {{mean: number, low: number, high: number, queries: number}} Mean */

/**
 * @typedef {object} Report
 * @property {string} id
 * @property {string} label
 * @property {string} golden_sha256
 * @property {number} queries
 * @property {number} judgements
 * @property {string} embedding_model
 * @property {number} documents
 * @property {number} chunks
 * @property {number} pending_vectors
 * @property {{name: string, mode: string, top_k: number, metrics: Record<string, Mean>, latency_seconds: Record<string, number>}[]} settings
 * @property {{metric: string, difference: number, low: number, high: number, wins: number, losses: number, ties: number, p_value: number}[]} comparisons
 * @property {string | null} created
 * @property {number} elapsed_seconds
 */

/** @type {import("./knowledge.js").OpenPart} */
export async function open(root, { signal, collection, announcer }) {
  const base = `${collectionPath(collection)}/evaluations`;
  const list = element("div", {});
  const report = element("div", {});
  /** Counts what was opened: an older, slower one is not shown. */
  let opened = 0;

  async function draw() {
    try {
      const { evaluations, next_page_token } = await json("GET", `${base}?page_size=${MOST}`, { signal });
      if (signal.aborted) return;
      list.replaceChildren(
        evaluations.length > 0 ? overview(evaluations) : empty("No evaluation yet", "It asks the queries of a golden set and measures how well what should answer is found."),
        cut(next_page_token, "evaluations"),
      );
    } catch (error) {
      if (!signal.aborted) list.replaceChildren(trouble(error, draw));
    }
  }

  /** @param {Report[]} known */
  function overview(known) {
    return table(
      "Evaluations",
      ["Golden set", "When", { name: "Queries", number: true }, "Setting", { name: "nDCG", number: true }, { name: "MRR", number: true }, { name: "Delete", unseen: true }],
      known.map((one) => [
        element("button", { class: "row-title", type: "button", onclick: () => show(one) }, nameOf(one)),
        element("span", { class: "muted" }, one.created ? ago(new Date(one.created)) : ""),
        number(one.queries),
        stacked(one.settings.map(({ name }) => name)),
        stacked(one.settings.map(({ metrics }) => mean(metrics, "ndcg"))),
        stacked(one.settings.map(({ metrics }) => mean(metrics, "mrr"))),
        sure("trash", `Delete the evaluation ${nameOf(one)}`, { yes: "Delete", no: "Keep" }, () => remove(one)),
      ]),
    );
  }

  /** @param {Report} one */
  async function remove({ id }) {
    await reached("DELETE", `${base}/${encodeURIComponent(id)}`, signal);
    if (report.dataset.id === id) report.replaceChildren();
    announcer.say("The evaluation is deleted");
    await draw();
  }

  /** @param {Report} one */
  async function show(one) {
    opened += 1;
    const mine = opened;
    report.dataset.id = one.id;
    const url = `${base}/${encodeURIComponent(one.id)}`;
    const queries = await byQuery(url, one, signal);
    if (signal.aborted || mine !== opened) return;
    const heading = element("h3", { tabindex: "-1" }, nameOf(one));
    report.replaceChildren(
      element(
        "section",
        { class: "report", "aria-label": "Report" },
        element("div", { class: "report-head" }, heading, button("Close", () => report.replaceChildren(), { name: "Close the report" })),
        ...inSum(one),
        ...queries,
      ),
    );
    heading.focus();
  }

  root.append(
    element("p", { class: "part-note" }, "A golden set is a list of queries with what should answer them, as NDJSON or JSON. Whoever may read this collection may evaluate it and sees all evaluations of it."),
    form(base, signal, announcer, async (made) => {
      await draw();
      await show(made);
    }),
    list,
    report,
  );
  await draw();
}

/**
 * @param {string} base
 * @param {AbortSignal} signal
 * @param {import("../announcer.js").Announcer} announcer
 * @param {(made: Report) => Promise<void>} onMade
 */
function form(base, signal, announcer, onMade) {
  const file = element("input", { type: "file", required: true, accept: ".ndjson,.jsonl,.json" });
  const label = element("input", { type: "text", maxlength: 100, autocomplete: "off", placeholder: "as the file is named" });
  const first = element("select", {}, element("option", { value: "" }, "As the file says, else both"), ...MODES.map(option));
  const second = element("select", {}, element("option", { value: "" }, "Nothing"), ...MODES.map(option));
  const start = element("button", { class: "small primary", type: "submit" }, "Evaluate");
  const bar = element("progress", { "aria-label": "Progress of the evaluation" });
  const told = element("span", { class: "row-facts" });
  let running = new AbortController();
  const stop = button("Stop", () => running.abort());
  const progress = element("div", { class: "work", hidden: true }, bar, told, stop);
  const said = element("div", { role: "status" });
  const made = element(
    "form",
    { class: "card fields evaluate" },
    field("Golden set", file),
    field("Label", label),
    field("Setting", first),
    field("Compared with", second),
    start,
  );
  second.addEventListener("change", () => {
    if (second.value && !first.value) first.value = "hybrid"; // Two settings have both to be said.
  });
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    running = new AbortController();
    start.disabled = true;
    said.replaceChildren();
    progress.hidden = false;
    bar.removeAttribute("value");
    told.textContent = "Reading the golden set";
    try {
      const given = /** @type {FileList} */ (file.files)[0];
      const golden = await GoldenFile.read(given);
      const settings = [first.value, second.value].filter(Boolean).map((mode) => ({ name: mode, mode }));
      const more = { label: label.value.trim() || golden.header.label || given.name, ...(settings.length > 0 && { settings }) };
      const report = await evaluate(base, golden.body(more), AbortSignal.any([signal, running.signal]), ({ done, total }) => {
        bar.max = total;
        bar.value = done;
        told.textContent = `${number(done)} of ${number(total)} asked`;
      });
      announcer.say("The evaluation is done");
      made.reset();
      await onMade(report);
    } catch (error) {
      if (signal.aborted) return;
      said.replaceChildren(running.signal.aborted ? element("p", { class: "rule" }, "Stopped. Nothing of it is kept.") : trouble(error));
    } finally {
      start.disabled = false;
      progress.hidden = true;
    }
  });
  return element("div", { class: "evaluation-form" }, made, progress, said);
}

/** @param {[string, string]} mode */
const option = ([value, words]) => element("option", { value }, words);

/**
 * @param {string} url
 * @param {string} body NDJSON.
 * @param {AbortSignal} signal Ends the evaluation.
 * @param {(progress: {done: number, total: number}) => void} onProgress
 * @returns {Promise<Report>}
 * @throws {Problem}
 */
async function evaluate(url, body, signal, onProgress) {
  const connection = new AbortController();
  const limit = AbortSignal.any([signal, connection.signal]);
  const headers = { Accept: "text/event-stream", "Content-Type": "application/x-ndjson" };
  const response = await reach(url, { method: "POST", headers, body, signal: limit });
  if (!response.ok) throw await failed(response);
  for await (const { name, data } of readEvents(response, connection)) {
    if (name === "error") throw new Problem(data);
    if (name === "end") return data;
    onProgress(data);
  }
  throw new Problem({ reason: "CUT_OFF", title: "The evaluation was cut off", detail: "The evaluation was cut off before it was done. Nothing of it is kept." });
}

/**
 * @param {Report} report
 * @returns {HTMLElement[]}
 */
function inSum({ golden_sha256, queries, judgements, embedding_model, documents, chunks, pending_vectors, settings, comparisons, created, elapsed_seconds }) {
  const compared = new Map(comparisons.map((one) => [one.metric, one]));
  const names = [...new Set(settings.flatMap(({ metrics }) => Object.keys(metrics)))];
  const two = settings.length > 1;
  const columns = [
    "Measure",
    ...settings.map(({ name }) => ({ name, number: true })),
    ...(two ? [{ name: "Difference", number: true }, "Better, worse, alike", { name: "p", number: true }] : []),
  ];
  const rows = names.map((metric) => {
    const difference = compared.get(metric);
    return [
      metricName(metric),
      ...settings.map(({ metrics }) => interval(metrics[metric])),
      ...(two ? comparison(difference) : []),
    ];
  });
  const times = [
    ["p50", "Half of the searches within"],
    ["p95", "95 % within"],
    ["max", "The longest"],
  ].map(([key, words]) => [words, ...settings.map(({ latency_seconds }) => milliseconds(latency_seconds[key])), ...(two ? ["", "", ""] : [])]);
  return [
    table("In sum", columns, [...rows, ...times]),
    element(
      "p",
      { class: "left-out" },
      `${queries === 1 ? "1 query" : `${number(queries)} queries`}, ${count(judgements, "judgement")}, over ${count(documents, "document")} with ${count(chunks, "passage")}`,
      pending_vectors ? `, ${number(pending_vectors)} of them without a vector yet` : "",
      `. Model ${embedding_model || "none"}. ${created ? new Date(created).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : ""}, ${duration(elapsed_seconds * 1000)}. In brackets: where the mean lies with 95 % confidence.`,
    ),
    element("p", { class: "left-out" }, "Golden set ", element("code", {}, golden_sha256)),
  ];
}

/** @param {Report["comparisons"][number] | undefined} difference */
function comparison(difference) {
  if (!difference) return ["–", "", ""];
  const { difference: by, low, high, wins, losses, ties, p_value } = difference;
  // Only what chance rarely makes is marked.
  const tone = low > 0 ? "good" : high < 0 ? "bad" : "";
  return [
    element("span", { class: "state", "data-tone": tone }, `${signed(by)} [${signed(low)}, ${signed(high)}]`),
    `${number(wins)}, ${number(losses)}, ${number(ties)}`,
    p_value < 0.001 ? "< 0.001" : p_value.toFixed(3),
  ];
}

/**
 * What was measured query by query; further pages on demand.
 * @param {string} url
 * @param {Report} report
 * @param {AbortSignal} signal
 */
async function byQuery(url, { settings }, signal) {
  const names = Object.keys(settings[0]?.metrics ?? {});
  const metric = element("select", { "aria-label": "Measure of each query" }, ...names.map((name) => element("option", { value: name }, metricName(name))));
  const place = element("div", {});
  const more = button("Show more", () => load());
  const two = settings.length > 1;
  /** @type {{id: string, query: string, outcomes: {metrics: Record<string, number>, first_rank: number | null, hits: number, missed: number[]}[]}[]} */
  let known = [];
  let next = "";
  const load = single(async () => {
    try {
      const query = new URLSearchParams({ page_size: String(PAGE), ...(next && { page_token: next }) });
      const page = await json("GET", `${url}/queries?${query}`, { signal });
      known = [...known, ...page.queries];
      next = page.next_page_token ?? "";
      more.hidden = next === "";
      draw();
    } catch (error) {
      if (!signal.aborted) place.replaceChildren(trouble(error, load));
    }
  });
  function draw() {
    const name = metric.value;
    place.replaceChildren(
      table(
        "Query by query",
        [
          "Query",
          ...settings.map(({ name: setting }) => ({ name: setting, number: true })),
          ...(two ? [{ name: "Difference", number: true }] : []),
          ...settings.map(({ name: setting }) => ({ name: two ? `First found, ${setting}` : "First found", number: true })),
          { name: "Missed", number: true },
        ],
        known.map(({ id, query, outcomes }) => {
          const values = outcomes.map(({ metrics }) => metrics[name]);
          const by = values[1] - values[0];
          return [
            element("span", { title: id }, query),
            ...values.map((value) => (value === undefined ? "–" : value.toFixed(3))),
            ...(two ? [Number.isFinite(by) ? element("span", { class: "state", "data-tone": by > 0 ? "good" : by < 0 ? "bad" : "" }, signed(by)) : "–"] : []),
            ...outcomes.map(({ first_rank }) => (first_rank ? number(first_rank) : "never")),
            outcomes.map(({ missed }) => number(missed.length)).join(" / "),
          ];
        }),
      ),
    );
  }
  metric.addEventListener("change", draw);
  await load();
  return [
    element(
      "div",
      { class: "report-head" },
      element("h4", {}, "Query by query"),
      element(
        "span",
        { class: "view-actions" },
        metric,
        element("a", { class: "small", href: `${url}/queries.csv`, download: "", "aria-label": "All queries as CSV" }, icon("download"), "CSV"),
      ),
    ),
    place,
    more,
  ];
}

/**
 * As json, for what has no answer.
 * @param {string} method
 * @param {string} url
 * @param {AbortSignal} signal
 */
async function reached(method, url, signal) {
  const response = await reach(url, { method, signal: AbortSignal.any([signal, AbortSignal.timeout(15_000)]) });
  if (!response.ok) throw await failed(response);
}

/** @param {string[]} lines One for each setting. */
const stacked = (lines) => element("span", { class: "stacked" }, ...lines.map((line) => element("span", {}, line)));

/** @param {Report} report */
const nameOf = ({ label, id }) => label || id;

/**
 * The first mean whose name begins so: cutoffs differ.
 * @param {Record<string, Mean>} metrics
 * @param {string} begin
 */
function mean(metrics, begin) {
  const name = Object.keys(metrics).find((known) => known.startsWith(begin));
  return name ? metrics[name].mean.toFixed(3) : "–";
}

/** @param {Mean | undefined} measured */
const interval = (measured) => (measured ? `${measured.mean.toFixed(3)} [${measured.low.toFixed(3)}, ${measured.high.toFixed(3)}]` : "–");

/** @param {number} value */
const signed = (value) => `${value > 0 ? "+" : ""}${value.toFixed(3)}`;

/** @param {number} seconds */
const milliseconds = (seconds) => (seconds === undefined ? "–" : `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms`);

/**
 * "ndcg@10" as people write it.
 * @param {string} metric
 */
function metricName(metric) {
  const [name, cutoff] = metric.split("@");
  const words = /** @type {Record<string, string>} */ ({ ndcg: "nDCG", recall: "Recall", mrr: "MRR", citation_precision: "Citations that hold their quote" })[name] ?? name;
  return cutoff ? `${words} at ${cutoff}` : words;
}
