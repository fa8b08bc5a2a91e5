/** Conversations: found by what was said in them, named, taken along, deleted. */

import { BASE, json } from "../api.js";
import { element, icon, tool } from "../dom.js";
import { ago, count } from "../format.js";
import { button, empty, head, single, sure, trouble } from "./parts.js";
import { Search, marked, showMessage } from "./said.js";

/** @typedef {import("../api.js").Session} Session */
/** @typedef {import("./said.js").Match} Match */

const PAGE = 100;
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
export async function open(root, { signal, announcer, agentName, openConversation, conversationsChanged, conversationDeleted }) {
  /** @type {Session[]} */
  let known = [];
  let next = "";
  const list = element("ul", { class: "rows", "aria-label": "Conversations" });
  const more = button("Show more", () => (search.wanted ? search.more() : load().then(draw, fail)));
  const note = element("p", { class: "rule", role: "status" });
  const kept = element("p", { class: "left-out" });
  const search = new Search(signal, draw);
  root.append(
    head(
      "Conversations",
      "What was asked, and what was answered.",
      button("New conversation", () => openConversation(""), { drawing: "plus", primary: true }),
    ),
    element("div", { class: "search-row" }, search.input),
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
    const { wanted, found, problem, busy } = search;
    const rows = wanted ? found.map((match) => row(match.session, match)) : known.map((session) => row(session));
    list.replaceChildren(...rows);
    list.setAttribute("aria-busy", String(busy));
    more.hidden = wanted ? busy || search.next === "" : next === "";
    kept.textContent = lifetime(known[0]);
    note.textContent = wanted && !busy && rows.length > 0 ? `${count(rows.length, "conversation")} found${search.next ? " so far" : ""}.` : "";
    if (problem) list.append(element("li", {}, trouble(problem)));
    else if (rows.length > 0) return;
    else if (busy) note.textContent = "Searching…";
    else if (!wanted) list.append(element("li", {}, empty("No conversation yet", "Each question begins one, and it is kept here.")));
    else {
      note.textContent = search.next ? "Nothing found so far." : "Nothing found.";
      const how = "All words stand in one message or the title. Fewer words, or their beginnings, find more.";
      if (!search.next) list.append(element("li", {}, empty("Nothing was said with all of it", how)));
    }
  }

  /**
   * @param {Session} session
   * @param {Match} [match] What is shown of it besides.
   */
  function row(session, match) {
    const name = session.title || "Untitled";
    const message = match?.message;
    const when = message?.created ?? session.updated;
    const who = message && (message.role === "USER" ? "You asked" : `${agentName(message.agent ?? "") || "An agent"} answered`);
    const facts = [who ?? (session.messages === undefined ? "" : count(session.messages, "message")), when ? ago(new Date(when)) : ""];
    const said = message ? `said-${session.id}` : null;
    const item = element("li", { class: "row" });
    const open = async () => {
      await openConversation(session.id);
      if (message) showMessage(message.sequence);
    };
    item.append(
      element(
        "div",
        { class: "row-name" },
        element(
          "button",
          { type: "button", class: "row-title", "aria-describedby": said, onclick: open },
          ...(match && !message ? marked(match.snippet) : [name]),
        ),
        message && element("p", { class: "said", id: said }, ...marked(match.snippet)),
        element("span", { class: "row-facts" }, facts.filter(Boolean).join(" · ")),
      ),
      element(
        "div",
        { class: "row-actions" },
        tool("pencil", `Rename ${name}`, () => rename(session, item, match)),
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
   * @param {Match} [match]
   */
  function rename(session, item, match) {
    const input = element("input", { type: "text", "aria-label": "Title", maxlength: TITLE_LENGTH, value: session.title ?? "" });
    const said = element("p", { class: "rule error", role: "alert" });
    const back = () => {
      const drawn = row(session, match);
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
        if (match && !match.message) match.snippet = [{ text: session.title || "Untitled", matched: false }];
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
    search.forget(session.id);
    draw();
    note.textContent = `“${session.title || "Untitled"}” is deleted, with ${count(deleted_messages, "message")}.`;
    search.input.focus();
    await conversationDeleted(session.id);
  }

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
