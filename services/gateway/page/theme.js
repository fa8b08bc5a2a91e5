/**
 * Light, dark, or as the system says. Loaded before the first paint, so that a
 * chosen theme does not flash.
 */

import { element, icon } from "./dom.js";

const KEY = "meld.theme";
const THEMES = ["system", "light", "dark"];
const ICONS = { system: "contrast", light: "sun", dark: "moon" };

/** @typedef {"system" | "light" | "dark"} Theme */

/** @returns {Theme} */
function chosen() {
  const stored = localStorage.getItem(KEY) ?? "";
  return /** @type {Theme} */ (THEMES.includes(stored) ? stored : "system");
}

/** @param {Theme} theme */
function apply(theme) {
  document.documentElement.dataset.theme = theme;
}

/** @type {Set<() => void>} Those who show which is chosen. */
const shown = new Set();

/** For a view that lets people choose one by name. */
export const themes = {
  options: /** @type {[Theme, string][]} */ ([
    ["system", "As the system"],
    ["light", "Light"],
    ["dark", "Dark"],
  ]),
  get chosen() {
    return chosen();
  },
  /** @param {Theme} theme */
  choose(theme) {
    localStorage.setItem(KEY, theme);
    apply(theme);
    for (const show of shown) show();
  },
};

/**
 * Lets a button go through the themes.
 * @param {HTMLElement} button
 */
export function connectTheme(button) {
  const show = () => {
    const theme = chosen();
    const label = theme === "system" ? "Theme: as the system" : `Theme: ${theme}`;
    button.setAttribute("aria-label", label);
    button.title = label;
    button.replaceChildren(icon(ICONS[theme]), element("span", { class: "label" }, label));
  };
  button.addEventListener("click", () => {
    const next = /** @type {Theme} */ (THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length]);
    themes.choose(next);
  });
  shown.add(show);
  show();
}

apply(chosen());
