/** Earlier conversations, the latest first. */

import { address } from "./address.js";
import { api } from "./api.js";
import { element } from "./dom.js";
import { ago } from "./format.js";
import { asProblem } from "./problem.js";

/**
 * @param {HTMLElement} list
 * @param {(session: string) => void} onOpen
 */
export async function listConversations(list, onOpen) {
  try {
    const sessions = await api.sessions();
    const current = address().session;
    list.replaceChildren(
      ...sessions.map(({ id, title, updated }) =>
        element(
          "li",
          {},
          element(
            "button",
            { type: "button", "aria-current": id === current ? "true" : null, onclick: () => onOpen(id) },
            element("span", { class: "title" }, title || "Untitled"),
            updated && element("span", { class: "when" }, ago(new Date(updated))),
          ),
        ),
      ),
    );
    if (sessions.length === 0) list.append(element("li", { class: "none" }, "None yet"));
  } catch (error) {
    list.replaceChildren(element("li", { class: "none" }, asProblem(error).sentence));
  }
}
