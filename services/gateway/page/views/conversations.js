/** Conversations: found by title, named, taken along, deleted. */

import { BASE, json } from "../api.js";
import { element, icon, tool } from "../dom.js";
import { ago, count } from "../format.js";
import { button, empty, head, single, sure, trouble } from "./parts.js";

/** @typedef {import("../api.js").Session} Session */

const PAGE = 100;
/** How many conversations are looked through. */
const MOST = 1_000;
const TITLE_LENGTH = 200;

/** @param {string} session */
const path = (session) => `${BASE}/sessions/${encodeURIComponent(session)}`;

/**
 * How long conversations are kept, as one of them has it; those of before a change of the setting keep theirs.
 * @param {Session | undefined} one
 */
function lifetime(one) {
  if (!one?.updated || !one.expires) return "";
  const days = Number(((Date.parse(one.expires) - Date.parse(one.updated)) / 86_400_000).toPrecision(3));
  return `A conversation is kept for ${count(days, "day")} after its last message (MELD_CONVERSATION_LIFETIME). Export what is to stay for longer.`;
}

/** @type {import("../views.js").Open} */
export async function open(root, { signal, announcer, openConversation, conversationsChanged, conversationDeleted }) {
  /** @type {Session[]} */
  let known = [];
  let next = "";
  const list = element("ul", { class: "rows", "aria-label": "Conversations" });
  const more = button("Show more", () => load().then(draw, fail));
  const note = element("p", { class: "rule", role: "status" });
  const kept = element("p", { class: "left-out" });
  const search = element("input", { type: "search", class: "search", "aria-label": "Search titles", placeholder: "Search titles", autocomplete: "off" });
  root.append(
    head(
      "Conversations",
      "What was asked, and what was answered.",
      button("New conversation", () => openConversation(""), { drawing: "plus", primary: true }),
    ),
    element("div", { class: "search-row" }, search),
    note,
    list,
    more,
    kept,
  );

  const load = single(async () => {
    const query = new URLSearchParams({ page_size: String(PAGE), ...(next && { page_token: next }) });
    const page = await json("GET", `${BASE}/sessions?${query}`, { signal });
    known = [...known, ...page.sessions];
    next = page.next_page_token ?? "";
  });

  /** @param {unknown} error */
  function fail(error) {
    if (!signal.aborted) list.replaceChildren(element("li", {}, trouble(error)));
  }

  function draw() {
    const wanted = search.value.trim().toLocaleLowerCase();
    const found = known.filter(({ title }) => (title || "Untitled").toLocaleLowerCase().includes(wanted));
    more.hidden = next === "" || wanted !== "";
    list.replaceChildren(...found.map(row));
    if (found.length === 0) {
      list.append(
        element(
          "li",
          {},
          wanted
            ? empty("Nothing has that title", "Titles are searched, not what was said.")
            : empty("No conversation yet", "Each question begins one, and it is kept here."),
        ),
      );
    }
    const bound = next && wanted ? `, of the latest ${count(known.length, "conversation")}` : "";
    kept.textContent = lifetime(known[0]);
    note.textContent = wanted ? `${count(found.length, "conversation")} found${bound}.` : "";
  }

  /** @param {Session} session */
  function row(session) {
    const name = session.title || "Untitled";
    const facts = [session.messages === undefined ? "" : count(session.messages, "message"), session.updated ? ago(new Date(session.updated)) : ""];
    const item = element("li", { class: "row" });
    item.append(
      element(
        "div",
        { class: "row-name" },
        element("button", { type: "button", class: "row-title", onclick: () => openConversation(session.id) }, name),
        element("span", { class: "row-facts" }, facts.filter(Boolean).join(" · ")),
      ),
      element(
        "div",
        { class: "row-actions" },
        tool("pencil", `Rename ${name}`, () => rename(session, item)),
        exported(session, name, "markdown", "Markdown"),
        exported(session, name, "json", "JSON"),
        sure("trash", `Delete ${name}`, { yes: "Delete", no: "Keep" }, () => remove(session)),
      ),
    );
    return item;
  }

  /**
   * @param {Session} session
   * @param {HTMLLIElement} item
   */
  function rename(session, item) {
    const input = element("input", { type: "text", "aria-label": "Title", maxlength: TITLE_LENGTH, value: session.title ?? "" });
    const said = element("p", { class: "rule error", role: "alert" });
    const back = () => {
      const drawn = row(session);
      form.closest("li")?.replaceWith(drawn);
      /** @type {HTMLElement | null} */
      const pencil = drawn.querySelector(".row-actions button");
      pencil?.focus();
    };
    const form = element(
      "form",
      { class: "row-form" },
      input,
      element("button", { class: "small primary", type: "submit" }, "Save"),
      button("Cancel", back),
      said,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const changed = await json("PATCH", path(session.id), { body: { title: input.value.trim() } });
        Object.assign(session, changed);
        back();
        announcer.say("Renamed");
        await conversationsChanged();
      } catch (error) {
        said.replaceChildren(trouble(error));
      }
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      back();
    });
    item.replaceChildren(form);
    input.select();
  }

  /** @param {Session} session */
  async function remove(session) {
    const { deleted_messages } = await json("DELETE", path(session.id));
    known = known.filter(({ id }) => id !== session.id);
    draw();
    note.textContent = `“${session.title || "Untitled"}” is deleted, with ${count(deleted_messages, "message")}.`;
    search.focus();
    await conversationDeleted(session.id);
  }

  search.addEventListener("input", async () => {
    draw();
    if (!search.value.trim()) return;
    try {
      while (next && known.length < MOST && !signal.aborted) {
        await load();
        draw();
      }
    } catch (error) {
      fail(error);
    }
  });
  more.hidden = true;
  await load();
  draw();
}

/**
 * @param {Session} session
 * @param {string} name
 * @param {string} format
 * @param {string} words
 */
function exported(session, name, format, words) {
  const href = `${path(session.id)}/export?format=${format}`;
  const label = `Export ${name} as ${words}`;
  return element("a", { class: "small", href, download: "", "aria-label": label, title: label }, icon("download"), words);
}
