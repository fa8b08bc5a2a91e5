/** Keys that work everywhere outside of fields, and the sheet that lists them. */

import { byId } from "./dom.js";

/** "off" keeps single letters for those who speak to their machine or hit keys by accident (WCAG 2.1.4). */
const LETTERS = "meld.letters";
/** Milliseconds in which the second letter must follow "g". */
const PATIENCE = 1_500;

/** @type {Record<string, string>} */
const PLACES = {
  a: "ask",
  k: "knowledge",
  c: "conversations",
  w: "workflows",
  i: "insights",
  s: "system",
  u: "account",
};

export const letters = {
  get on() {
    return localStorage.getItem(LETTERS) !== "off";
  },
  set on(wanted) {
    localStorage.setItem(LETTERS, wanted ? "on" : "off");
  },
};

/**
 * @param {object} what
 * @param {() => void} what.onQuestion
 * @param {() => void} what.onNew
 * @param {(view: string) => void} what.onGo
 */
export function connectKeyboard({ onQuestion, onNew, onGo }) {
  const help = /** @type {HTMLDialogElement} */ (byId("help"));
  let went = 0;
  byId("help-open").addEventListener("click", () => help.showModal());
  /** @type {Record<string, () => void>} */
  const keys = { "/": onQuestion, "?": () => help.showModal(), n: onNew, g: () => (went = Date.now()) };
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!letters.on || target.closest("input, textarea, select, dialog, [contenteditable]")) return;
    const place = Date.now() - went < PATIENCE ? PLACES[event.key] : undefined;
    const act = place ? () => onGo(place) : keys[event.key];
    went = 0;
    if (!act) return;
    event.preventDefault();
    act();
  });
}
