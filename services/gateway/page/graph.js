/** Steps of a workflow or of a plan, drawn with what each waits for. */

import { shape } from "./dom.js";
import { count } from "./format.js";
import { STATES } from "./run.js";

const [WIDTH, HEIGHT, APART, BELOW, EDGE] = [224, 58, 46, 22, 6];
/** Letters that fit into a box, of its title and of what is under it. */
const [LETTERS, SMALL_LETTERS] = [23, 28];

/**
 * @typedef {object} Step
 * @property {string} step_id
 * @property {string} [title]
 * @property {string} [agent_id] Empty where a step melds or asks.
 * @property {string[]} [after]
 * @property {{source?: string}[]} [bindings]
 * @property {{source?: string}} [condition]
 * @property {object} [approval]
 * @property {object} [meld]
 */

/**
 * What each step waits for: what it is said to follow, and what it takes something from.
 * @param {Step[]} steps
 * @returns {Map<string, Set<string>>}
 */
export function needs(steps) {
  const known = new Set(steps.map(({ step_id }) => step_id));
  return new Map(
    steps.map(({ step_id, after = [], bindings = [], condition }) => {
      const sources = [...bindings.map(({ source = "" }) => source), condition?.source ?? ""].map((source) => source.split(".")[0]);
      return [step_id, new Set([...after, ...sources].filter((name) => known.has(name) && name !== step_id))];
    }),
  );
}

/** @param {Step} step */
export const titleOf = ({ step_id, title }) => title || step_id.replaceAll("_", " ");

export class Graph {
  element;
  /** @type {Map<string, SVGElement>} */
  #boxes = new Map();
  #steps;

  /**
   * @param {Step[]} steps
   * @param {(agent: string) => string} agentName
   */
  constructor(steps, agentName) {
    this.#steps = steps;
    const before = needs(steps);
    const columns = layers(steps, before);
    const tallest = Math.max(1, ...columns.map((column) => column.length));
    const width = columns.length * (WIDTH + APART) - APART + 2 * EDGE;
    const height = tallest * (HEIGHT + BELOW) - BELOW + 2 * EDGE;
    /** @type {Map<string, {x: number, y: number}>} */
    const places = new Map();
    for (const [at, column] of columns.entries()) {
      const free = height - (column.length * (HEIGHT + BELOW) - BELOW);
      for (const [row, { step_id }] of column.entries()) {
        places.set(step_id, { x: EDGE + at * (WIDTH + APART), y: free / 2 + row * (HEIGHT + BELOW) });
      }
    }
    const edges = steps.flatMap((step) => [...(before.get(step.step_id) ?? [])].map((name) => edge(places.get(name), places.get(step.step_id), step)));
    const boxes = steps.map((step) => {
      const box = drawn(step, places.get(step.step_id), agentName);
      this.#boxes.set(step.step_id, box);
      return box;
    });
    this.element = shape("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "img" }, ...edges, ...boxes);
    this.show([]);
  }

  /**
   * Shows how the steps stand.
   * @param {{id: string, state: string}[]} states
   */
  show(states) {
    const known = new Map(states.map(({ id, state }) => [id, state]));
    for (const [id, box] of this.#boxes) box.setAttribute("data-state", known.get(id) ?? "");
    const words = this.#steps.map((step) => {
      const state = known.get(step.step_id);
      return titleOf(step) + (state ? `: ${STATES[state] ?? state}` : "");
    });
    this.element.setAttribute("aria-label", `${count(this.#steps.length, "step")}. ${words.join("; ")}`);
  }
}

/**
 * Steps by how many others come before them at least.
 * @param {Step[]} steps
 * @param {Map<string, Set<string>>} before
 */
function layers(steps, before) {
  /** @type {Map<string, number>} */
  const depth = new Map(steps.map(({ step_id }) => [step_id, 0]));
  // As many rounds as steps are enough; a ring, which no checked workflow has, ends too.
  for (let round = 0; round < steps.length; round += 1) {
    for (const [id, names] of before) {
      for (const name of names) depth.set(id, Math.min(steps.length - 1, Math.max(depth.get(id) ?? 0, (depth.get(name) ?? 0) + 1)));
    }
  }
  /** @type {Step[][]} */
  const columns = [];
  for (const step of steps) (columns[depth.get(step.step_id) ?? 0] ??= []).push(step);
  return columns.filter(Boolean);
}

/**
 * @param {{x: number, y: number} | undefined} from
 * @param {{x: number, y: number} | undefined} to
 * @param {Step} step Where it ends.
 */
function edge(from, to, step) {
  if (!from || !to) return "";
  const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const middle = (x1 + x2) / 2;
  return shape("path", { class: step.condition ? "edge maybe" : "edge", d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2 - 5} ${y2}m-5 -4l5 4l-5 4` });
}

/**
 * @param {Step} step
 * @param {{x: number, y: number} | undefined} place
 * @param {(agent: string) => string} agentName
 */
function drawn(step, place, agentName) {
  const { x, y } = place ?? { x: 0, y: 0 };
  const kind = step.approval ? "Somebody decides" : step.meld ? "Melds the answers" : step.agent_id === "auto" ? "The agent that fits" : agentName(step.agent_id ?? "");
  const title = titleOf(step);
  return shape(
    "g",
    { class: "node", transform: `translate(${x} ${y})` },
    shape("title", {}, `${title} (${kind})`),
    shape("rect", { width: WIDTH, height: HEIGHT, rx: 9 }),
    shape("circle", { cx: 17, cy: 20.5, r: 4.5 }),
    shape("text", { class: "node-title", x: 31, y: 25 }, short(title, LETTERS)),
    shape("text", { class: "node-kind", x: 31, y: 43 }, short(kind, SMALL_LETTERS)),
  );
}

/**
 * @param {string} words
 * @param {number} most
 */
const short = (words, most) => (words.length > most ? `${words.slice(0, most - 1).trimEnd()}…` : words);
