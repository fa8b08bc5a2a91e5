/** The state of one run: what its events add up to. */

/** @typedef {import("./api.js").Answer} Answer */
/** @typedef {import("./api.js").Passage} Passage */
/** @typedef {import("./events.js").ServerEvent} ServerEvent */

/**
 * @typedef {object} ToolUse
 * @property {string} id
 * @property {string} tool
 * @property {boolean | null} succeeded Null while it runs.
 * @property {string} summary
 * @property {number | null} seconds
 */

/**
 * @typedef {object} Run
 * @property {string} agent Asked for; then the one that runs.
 * @property {{agent: string, confidence: number, reasons: string[]} | null} routing
 * @property {Passage[] | null} passages
 * @property {ToolUse[]} tools
 * @property {string} text The answer so far.
 * @property {import("./api.js").Degradation[]} degradations
 * @property {import("./api.js").Usage | null} usage
 * @property {"RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED"} outcome
 * @property {Answer | null} answer
 * @property {{reason: string, message: string} | null} error Why it FAILED.
 */

/**
 * @param {string} agent
 * @returns {Run}
 */
export function newRun(agent) {
  return {
    agent,
    routing: null,
    passages: null,
    tools: [],
    text: "",
    degradations: [],
    usage: null,
    outcome: "RUNNING",
    answer: null,
    error: null,
  };
}

/**
 * @param {Run} run
 * @param {ServerEvent} event
 * @returns {Run} The run after the event.
 */
export function after(run, { name, data }) {
  const change = CHANGES[name];
  return change ? { ...run, ...change(run, data[name] ?? data) } : run;
}

/** @param {ServerEvent} event */
export const isLast = (event) => event.name === "ended";

/**
 * An answer from the record, as the run that made it.
 * @param {Answer} answer
 * @returns {Run}
 */
export function ofAnswer(answer) {
  return {
    ...newRun(answer.agent),
    text: answer.text,
    degradations: answer.degraded ?? [],
    usage: answer.usage ?? null,
    outcome: "SUCCEEDED",
    answer,
  };
}

/**
 * One of each component; the last word on it counts.
 * @param {import("./api.js").Degradation[]} degradations
 */
function distinct(degradations) {
  return [...new Map(degradations.map((degradation) => [degradation.component, degradation])).values()];
}

/** @type {Record<string, (run: Run, said: any) => Partial<Run>>} */
const CHANGES = {
  started: (run, said) => ({ agent: said.agent || run.agent }),

  routing: (_, { agent, confidence, reasons }) => ({ agent, routing: { agent, confidence, reasons } }),

  passages: (run, { passages }) => ({ passages: [...(run.passages ?? []), ...passages] }),

  tool_started: (run, { call_id, tool }) => ({
    tools: [...run.tools, { id: call_id, tool, succeeded: null, summary: "", seconds: null }],
  }),

  tool_finished: (run, { call_id, succeeded, summary, duration_seconds }) => ({
    tools: run.tools.map((use) =>
      use.id === call_id ? { ...use, succeeded, summary, seconds: duration_seconds } : use,
    ),
  }),

  text: (run, { text, reset }) => ({ text: reset ? text : run.text + text }),

  degradation: (run, { component, reason }) => ({
    degradations: distinct([...run.degradations, { component, reason }]),
  }),

  usage: (_, usage) => ({ usage }),

  ended: (run, { outcome, result, error }) => ({
    outcome: outcome ?? "FAILED",
    answer: result,
    error,
    agent: result?.agent || run.agent,
    text: result?.text ?? run.text,
    usage: result?.usage ?? run.usage,
    degradations: distinct([...run.degradations, ...(result?.degraded ?? [])]),
  }),
};
