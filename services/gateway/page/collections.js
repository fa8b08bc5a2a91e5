/** Which knowledge base is open, and making a new one. */

import { api } from "./api.js";
import { byId, element } from "./dom.js";
import { asProblem } from "./problem.js";

const CHOSEN = "meld.collection";
/** Set while questions go to all of them. */
const ALL = "meld.all";
/** How many one question goes to. */
const MOST = 16;
/** Made with the first file where there is none yet. */
const FIRST = "documents";
/** How many names are tried where somebody else of the house took them. */
const TRIES = 9;

export class Collections {
  #select = /** @type {HTMLSelectElement} */ (byId("collection"));
  #scope = /** @type {HTMLSelectElement} */ (byId("scope"));
  #dialog = /** @type {HTMLDialogElement} */ (byId("new-collection"));
  #form = /** @type {HTMLFormElement} */ (byId("new-collection-form"));
  #name = /** @type {HTMLInputElement} */ (byId("new-collection-name"));
  #error = byId("new-collection-error");
  /** @type {string[]} */
  #ids = [];
  #loaded = false;
  #onChoose;

  /** @param {(collection: string) => void} onChoose */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#select.addEventListener("change", () => this.choose(this.#select.value));
    this.#scope.addEventListener("change", () => {
      if (this.#scope.value) localStorage.setItem(ALL, "yes");
      else localStorage.removeItem(ALL);
    });
    byId("collection-new").addEventListener("click", () => this.#ask());
    byId("new-collection-cancel").addEventListener("click", () => this.#dialog.close());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#create();
    });
  }

  /** The open one; empty when there is none. */
  get current() {
    return this.#ids.includes(this.#select.value) ? this.#select.value : "";
  }

  /** Those that a question goes to. */
  get asked() {
    if (this.#scope.value) return this.#ids;
    return this.current ? [this.current] : [];
  }

  /** @throws {import("./problem.js").Problem} */
  async load() {
    this.#ids = (await api.collections()).map(({ id }) => id);
    this.#loaded = true;
    const wanted = localStorage.getItem(CHOSEN) ?? "";
    this.#draw(this.#ids.includes(wanted) ? wanted : (this.#ids[0] ?? FIRST));
    if (this.current) this.#onChoose(this.current);
    this.#tell();
  }

  /**
   * The open one, made if there is none.
   * @throws {import("./problem.js").Problem}
   */
  async ensure() {
    if (!this.#loaded) await this.load();
    for (let number = 1; !this.current; number += 1) {
      try {
        await this.#make(number === 1 ? FIRST : `${FIRST}-${number}`);
      } catch (error) {
        if (asProblem(error).reason !== "COLLECTION_EXISTS" || number === TRIES) throw error;
        // It may have been made in another window meanwhile.
        await this.load();
      }
    }
    return this.current;
  }

  /** @param {string} chosen */
  #draw(chosen) {
    const ids = this.#ids.length > 0 ? this.#ids : [FIRST];
    this.#select.replaceChildren(...ids.map((id) => element("option", { value: id }, id)));
    this.#select.value = chosen;
    const several = this.#ids.length > 1 && this.#ids.length <= MOST;
    this.#scope.replaceChildren(
      element("option", { value: "" }, `In ${chosen}`),
      ...(several ? [element("option", { value: "all" }, `In all ${ids.length} collections`)] : []),
    );
    this.#scope.value = several && localStorage.getItem(ALL) ? "all" : "";
    this.#scope.hidden = !several;
  }

  /** Asks for a name and makes one. */
  begin() {
    this.#ask();
  }

  /**
   * Opens another.
   * @param {string} id
   */
  choose(id) {
    localStorage.setItem(CHOSEN, id);
    this.#draw(id);
    this.#onChoose(id);
    this.#tell();
  }

  /** For a view that shows them all. */
  #tell() {
    this.#select.dispatchEvent(new CustomEvent("chosen"));
  }

  #ask() {
    this.#form.reset();
    this.#error.textContent = "";
    this.#dialog.showModal();
  }

  async #create() {
    try {
      await this.#make(this.#name.value.trim());
      this.#dialog.close();
    } catch (error) {
      this.#error.textContent = asProblem(error).sentence;
      this.#name.focus();
    }
  }

  /** @param {string} name */
  async #make(name) {
    const { id } = await api.createCollection(name, "");
    this.#ids = [...new Set([...this.#ids, id])].sort();
    this.choose(id);
  }
}
