/** The question box: what is asked, of whom, and stopping it. */

import { byId, element, icon } from "./dom.js";

/** @typedef {import("./api.js").Agent} Agent */

const AGENT = "meld.agent";
const AUTO = { id: "auto", name: "Auto", purpose: "The agent that fits the question is chosen for you." };

export class Ask {
  #form = /** @type {HTMLFormElement} */ (byId("ask"));
  #question = /** @type {HTMLTextAreaElement} */ (byId("question"));
  #agent = /** @type {HTMLSelectElement} */ (byId("agent"));
  #send = byId("send");
  #busy = false;
  #onAsk;
  #onStop;

  /**
   * @param {(question: string, agent: string) => void} onAsk
   * @param {() => void} onStop
   */
  constructor(onAsk, onStop) {
    this.#onAsk = onAsk;
    this.#onStop = onStop;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#question.addEventListener("keydown", (event) => {
      // While an input method composes, Enter accepts its proposal.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#busy) this.#submit();
    });
    this.#question.addEventListener("input", () => this.#fit());
    this.#agent.addEventListener("change", () => {
      localStorage.setItem(AGENT, this.#agent.value);
      this.#explain();
    });
    this.offer([]);
    this.busy(false);
  }

  /**
   * Offers the agents.
   * @param {Agent[]} agents
   */
  offer(agents) {
    const wanted = localStorage.getItem(AGENT) ?? AUTO.id;
    this.#agent.replaceChildren(
      ...[AUTO, ...agents].map(({ id, name, purpose }) => element("option", { value: id, title: purpose }, name)),
    );
    this.#agent.value = wanted;
    if (this.#agent.selectedIndex < 0) this.#agent.value = AUTO.id;
    this.#explain();
  }

  /** @param {boolean} busy */
  busy(busy) {
    this.#busy = busy;
    const label = busy ? "Stop" : "Ask";
    this.#send.setAttribute("aria-label", label);
    this.#send.title = busy ? "Stop" : "Ask (Enter)";
    this.#send.dataset.busy = String(busy);
    this.#send.replaceChildren(icon(busy ? "stop" : "send"));
  }

  /**
   * Puts a question into the box, for the person to send or change.
   * @param {string} question
   */
  propose(question) {
    this.#question.value = question;
    this.#fit();
    this.focus();
  }

  focus() {
    this.#question.focus();
  }

  #submit() {
    if (this.#busy) {
      this.#onStop();
      return;
    }
    const question = this.#question.value.trim();
    if (question === "") return;
    this.#question.value = "";
    this.#fit();
    this.#onAsk(question, this.#agent.value);
  }

  /** Grows with what is written; style sheets bound it. */
  #fit() {
    this.#question.style.height = "auto";
    this.#question.style.height = `${this.#question.scrollHeight}px`;
  }

  #explain() {
    this.#agent.title = this.#agent.selectedOptions[0]?.title ?? "";
  }
}
