/** Workflows: their steps as a graph, a run of one with each step's state as it changes. */

import { setAddress } from "../address.js";
import { BASE, api, json, requestId } from "../api.js";
import { element } from "../dom.js";
import { follow } from "../events.js";
import { count } from "../format.js";
import { Graph, needs, titleOf } from "../graph.js";
import { faultOf, inputsOf, readText } from "../inputs.js";
import { Problem, asProblem } from "../problem.js";
import { STATES, after, isLast, newRun } from "../run.js";
import { Turn } from "../turn.js";
import { MOST, button, cut, empty, field, head } from "./parts.js";

/** The last run of each workflow in this tab, to come back to. */
const LAST = "meld.workflow.";

/**
 * @typedef {object} Workflow
 * @property {string} id
 * @property {string} title
 * @property {string} description
 * @property {import("../graph.js").Step[]} steps
 * @property {boolean} built_in
 */

/** @type {import("../views.js").Open} */
export async function open(root, house) {
  const { signal, named, item } = house;
  const [{ workflows, next_page_token }] = await Promise.all([json("GET", `${BASE}/workflows?page_size=${MOST}`, { signal }), named()]);
  if (signal.aborted) return;
  root.append(head("Workflows", "Several agents at work, each on its step."));
  if (workflows.length === 0) {
    root.append(empty("No workflow is known here", "They come with the house, or are stored by POST /api/v1/workflows."));
    return;
  }
  const place = element("div", { class: "workflow" });
  let leaving = new AbortController();
  signal.addEventListener("abort", () => leaving.abort());
  const list = element("ul", { class: "workflow-list", "aria-label": "Workflows" });
  /** @param {Workflow} workflow */
  const choose = (workflow) => {
    leaving.abort();
    leaving = new AbortController();
    for (const entry of list.querySelectorAll("button")) {
      if (entry.dataset.id === workflow.id) entry.setAttribute("aria-current", "true");
      else entry.removeAttribute("aria-current");
    }
    place.replaceChildren(...shown(workflow, house, leaving.signal));
  };
  list.append(
    ...workflows.map((/** @type {Workflow} */ workflow) =>
      element(
        "li",
        {},
        element(
          "button",
          {
            type: "button",
            "data-id": workflow.id,
            onclick: () => {
              setAddress({ item: workflow.id });
              choose(workflow);
            },
          },
          element("span", { class: "row-title" }, workflow.title),
          element("span", { class: "row-facts" }, `${count(workflow.steps.length, "step")}${workflow.built_in ? "" : ", yours"}`),
        ),
      ),
    ),
  );
  root.append(cut(next_page_token, "workflows"), element("div", { class: "workflows" }, list, place));
  choose(workflows.find((/** @type {Workflow} */ { id }) => id === item) ?? workflows[0]);
}

/**
 * Pickers for the code that steps take from the inputs.
 * @param {Workflow} workflow
 */
function takes(workflow) {
  const inputs = inputsOf(workflow);
  return ["files", "tests"]
    .filter((name) => inputs.includes(name))
    .map((name) => {
      const input = element("input", { type: "file", multiple: true });
      return { name, input, label: field(name === "files" ? "Code" : "Tests", input) };
    });
}

/**
 * The texts in the pickers, by the inputs that they are.
 * @param {{name: string, input: HTMLInputElement}[]} pickers
 * @returns {Promise<Record<string, import("../inputs.js").Text[]>>}
 * @throws {Problem}
 */
async function picked(pickers) {
  const inputs = Object.fromEntries(
    await Promise.all(pickers.map(async ({ name, input }) => [name, await Promise.all(Array.from(input.files ?? [], readText))])),
  );
  const fault = faultOf(Object.values(inputs).flat());
  if (fault) throw new Problem({ status: 400, detail: fault });
  return inputs;
}

/**
 * @param {Workflow} workflow
 * @param {import("../views.js").House} house
 * @param {AbortSignal} signal
 */
