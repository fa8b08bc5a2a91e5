/** Whether the house is up, asked of /readyz, and a banner that names what is down. */

import { element } from "./dom.js";
import { asProblem, failed } from "./problem.js";

/** Milliseconds between questions while all is well, and while something is down. */
const CALM = 30_000;
const ALERT = 3_000;
const DEADLINE = 5_000;

/** @type {Record<string, string>} */
const NAMES = {
  agents: "answers (agents)",
  vector: "documents and search (vector)",
  session: "conversations (session)",
};

export class Health {
  #banner;
  #onRecovery;
  #down = "";
  #timer = 0;

  /**
   * @param {HTMLElement} banner
   * @param {() => void} onRecovery
   */
  constructor(banner, onRecovery) {
    this.#banner = banner;
    this.#onRecovery = onRecovery;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.look();
    });
  }

  /** Asks now, and again from time to time. */
  async look() {
    clearTimeout(this.#timer);
    const down = await whatIsDown();
    const recovered = this.#down !== "" && down === "";
    if (down !== this.#down) this.#show(down);
    this.#down = down;
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.look(), down ? ALERT : CALM);
    if (recovered) this.#onRecovery();
  }

  /** @param {string} down */
  #show(down) {
    this.#banner.hidden = down === "";
    this.#banner.replaceChildren(
      element("p", {}, down),
      element("button", { class: "small", type: "button", onclick: () => this.look() }, "Check again"),
    );
  }
}

/** @param {string} part */
const named = (part) => NAMES[part] ?? part;

/** @returns {Promise<string>} A sentence; empty when nothing is down. */
async function whatIsDown() {
  try {
    const response = await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(DEADLINE) });
    if (response.ok) return "";
    if (response.status !== 503) throw await failed(response);
    const { down } = await response.json();
    return `Not available: ${down.map(named).join(", ")}. What does not need it still works.`;
  } catch (error) {
    return asProblem(error).sentence;
  }
}
