/**
 * The panels beside the conversation: the library on the left, the reader on
 * the right. In a narrow window they lie over it, and then only the panel on
 * top can be reached.
 */

import { byId } from "./dom.js";

/** As in styles.css. */
const NARROW = matchMedia("(max-width: 759.98px)");

export class Panels {
  #library = byId("library");
  #desks = [byId("main"), byId("view")];
  #topbar = byId("topbar");
  #menu = byId("menu");
  #veil = byId("veil");
  #readerOpen = false;
  #libraryOpen = false;

  /** @param {() => void} closeReader */
  constructor(closeReader) {
    this.#menu.addEventListener("click", () => this.#showLibrary(true));
    byId("library-close").addEventListener("click", () => this.#showLibrary(false));
    this.#veil.addEventListener("click", () => this.#closeTop(closeReader));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      this.#closeTop(closeReader);
    });
    NARROW.addEventListener("change", () => this.#arrange());
    this.#arrange();
  }

  /** @param {boolean} open */
  readerToggled(open) {
    this.#readerOpen = open;
    this.#arrange();
  }

  /** Gives the conversation the room, after something was chosen in the library. */
  leaveLibrary() {
    if (this.#libraryOpen) this.#showLibrary(false);
  }

  /** @param {() => void} closeReader */
  #closeTop(closeReader) {
    if (this.#readerOpen) closeReader();
    else if (this.#libraryOpen) this.#showLibrary(false);
  }

  /** @param {boolean} open */
  #showLibrary(open) {
    this.#libraryOpen = open;
    this.#arrange();
    (open ? byId("library-close") : this.#menu).focus();
  }

  #arrange() {
    if (!NARROW.matches) this.#libraryOpen = false;
    const readerOver = this.#readerOpen && NARROW.matches;
    const libraryOver = this.#libraryOpen;
    this.#library.classList.toggle("open", libraryOver);
    this.#library.inert = NARROW.matches && (readerOver || !libraryOver);
    for (const desk of this.#desks) desk.inert = readerOver || libraryOver;
    this.#topbar.inert = readerOver || libraryOver;
    this.#menu.setAttribute("aria-expanded", String(libraryOver));
    this.#veil.hidden = !(readerOver || libraryOver);
    document.body.classList.toggle("reading", this.#readerOpen);
  }
}
