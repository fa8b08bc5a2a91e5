/** The views beside the conversation: which one is open, and loading it when it is first wanted. */

import { address, goTo } from "./address.js";
import { byId, element, style } from "./dom.js";
import { asProblem } from "./problem.js";

/**
 * @typedef {object} House What a view gets from the page.
 * @property {AbortSignal} signal Aborted when the view is left.
 * @property {string} item What is open in the view, as the address has it.
 * @property {import("./announcer.js").Announcer} announcer
 * @property {(session: string) => Promise<void>} openConversation
 * @property {() => Promise<void>} conversationsChanged
 * @property {(session: string) => Promise<void>} conversationDeleted
 * @property {(view: import("./reader.js").View, opener: HTMLElement) => void} read Opens a document beside the view.
 * @property {import("./collections.js").Collections} collections
 * @property {(agent: string) => string} agentName
 * @property {() => Promise<void>} named Settled when agents have their names.
 * @property {() => import("./api.js").Agent[]} agents
 * @property {import("./turn.js").Company} company
 */

/** @typedef {(root: HTMLElement, house: House) => void | Promise<void>} Open */

/** @type {Record<string, {title: string, load: () => Promise<{open: Open}>}>} */
const VIEWS = {
  knowledge: { title: "Knowledge", load: () => import("./views/knowledge.js") },
  conversations: { title: "Conversations", load: () => import("./views/conversations.js") },
  workflows: { title: "Workflows", load: () => import("./views/workflows.js") },
  insights: { title: "Insights", load: () => import("./views/insights.js") },
  system: { title: "System", load: () => import("./views/system.js") },
  account: { title: "Account", load: () => import("./views/account.js") },
};

export class Views {
  #root = byId("view");
  #desk = byId("main");
  #places = byId("places");
  #leaving = new AbortController();
  #house;
  #onGone;

  /**
   * @param {Omit<House, "signal" | "item">} house
   * @param {() => void} onGone A view was chosen.
   */
  constructor(house, onGone) {
    this.#house = house;
    this.#onGone = onGone;
    this.#places.addEventListener("click", (event) => {
      const link = /** @type {HTMLElement} */ (event.target).closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.go(link.dataset.view ?? "ask");
    });
  }

  /** @param {string} view "ask" or the name of another. */
  go(view) {
    goTo({ view: view === "ask" ? "" : view, item: "" });
    this.#onGone();
    (view === "ask" ? byId("question") : this.#root).focus({ preventScroll: true });
  }

  /** Shows what the address names. */
  async show() {
    const { view, item } = address();
    const known = VIEWS[view];
    this.#leaving.abort();
    this.#leaving = new AbortController();
    const { signal } = this.#leaving;
    const name = known ? view : "ask";
    document.body.dataset.view = name;
    document.title = known ? `${known.title} · Meld & RAG` : "Meld & RAG";
    for (const link of this.#places.querySelectorAll("a")) {
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.#desk.hidden = Boolean(known);
    this.#root.hidden = !known;
    this.#root.replaceChildren();
    if (!known) return;
    this.#root.setAttribute("aria-busy", "true");
    try {
      const [{ open }] = await Promise.all([known.load(), style("/assets/views.css"), style("/assets/results.css")]);
      if (signal.aborted) return;
      const inner = element("div", { class: "view-inner" });
      this.#root.replaceChildren(inner);
      this.#root.scrollTop = 0;
      await open(inner, { ...this.#house, signal, item });
    } catch (error) {
      if (signal.aborted) return;
      this.#root.append(
        element(
          "div",
          { class: "failure", role: "alert" },
          element("p", {}, asProblem(error).sentence),
          element("button", { class: "small", type: "button", onclick: () => this.show() }, "Try again"),
        ),
      );
    } finally {
      if (!signal.aborted) this.#root.removeAttribute("aria-busy");
    }
  }
}
