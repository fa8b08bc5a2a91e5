/** The reader beside the answer, loaded when the first document is opened. */

import { asProblem } from "./problem.js";

/** @typedef {import("./reader.js").Reader} Reader */

export class Reading {
  /** @type {Reader | null} */
  #reader = null;
  /** Counts what was asked for: what comes late is not opened. */
  #asked = 0;
  #announcer;
  #onToggle;

  /**
   * @param {import("./announcer.js").Announcer} announcer
   * @param {(open: boolean) => void} onToggle
   */
  constructor(announcer, onToggle) {
    this.#announcer = announcer;
    this.#onToggle = onToggle;
  }

  /**
   * @param {import("./reader.js").View} view
   * @param {HTMLElement} opener Gets the focus back when the reader closes.
   */
  async open(view, opener) {
    const asked = ++this.#asked;
    try {
      // A network that has just changed loses what is being loaded; a second time it comes.
      const { Reader } = await import("./reader.js").catch(() => import("./reader.js"));
      this.#reader ??= new Reader(this.#onToggle);
    } catch (error) {
      this.#announcer.say(`The document cannot be shown: ${asProblem(error).sentence}`);
      return;
    }
    if (asked === this.#asked) await this.#reader.open(view, opener);
  }

  close() {
    this.#asked += 1;
    this.#reader?.close();
  }

  /**
   * Forgets a text, for its document is gone.
   * @param {string} documentId
   */
  forget(documentId) {
    this.#reader?.forget(documentId);
  }
}
