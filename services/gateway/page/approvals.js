/** Steps of a workflow that wait for somebody: what is asked, and the two answers. */

import { api } from "./api.js";
import { element } from "./dom.js";
import { asProblem } from "./problem.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./run.js").StepState} StepState */

export class Approvals {
  element = element("div", { class: "approvals" });
  /** @type {Map<string, HTMLElement>} By step. */
  #boxes = new Map();
  #announcer;
  #home;

  /**
   * @param {import("./announcer.js").Announcer} announcer
   * @param {HTMLElement} home Gets the focus when what had it has been decided.
   */
  constructor(announcer, home) {
    this.#announcer = announcer;
    this.#home = home;
  }

  /** @param {Run} run */
  show(run) {
    const waiting = run.outcome === "RUNNING" ? run.steps.filter(({ state }) => state === "WAITING") : [];
    const names = new Set(waiting.map(({ id }) => id));
    for (const [id, box] of this.#boxes) {
      if (!names.has(id)) this.#remove(id, box);
    }
    for (const step of waiting) {
      if (this.#boxes.has(step.id)) continue;
      const box = this.#box(run.id, step);
      this.#boxes.set(step.id, box);
      this.element.append(box);
      // Who is typing is not interrupted: it is told, and the buttons are where reading goes on.
      this.#announcer.say(`Your decision is needed: ${step.reason}`);
    }
  }

  /**
   * @param {string} id
   * @param {HTMLElement} box
   */
  #remove(id, box) {
    const hadFocus = box.contains(document.activeElement);
    box.remove();
    this.#boxes.delete(id);
    if (hadFocus) (this.element.querySelector("button") ?? this.#home).focus();
  }

  /**
   * @param {string} run
   * @param {StepState} step
   */
  #box(run, { id, reason, decideBefore }) {
    let deciding = false;
    const said = element("p", { class: "approval-said", role: "status" }, decideBefore && until(decideBefore));
    /** @param {boolean} approved */
    const decide = async (approved) => {
      if (deciding) return;
      deciding = true;
      box.setAttribute("aria-busy", "true");
      said.textContent = approved ? "Approving…" : "Rejecting…";
      try {
        await api.decide(run, id, approved);
        said.textContent = approved ? "Approved." : "Rejected.";
      } catch (error) {
        deciding = false;
        said.textContent = asProblem(error).sentence;
      }
      box.removeAttribute("aria-busy");
    };
    const box = element(
      "section",
      { class: "approval", "aria-label": "Decision" },
      element("p", { class: "approval-question" }, reason || "Shall it go on?"),
      element(
        "div",
        { class: "approval-row" },
        element("button", { class: "small primary", type: "button", onclick: () => decide(true) }, "Approve"),
        element("button", { class: "small", type: "button", onclick: () => decide(false) }, "Reject"),
        said,
      ),
    );
    return box;
  }
}

/** @param {string} time RFC 3339. */
function until(time) {
  return `Waits until ${new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}.`;
}
