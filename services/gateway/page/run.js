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
 * @typedef {object} StepState A step of a workflow.
 * @property {string} id "approve_plan".
 * @property {"RUNNING" | "WAITING" | "SUCCEEDED" | "FAILED" | "SKIPPED" | "CANCELLED"} state
 * @property {number} attempt From 1; 0 before the first.
 * @property {string} reason Why it failed or was skipped, or what is asked of whoever decides.
 * @property {string | null} decideBefore RFC 3339, of a step that waits.
 */

/** @type {Record<string, string>} How a step stands, for people. */
export const STATES = {
  PENDING: "waiting for its turn",
  RUNNING: "at work",
  WAITING: "waits for a decision",
  SUCCEEDED: "done",
  FAILED: "failed",
  SKIPPED: "skipped",
  CANCELLED: "stopped",
};

/**
 * @typedef {object} Run
 * @property {string} id Empty until an event has told it.
 * @property {string} agent Asked for; then the one that runs.
 * @property {{agent: string, confidence: number, reasons: string[]} | null} routing
 * @property {Passage[] | null} passages
 * @property {ToolUse[]} tools
 * @property {StepState[]} steps Of a workflow, as they began.
 * @property {string} text The answer so far.
 * @property {import("./api.js").Degradation[]} degradations
 * @property {import("./api.js").Usage | null} usage
 * @property {number} began Milliseconds since 1970; 0 before the first event.
 * @property {Record<string, number>} moments Milliseconds after that, by what began: kind of event, tool use or step.
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
    id: "",
    agent,
    routing: null,
    passages: null,
    tools: [],
    steps: [],
    text: "",
    degradations: [],
    usage: null,
    began: 0,
    moments: {},
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
  if (!change) return run;
  const said = data[name] ?? data;
  return { ...run, id: data.run_id ?? run.id, ...moment(run, said.call_id ?? said.step_id ?? name, data.event_time), ...change(run, said) };
}

/**
 * @param {Run} run
 * @param {string} began
 * @param {string | null | undefined} time RFC 3339.
 */
function moment({ began: start, moments }, began, time) {
  const now = Date.parse(time ?? "");
  if (Number.isNaN(now) || began in moments) return {};
  return { began: start || now, moments: { ...moments, [began]: now - (start || now) } };
}

/** @param {string} id "approve_plan". */
export const stepName = (id) => id.replaceAll("_", " ");

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

  step: (run, { step_id, state, attempt, reason, decide_before }) => {
    const now = { id: step_id, state, attempt, reason, decideBefore: decide_before ?? null };
    const known = run.steps.some(({ id }) => id === step_id);
    return { steps: known ? run.steps.map((step) => (step.id === step_id ? now : step)) : [...run.steps, now] };
  },

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
