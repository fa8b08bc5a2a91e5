/** What an agent answers besides text, drawn as what it is: plans, findings, changes, tests, disagreements. */

import { copiable } from "./copy.js";
import { element, icon } from "./dom.js";
import { count, number, percent } from "./format.js";
import { Graph } from "./graph.js";
import { STATES } from "./run.js";
import { table } from "./table.js";

/** @typedef {import("./dom.js").Child} Child */

/** Rows that are shown of a long table, and letters of a file. */
const MOST_ROWS = 200;
const MOST_LETTERS = 60_000;
const MOST_LINES = 2_000;

/** @type {Record<string, [string, string]>} Words and tone. */
const VERDICTS = {
  VERIFIED: ["Verified by running it", "good"],
  FAILED: ["Run, and it does not hold", "bad"],
  NOT_RUN: ["Not run", ""],
};

/**
 * @param {any} result Typed by its agent's schema.
 * @param {(agent: string) => string} agentName
 * @returns {HTMLElement[]}
 */
export function typedResult(result, agentName) {
  if (!result) return [];
  /** @type {(HTMLElement | false)[]} */
  const parts = [
    verdict(result),
    some(result.options) && options(result),
    some(result.plan) && plan(result, agentName),
    !some(result.plan) && some(result.steps) && steps(result.steps, agentName),
    result.meld && meld(result.meld, agentName),
    some(result.contradictions) && part("Where the documents disagree", conflicts(result.contradictions, agentName)),
    result.diff && part("Change", diff(result.diff)),
    some(result.tests) && part("Tests", tests(result.tests)),
    (result.coverage || result.mutation_score != null) && generated(result),
    some(result.suspicious_lines) && suspects(result.suspicious_lines),
    some(result.findings) && "rule" in result.findings[0] && rules(result.findings),
    some(result.observations) && observations(result.observations),
    some(result.milestones) && milestones(result.milestones),
    some(result.questions) && questions(result.questions),
    some(result.metrics) && metrics(result.metrics),
    sources(result.files),
    some(result.gaps) && part("What the documents do not say", element("ul", { class: "plain" }, ...result.gaps.map((/** @type {string} */ gap) => element("li", {}, gap)))),
  ];
  return parts.filter((made) => made !== false && made !== null && made !== undefined).map((made) => /** @type {HTMLElement} */ (made));
}

/** @param {unknown} list */
const some = (list) => Array.isArray(list) && list.length > 0;

/**
 * @param {string} title
 * @param {...Child} children
 */
function part(title, ...children) {
  return element("section", { class: "result" }, element("h3", {}, title), ...children);
}

/**
 * @param {string} label
 * @param {import("./table.js").Column[]} columns
 * @param {Child[][]} rows
 */
function resultTable(label, columns, rows) {
  const left = rows.length - MOST_ROWS;
  const shown = table(label, columns, rows.slice(0, MOST_ROWS), "result-table");
  if (left > 0) shown.append(element("p", { class: "left-out" }, `${number(left)} more are in the answer's JSON.`));
  return shown;
}

/** @param {any} result */
function verdict({ verdict: found, verdict_reason }) {
  const known = VERDICTS[found];
  if (!known) return false;
  const [words, tone] = known;
  return element(
    "p",
    { class: "verdict", "data-tone": tone },
    tone ? icon(tone === "good" ? "check" : "alert") : "",
    element("strong", {}, words),
    verdict_reason ? `: ${verdict_reason}` : "",
  );
}

/** @param {any} result */
function options({ options: weighed, decision }) {
  const rows = weighed.map((/** @type {any} */ { option, score, score_low, score_high, excluded = [], dominated_by = [] }) => {
    const why = [...excluded, ...(dominated_by.length ? [`${dominated_by.join(", ")} is at least as good in all`] : [])].join("; ");
    const range = score_low != null && score_high != null && score_low !== score_high ? ` (${score_low.toFixed(2)} to ${score_high.toFixed(2)})` : "";
    return [
      option === decision ? element("strong", {}, option) : option,
      score == null ? "–" : score.toFixed(2) + range,
      score == null ? "" : element("meter", { min: 0, max: 1, value: score, "aria-hidden": "true" }),
      option === decision ? "chosen" : why,
    ];
  });
  return part("Options", resultTable("Options", ["Option", { name: "Score", number: true }, "", "Remark"], rows));
}

/**
 * @param {any} result
 * @param {(agent: string) => string} agentName
 */
