/**
 * Light, dark, or as the system says. Loaded before the first paint, so that a
 * chosen theme does not flash; what it needed would be waited for as well.
 */

const KEY = "meld.theme";
const THEMES = ["system", "light", "dark"];

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

/** @type {Set<() => void>} */
const shown = new Set();

/** For those who let people choose one. */
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
  /** The next in turn. */
  get next() {
    return /** @type {Theme} */ (THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length]);
  },
  /** @param {() => void} show Called now and whenever another is chosen. */
  watch(show) {
    shown.add(show);
    show();
  },
};

apply(chosen());
