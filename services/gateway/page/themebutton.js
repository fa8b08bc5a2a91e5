/** The button that goes through the themes. */

import { element, icon } from "./dom.js";
import { themes } from "./theme.js";

const ICONS = { system: "contrast", light: "sun", dark: "moon" };

/** @param {HTMLElement} button */
export function connectTheme(button) {
  button.addEventListener("click", () => themes.choose(themes.next));
  themes.watch(() => {
    const theme = themes.chosen;
    const label = theme === "system" ? "Theme: as the system" : `Theme: ${theme}`;
    button.setAttribute("aria-label", label);
    button.title = label;
    button.replaceChildren(icon(ICONS[theme]), element("span", { class: "label" }, label));
  });
}