function plan({ plan: planned, plan_reason, steps: done = [] }, agentName) {
  const graph = new Graph(planned, agentName);
  if (some(done)) graph.show(done.map((/** @type {any} */ { step_id, state }) => ({ id: step_id, state })));
  return part(
    "Plan",
    element("div", { class: "graph-scroll", tabindex: "0", role: "region", "aria-label": "Plan as a graph" }, graph.element),
    plan_reason ? element("p", { class: "remark" }, plan_reason) : "",
  );
}

/**
 * @param {any[]} done
 * @param {(agent: string) => string} agentName
 */
function steps(done, agentName) {
  const rows = done.map(({ step_id, description, agent_id, state, reason, error, attempts }) => [
    (description || step_id || "").replaceAll("_", " "),
    agent_id ? agentName(agent_id) : "",
    (STATES[state] ?? VERDICTS[state]?.[0] ?? "") + (attempts > 1 ? `, try ${attempts}` : ""),
    error || reason || "",
  ]);
  return part("Steps", resultTable("Steps", ["Step", "Agent", "State", "Remark"], rows));
}

/**
 * Who says so: agents and steps.
 * @param {any} said
 * @param {(agent: string) => string} agentName
 */
function whose({ agent_ids = [], step_ids = [] }, agentName) {
  const names = agent_ids.length > 0 ? agent_ids.map(agentName) : step_ids.map((/** @type {string} */ id) => id.replaceAll("_", " "));
  return [...new Set(names)].join(", ");
}

/**
 * @param {any} melded
 * @param {(agent: string) => string} agentName
 */
function meld({ agreements = [], conflicts: disputed = [], singles = [], left_out_count = 0 }, agentName) {
  /** @param {any[]} list */
  const statements = (list) =>
    element(
      "ul",
      { class: "statements" },
      ...list.map((said) => element("li", {}, element("p", {}, said.statement), element("p", { class: "whose" }, whose(said, agentName)))),
    );
  return element(
    "section",
    { class: "result meld" },
    element("h3", {}, "What the agents say"),
    disputed.length > 0 && element("div", { class: "meld-part", "data-kind": "conflict" }, element("h4", {}, `They disagree on ${count(disputed.length, "point")}`), conflicts(disputed, agentName)),
    agreements.length > 0 && element("div", { class: "meld-part", "data-kind": "agreement" }, element("h4", {}, `They agree on ${count(agreements.length, "point")}`), statements(agreements)),
    singles.length > 0 && element("div", { class: "meld-part" }, element("h4", {}, "Said by one alone"), statements(singles)),
    left_out_count > 0 && element("p", { class: "left-out" }, `${count(left_out_count, "statement")} left out for length.`),
  );
}

/**
 * @param {any[]} list
 * @param {(agent: string) => string} agentName
 */
function conflicts(list, agentName) {
  return element(
    "ul",
    { class: "conflicts" },
    ...list.map(({ topic, sides = [], explanation }) =>
      element(
        "li",
        {},
        element("p", { class: "topic" }, topic),
        element("div", { class: "sides" }, ...sides.map((/** @type {any} */ side) => element("div", { class: "side" }, element("p", {}, side.statement), element("p", { class: "whose" }, whose(side, agentName))))),
        explanation ? element("p", { class: "remark" }, explanation) : "",
      ),
    ),
  );
}

/** @param {string} text A unified diff. */
function diff(text) {
  const lines = text.split("\n");
  /** @param {string} line */
  const kind = (line) => {
    if (/^(\+\+\+|---|diff |index )/.test(line)) return "file";
    if (line.startsWith("@@")) return "place";
    return line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : null;
  };
  const shown = lines.slice(0, MOST_LINES).map((line) => element("span", { class: kind(line) }, `${line}\n`));
  const block = element(
    "div",
    { class: "code", tabindex: "0", role: "region", "aria-label": "Change as a diff" },
    element("pre", {}, element("code", { class: "diff" }, ...shown)),
    lines.length > MOST_LINES && element("p", { class: "left-out" }, `${number(lines.length - MOST_LINES)} more lines.`),
  );
  return copiable(block, () => text, "the change");
}

/** @param {any[]} run */
function tests(run) {
  const bad = run.filter(({ outcome }) => !/^pass/i.test(outcome));
  const passed = run.length - bad.length;
  const rows = [...bad, ...run.filter((test) => !bad.includes(test))].map(({ test_id, outcome, exception, message, seconds }) => [
    element("code", {}, test_id),
    element("span", { class: "outcome", "data-tone": /^pass/i.test(outcome) ? "good" : "bad" }, String(outcome).toLowerCase()),
    [exception, message].filter(Boolean).join(": ").slice(0, 300),
    seconds == null ? "" : `${seconds.toFixed(2)} s`,
  ]);
  return element(
    "div",
    {},
    element("p", { class: "remark" }, `${number(passed)} of ${count(run.length, "test")} passed.`),
    resultTable("Tests", ["Test", "Outcome", "Message", { name: "Time", number: true }], rows),
  );
}

