/** What was said in conversations: looking for it, and the place where it stands. */

import { BASE, json } from "../api.js";
import { byId, element } from "../dom.js";
import { sleep } from "../events.js";

/** @typedef {import("../api.js").Session} Session */

/**
 * @typedef {object} Match A conversation in which it was said.
 * @property {Session} session
 * @property {{sequence: number, role: string, agent: string | null, created: string | null} | null} message
 *   Null where the title alone has it.
 * @property {{text: string, matched: boolean}[]} snippet
 */

/** Milliseconds without a key until it is looked for. */
const PAUSE = 200;
/** Matches that are enough for now, and calls after which people are asked whether to go on. */
const ENOUGH = 20;
const CALLS = 20;

/** A field, and what is found for the words in it. */
export class Search {
  input = element("input", {
    type: "search",
    class: "search",
    "aria-label": "Search conversations",
    placeholder: 'Search what was said: words or "a phrase"',
    autocomplete: "off",
    maxlength: 500,
  });
  /** @type {Match[]} */
  found = [];
  /** Where to go on; empty when all has been searched. */
  next = "";
  /** @type {unknown} */
  problem = null;
  busy = false;
  #left;
  #draw;
  /** Aborted when other words are looked for. */
  #changed = new AbortController();
  #signal;

  /**
   * @param {AbortSignal} left Aborted when the view is left.
   * @param {() => void} draw
   */
  constructor(left, draw) {
    this.#left = left;
    this.#signal = left;
    this.#draw = draw;
    this.input.addEventListener("input", () => this.#begin());
  }

  /** What is looked for; empty when nothing is. */
  get wanted() {
    return this.input.value.trim();
  }

  /** Goes on with older conversations. */
  more() {
    return this.#go(this.#signal);
  }

  /** @param {string} session That is gone. */
  forget(session) {
    this.found = this.found.filter((match) => match.session.id !== session);
  }

  async #begin() {
    this.#changed.abort();
    this.#changed = new AbortController();
    const signal = AbortSignal.any([this.#left, this.#changed.signal]);
    this.#signal = signal;
    await sleep(this.wanted ? PAUSE : 0, signal);
    if (signal.aborted) return;
    this.found = [];
    this.next = "";
    this.problem = null;
    this.busy = false;
    if (this.wanted) await this.#go(signal);
    else this.#draw();
  }

  /** @param {AbortSignal} signal */
  async #go(signal) {
    const enough = this.found.length + ENOUGH;
    this.busy = true;
    this.problem = null;
    this.#draw();
    try {
      for (let calls = 0; calls < CALLS; calls += 1) {
        const query = new URLSearchParams({ page_size: String(ENOUGH), ...(this.next && { page_token: this.next }) });
        const page = await json("POST", `${BASE}/sessions/search?${query}`, { body: { query: this.wanted }, signal });
        if (signal.aborted) return;
        this.found.push(...page.matches);
        this.next = page.next_page_token ?? "";
        if (!this.next || this.found.length >= enough) break;
        if (page.matches.length > 0) this.#draw();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.problem = error;
    }
    this.busy = false;
    this.#draw();
  }
}

/** @param {Match["snippet"]} pieces */
export const marked = (pieces) => pieces.map(({ text, matched }) => (matched ? element("mark", {}, text) : text));

/**
 * Goes to the turn of the open conversation to which a message belongs, or to the oldest that is shown.
 * @param {number} sequence
 */
export function showMessage(sequence) {
  const thread = byId("turns");
  /** @type {HTMLElement[]} */
  const turns = [...thread.querySelectorAll(".turn[id]")];
  const turn = turns.findLast(({ id }) => Number(id.slice(1)) <= sequence);
  const place = turn ?? turns[0];
  if (!place) return; // It is gone by now, which the page says.
  if (!turn) {
    thread.prepend(element("p", { class: "rule", role: "status" }, "What was found is further up than what is shown here. An export has all of it."));
  }
  place.tabIndex = -1;
  place.classList.add("found");
  place.scrollIntoView({ block: "start" });
  place.focus({ preventScroll: true });
}