function shown(workflow, house, signal) {
  const { company, agentName, collections } = house;
  const graph = new Graph(workflow.steps, agentName);
  const states = new Map(workflow.steps.map((step) => [step.step_id, element("span", { class: "row-facts" })]));
  const before = needs(workflow.steps);
  const names = new Map(workflow.steps.map((step) => [step.step_id, titleOf(step)]));
  const question = element("textarea", { rows: 2, maxlength: 32_000, "aria-label": "What the workflow shall do", placeholder: "What shall it do?", required: true });
  const pickers = takes(workflow);
  const start = element("button", { class: "small primary", type: "submit" }, "Run");
  const stop = button("Stop", () => cancel());
  stop.hidden = true;
  const said = element("p", { class: "rule", role: "status" });
  const form = element("form", { class: "card run-form" }, question, ...pickers.map(({ label }) => label), element("div", { class: "view-actions" }, start, stop), said);
  const answer = element("div", { class: "run-answer" });
  let runId = "";

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const message = question.value.trim();
    if (message === "") return;
    start.disabled = true;
    said.textContent = "";
    try {
      const known = collections.current ? [collections.current] : [];
      const inputs = await picked(pickers);
      const { run_id } = await api.startRun({ agent: "", workflow: workflow.id, message, collections: known, inputs }, requestId());
      sessionStorage.setItem(LAST + workflow.id, JSON.stringify({ run_id, message }));
      await watch(run_id, message);
    } catch (error) {
      said.textContent = asProblem(error).sentence;
      start.disabled = false;
    }
  });

  async function cancel() {
    try {
      await api.cancelRun(runId);
    } catch (error) {
      said.textContent = `It could not be stopped: ${asProblem(error).sentence}`;
    }
  }

  /**
   * @param {string} run_id
   * @param {string} message
   */
  async function watch(run_id, message) {
    runId = run_id;
    const turn = new Turn(message, company);
    let run = newRun("executor");
    answer.replaceChildren(turn.element);
    start.disabled = true;
    stop.hidden = false;
    const again = () => {
      question.value = message;
      question.focus();
    };
    try {
      await follow(api.eventsUrl(run_id), {
        signal,
        isLast,
        onConnection: (connected) => turn.connected(connected),
        onEvent: (event) => {
          run = after(run, event);
          turn.show(run);
          graph.show(run.steps);
          for (const { id, state, reason } of run.steps) {
            const place = states.get(id);
            if (place) place.textContent = [STATES[state] ?? state, state === "WAITING" ? "" : reason].filter(Boolean).join(": ");
          }
        },
      });
      if (signal.aborted) return;
      if (run.outcome === "CANCELLED") turn.stopped(again);
      if (run.outcome === "FAILED") turn.fail(new Problem({ reason: run.error?.reason, detail: run.error?.message, title: "The run failed" }), again);
    } catch (error) {
      if (signal.aborted) return;
      turn.fail(asProblem(error), again);
    }
    start.disabled = false;
    stop.hidden = true;
  }

  /** @type {{run_id: string, message: string} | null} */
  const last = JSON.parse(sessionStorage.getItem(LAST + workflow.id) ?? "null");
  if (last) watch(last.run_id, last.message);
  return [
    element("h2", { class: "workflow-title" }, workflow.title),
    element("p", { class: "part-note" }, workflow.description),
    element("div", { class: "graph-scroll", tabindex: "0", role: "region", "aria-label": `Steps of ${workflow.title} as a graph` }, graph.element),
    element(
      "details",
      { class: "steps-told" },
      element("summary", {}, "Steps in words"),
      element(
        "ol",
        { class: "rows" },
        ...workflow.steps.map((step) =>
          element(
            "li",
            { class: "row" },
            element(
              "div",
              { class: "row-name" },
              element("span", { class: "row-title" }, titleOf(step)),
              element("span", { class: "row-facts" }, [agentName(step.agent_id ?? ""), [...(before.get(step.step_id) ?? [])].map((name) => `after ${names.get(name)}`).join(", ")].filter(Boolean).join(" · ")),
            ),
            states.get(step.step_id),
          ),
        ),
      ),
    ),
    form,
    answer,
  ];
}