/** @param {any} result */
function generated({ passed, coverage, coverage_before, mutation_score, mutants, mutants_killed, survivors = [] }) {
  /** @type {[string, string][]} */
  const facts = [];
  if (passed != null) facts.push(["Tests that pass", number(passed)]);
  if (coverage) facts.push(["Lines reached", percent(coverage.line) + (coverage_before ? `, before ${percent(coverage_before.line)}` : "")]);
  if (coverage) facts.push(["Branches reached", percent(coverage.branch)]);
  if (mutation_score != null) facts.push(["Planted faults found", `${percent(mutation_score)} (${mutants_killed} of ${mutants})`]);
  return part(
    "Test report",
    element("dl", { class: "result-facts" }, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
    some(survivors) && resultTable("Planted faults that no test found", ["Place", "Planted fault that no test found"], survivors.map((/** @type {any} */ { path, line, description }) => [place(path, line), description])),
  );
}

/**
 * @param {string} path
 * @param {number} line
 */
const place = (path, line) => element("code", { class: path.length < 40 ? "place" : null }, line ? `${path}:${line}` : path);

/** @param {any[]} lines */
function suspects(lines) {
  return part(
    "Suspicious lines",
    resultTable("Suspicious lines", ["Place", "Line", { name: "Suspicion", number: true }], lines.map(({ path, line, code, score }) => [place(path, line), element("code", {}, code), score.toFixed(2)])),
  );
}

/** @param {any[]} found */
function rules(found) {
  return part(
    "Findings",
    resultTable("Findings", ["Severity", "Place", "Finding", "Rule"], found.map(({ severity, path, line, message, rule, tool }) => [
      element("span", { class: "outcome", "data-tone": /error|high|critical/i.test(severity) ? "bad" : "" }, String(severity).toLowerCase()),
      place(path, line),
      message,
      element("code", { title: tool }, rule),
    ])),
  );
}

/** @param {any[]} seen */
function observations(seen) {
  return part(
    "Observations",
    resultTable("Observations", ["What", { name: "Effect", number: true }, { name: "p, corrected", number: true }], seen.map(({ statement, effect, unit, corrected_p_value, significant }) => [
      significant ? element("strong", {}, statement) : statement,
      `${number(Math.round(effect * 1000) / 1000)} ${unit}`.trim(),
      corrected_p_value < 0.001 ? "< 0.001" : corrected_p_value.toFixed(3),
    ])),
  );
}

/** @param {any[]} list */
function milestones(list) {
  return part(
    "Milestones",
    element(
      "ol",
      { class: "milestones" },
      ...list.map(({ description, due_time }) =>
        element("li", {}, due_time ? element("time", { datetime: due_time }, new Date(due_time).toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" })) : "", element("span", {}, description)),
      ),
    ),
  );
}

/** @param {any[]} list */
function questions(list) {
  return part("Questions to practise", ...list.map(({ prompt, answer }) => element("details", { class: "practice" }, element("summary", {}, prompt), element("p", {}, answer))));
}

/** @param {any[]} list */
function metrics(list) {
  return element(
    "details",
    { class: "result folded" },
    element("summary", {}, `${count(list.length, "measurement")}`),
    resultTable("Measurements", ["What", { name: "Value", number: true }], list.map(({ name, value, unit }) => [String(name).replaceAll("_", " "), `${number(Math.round(value * 1000) / 1000)} ${unit ?? ""}`.trim()])),
  );
}

/** @param {any} files Source files; kept files are shown elsewhere. */
function sources(files) {
  const texts = Array.isArray(files) ? files.filter(({ content }) => typeof content === "string") : [];
  if (texts.length === 0) return false;
  return part(
    "Files",
    ...texts.map(({ path, content }) =>
      element(
        "details",
        { class: "practice" },
        element("summary", {}, element("code", {}, path)),
        copiable(
          element("div", { class: "code", tabindex: "0", role: "region", "aria-label": `Text of ${path}` }, element("pre", {}, element("code", {}, content.slice(0, MOST_LETTERS)))),
          () => content,
          path,
        ),
        content.length > MOST_LETTERS ? element("p", { class: "left-out" }, "The rest is in the answer's JSON.") : "",
      ),
    ),
  );
}
