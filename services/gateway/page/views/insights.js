/** Insights: what was recorded about runs and what they used, and nothing else. */

import { BASE, json } from "../api.js";
import { element, icon, shape } from "../dom.js";
import { count, dollars, duration, number, percent } from "../format.js";
import { table } from "../table.js";
import { choice, empty, head, section, tiles, trouble } from "./parts.js";

/** @type {[string, string][]} */
const PERIODS = [
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["30d", "30 days"],
];
const CHOSEN = "meld.period";

/**
 * @typedef {object} Figures
 * @property {number} runs
 * @property {number} succeeded
 * @property {number} failed
 * @property {number} cancelled
 * @property {number} running
 * @property {number | null} success_rate
 * @property {number | null} median_seconds
 * @property {number | null} p95_seconds
 * @property {number | null} input_tokens
 * @property {number | null} output_tokens
 * @property {number | null} cost_usd
 * @property {number} measured_runs
 * @property {number} model_runs
 * @property {number} priced_runs
 */

/** @type {import("../views.js").Open} */
export async function open(root, { signal, agentName, named, openConversation }) {
  let period = localStorage.getItem(CHOSEN) ?? "7d";
  if (!PERIODS.some(([name]) => name === period)) period = "7d";
  const exports = element("span", { class: "view-actions" });
  const body = element("div", { class: "insights" });
  const choose = choice("Period", PERIODS, period, (chosen) => {
    period = chosen;
    localStorage.setItem(CHOSEN, chosen);
    draw();
  });
  root.append(head("Insights", "Your runs, from what was recorded about them.", choose, exports), body);

  async function draw() {
    const url = `${BASE}/insights?period=${period}`;
    exports.replaceChildren(link(`${url}&format=csv`, "CSV"), link(url, "JSON"));
    body.setAttribute("aria-busy", "true");
    try {
      const asked = period;
      const [told] = await Promise.all([json("GET", url, { signal }), named()]);
      if (signal.aborted || asked !== period) return;
      body.replaceChildren(...parts(told));
      // Where it does not fit, the latest is what is looked for.
      for (const figure of body.querySelectorAll(".chart")) figure.scrollLeft = figure.scrollWidth;
    } catch (error) {
      if (!signal.aborted) body.replaceChildren(trouble(error, draw));
    } finally {
      body.removeAttribute("aria-busy");
    }
  }

  /** @param {any} told */
  function parts(told) {
    if (told.runs === 0) {
      return [empty("Nothing was recorded in this time", "Figures appear once something has been asked, and go when its record expires (PERMANENT_SESSION_LIFETIME). They are never estimated.")];
    }
    const bound = told.complete
      ? []
      : [element("p", { class: "notice" }, icon("alert"), `Only the latest ${number(told.runs)} runs of this time are counted.`)];
    const rate = told.success_rate;
    return [
      ...bound,
      tiles([
        { name: "Runs", value: number(told.runs), detail: told.running ? `${number(told.running)} under way` : "" },
        { name: "Conversations", value: number(told.sessions) },
        { name: "Succeeded", value: rate === null ? "–" : percent(rate), detail: outcomes(told) },
        { name: "Half answered within", value: time(told.median_seconds), detail: told.p95_seconds === null ? "" : `95 % within ${time(told.p95_seconds)}` },
      ]),
      section("Tokens and cost", ...used(told)),
      section("Runs over time", chart(told.spans, period)),
      section("Agents", agents(told.agents)),
      element("p", { class: "left-out" }, "Counted are runs that are still kept: they expire after PERMANENT_SESSION_LIFETIME, a day unless it was set. Steps of workflows are not counted."),
      ...(told.failures.length > 0 ? [section("Latest failures", failures(told.failures))] : []),
    ];
  }

  /** @param {(Figures & {agent: string})[]} rows */
  function agents(rows) {
    const most = Math.max(...rows.map(({ runs }) => runs));
    return table(
      "Agents",
      ["Agent", { name: "Runs", number: true }, { name: "Share", unseen: true }, { name: "Succeeded", number: true }, { name: "Half within", number: true }, { name: "95 % within", number: true }, { name: "Tokens in", number: true }, { name: "Tokens out", number: true }, { name: "Cost", number: true }],
      rows.map((row) => [
        agentName(row.agent),
        number(row.runs),
        bar(row.runs / most),
        row.success_rate === null ? "–" : percent(row.success_rate),
        time(row.median_seconds),
        time(row.p95_seconds),
        row.input_tokens === null ? unknown() : number(row.input_tokens),
        row.output_tokens === null ? unknown() : number(row.output_tokens),
        cost(row),
      ]),
    );
  }

  /** @param {{run_id: string, agent: string, session_id: string | null, created: string}[]} rows */
  function failures(rows) {
    return table(
      "Latest failures",
      ["When", "Agent", "Run", { name: "Conversation", unseen: true }],
      rows.map(({ run_id, agent, session_id, created }) => [
        new Date(created).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }),
        agentName(agent),
        element("code", {}, run_id),
        session_id
          ? element("button", { class: "small", type: "button", "aria-label": `Open the conversation of ${run_id}`, onclick: () => openConversation(session_id) }, "Open")
          : "",
      ]),
    );
  }

  await draw();
}

