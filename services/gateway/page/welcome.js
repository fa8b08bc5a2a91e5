/** What a newcomer sees: how it works while there are no documents, questions to begin with after. */

import { byId, element } from "./dom.js";

/** @typedef {import("./api.js").Agent} Agent */

const MOST_EXAMPLES = 4;

export class Welcome {
  #root;
  #examples = byId("examples");
  #onPropose;

  /**
   * @param {HTMLElement} root
   * @param {(question: string) => void} onPropose
   */
  constructor(root, onPropose) {
    this.#root = root;
    this.#onPropose = onPropose;
  }

  /**
   * Offers a question of each of the first agents that have one.
   * @param {Agent[]} agents
   */
  offer(agents) {
    const questions = agents.flatMap(({ examples = [] }) => examples.slice(0, 1)).slice(0, MOST_EXAMPLES);
    this.#examples.replaceChildren(
      ...questions.map((question) =>
        element("li", {}, element("button", { type: "button", onclick: () => this.#onPropose(question) }, question)),
      ),
    );
  }

  /** @param {number} known Documents in the collection. */
  documents(known) {
    this.#root.dataset.documents = known > 0 ? "some" : "none";
  }

  /** @param {number} turns */
  turns(turns) {
    this.#root.hidden = turns > 0;
  }
}