/** @param {Figures} figures */
function outcomes({ succeeded, failed, cancelled }) {
  return [`${number(succeeded)} succeeded`, `${number(failed)} failed`, cancelled ? `${number(cancelled)} stopped` : ""].filter(Boolean).join(", ");
}

const unknown = () => element("span", { class: "muted" }, "not known");

/**
 * What it cost, or why nobody knows.
 * @param {Figures} figures
 */
function cost({ cost_usd, measured_runs, model_runs, priced_runs }) {
  if (cost_usd !== null) return `${dollars(cost_usd)}${priced_runs < model_runs ? " and more" : ""}`;
  return measured_runs > 0 && model_runs === 0 ? element("span", { class: "muted" }, "no model") : unknown();
}

/**
 * @param {Figures} figures
 * @returns {HTMLElement[]}
 */
function used(figures) {
  const { runs, running, input_tokens, output_tokens, cost_usd, measured_runs, model_runs, priced_runs } = figures;
  if (measured_runs === 0) return [empty("What was used is not known", "Runs say it when they end. Those that ended before there was a record of it, or in the middle, have not.")];
  if (model_runs === 0) return [empty("No model was asked", `${count(measured_runs, "run")} of this time answered without one, from documents and by computing.`)];
  const untold = runs - running - measured_runs;
  const notes = [
    priced_runs < model_runs ? `The cost of ${count(model_runs - priced_runs, "run")} is not known: MELD_MODEL_PRICES has no price of the model.` : "",
    untold > 0 ? `${count(untold, "run")} ended without saying what was used.` : "",
  ].filter(Boolean);
  return [
    tiles([
      { name: "Tokens sent to models", value: number(input_tokens ?? 0) },
      { name: "Tokens they answered", value: number(output_tokens ?? 0) },
      { name: "Cost", value: cost_usd === null ? "not known" : dollars(cost_usd), detail: cost_usd === null ? "" : `of ${count(priced_runs, "run")}` },
      { name: "Runs that asked a model", value: number(model_runs), detail: `of ${number(measured_runs)}` },
    ]),
    ...(notes.length > 0 ? [element("p", { class: "left-out" }, notes.join(" "))] : []),
  ];
}

/** @param {number | null} seconds */
const time = (seconds) => (seconds === null ? "–" : duration(seconds * 1000));

/**
 * @param {string} href
 * @param {string} words
 */
function link(href, words) {
  return element("a", { class: "small", href, download: "", "aria-label": `Export as ${words}` }, icon("download"), words);
}

/** @param {number} share 0 to 1. */
function bar(share) {
  return shape(
    "svg",
    { class: "bar", width: 120, height: 6, viewBox: "0 0 120 6", "aria-hidden": "true" },
    shape("rect", { width: 120, height: 6, rx: 3, class: "bar-all" }),
    shape("rect", { width: Math.max(3, 120 * share), height: 6, rx: 3, class: "bar-part" }),
  );
}

/**
 * Runs by span as columns; the failed part of each is drawn apart.
 * @param {{until: string, runs: number, failed: number}[]} spans
 * @param {string} period
 */
function chart(spans, period) {
  const [width, height, floor] = [720, 150, 22];
  const most = Math.max(1, ...spans.map(({ runs }) => runs));
  const step = width / spans.length;
  const breadth = Math.min(36, step * 0.64);
  const every = Math.ceil(spans.length / 8);
  const columns = spans.flatMap(({ until, runs, failed }, index) => {
    const x = index * step + (step - breadth) / 2;
    const tall = runs ? Math.max(3, (runs / most) * (height - 30)) : 0;
    const bad = runs ? (failed / runs) * tall : 0;
    const label = moment(until, period);
    return [
      shape(
        "g",
        {},
        shape("title", {}, `${label}: ${count(runs, "run")}, ${number(failed)} failed`),
        shape("rect", { class: "column-place", x: index * step, y: 0, width: step, height }),
        shape("rect", { class: "column", x, y: height - tall, width: breadth, height: tall - bad, rx: Math.min(3, tall / 2) }),
        ...(bad ? [shape("rect", { class: "column-bad", x, y: height - bad, width: breadth, height: bad })] : []),
        ...(runs ? [shape("text", { class: "column-value", x: x + breadth / 2, y: height - tall - 6 }, number(runs))] : []),
      ),
      ...(index % every === 0 ? [shape("text", { class: "column-name", x: index * step + step / 2, y: height + 16 }, label)] : []),
    ];
  });
  const told = spans.filter(({ runs }) => runs > 0).map(({ until, runs }) => `${moment(until, period)} ${runs}`);
  return element(
    "figure",
    { class: "card chart", tabindex: "0", "aria-label": "Runs over time, as columns" },
    shape(
      "svg",
      { viewBox: `0 0 ${width} ${height + floor}`, role: "img", "aria-label": `Runs over time: ${told.join("; ")}` },
      shape("line", { class: "ground", x1: 0, x2: width, y1: height + 0.5, y2: height + 0.5 }),
      ...columns,
    ),
  );
}

/**
 * @param {string} time
 * @param {string} period
 */
function moment(time, period) {
  const then = new Date(time);
  return period === "24h"
    ? then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })
    : then.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}
