/** What the views are made of: headings, figures, choices and questions. */

import { element, icon, tool } from "../dom.js";
import { sleep } from "../events.js";
import { number } from "../format.js";
import { asProblem } from "../problem.js";

/** @typedef {import("../dom.js").Child} Child */

/** Entries that a list is asked for at once: as many as the gateway gives. */
export const MOST = 1_000;
/** Milliseconds between looks while there is work, and while there is none. */
const PAUSE = 1_500;
const IDLE_PAUSE = 8_000;

/**
 * The head of a view.
 * @param {string} title
 * @param {string} lead
 * @param {...Child} actions
 */
export function head(title, lead, ...actions) {
  return element(
    "header",
    { class: "view-head" },
    element("div", { class: "view-name" }, element("h1", {}, title), element("p", { class: "lead" }, lead)),
    actions.length > 0 && element("div", { class: "view-actions" }, ...actions),
  );
}

/**
 * A part of a view under a heading of its own.
 * @param {string} title
 * @param {...Child} children
 */
export function section(title, ...children) {
  return element("section", { class: "part" }, element("h2", {}, title), ...children);
}

/**
 * @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 * @param {{drawing?: string, primary?: boolean, name?: string}} [options] name: for screen readers.
 */
export function button(label, onclick, { drawing, primary, name } = {}) {
  return element(
    "button",
    { class: primary ? "small primary" : "small", type: "button", "aria-label": name, onclick },
    drawing ? icon(drawing) : "",
    label,
  );
}

/**
 * Figures side by side.
 * @param {{name: string, value: string, detail?: string}[]} figures
 */
export function tiles(figures) {
  return element(
    "dl",
    { class: "tiles" },
    ...figures.map(({ name, value, detail }) =>
      element(
        "div",
        { class: "tile" },
        element("dt", {}, name),
        element("dd", {}, value, detail ? element("span", { class: "tile-detail" }, detail) : ""),
      ),
    ),
  );
}

/**
 * One of a few, as buttons of which one is pressed.
 * @template {string} T
 * @param {string} label
 * @param {[T, string][]} options Value and words.
 * @param {T} chosen
 * @param {(value: T) => void} onChoose
 */
export function choice(label, options, chosen, onChoose) {
  const group = element("div", { class: "choice", role: "group", "aria-label": label });
  group.append(
    ...options.map(([value, words]) =>
      element(
        "button",
        {
          type: "button",
          "aria-pressed": String(value === chosen),
          onclick: (/** @type {MouseEvent} */ event) => {
            for (const other of group.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
            onChoose(value);
          },
        },
        words,
      ),
    ),
  );
  return group;
}

/**
 * @param {string} title
 * @param {string} text
 */
export function empty(title, text) {
  return element("div", { class: "empty" }, element("p", { class: "empty-title" }, title), element("p", {}, text));
}

/**
 * Says that a list goes on beyond what is shown.
 * @param {string | null | undefined} next The token of its next page.
 * @param {string} noun In the plural.
 * @param {string} [verb]
 */
export function cut(next, noun, verb = "shown") {
  return next ? element("p", { class: "notice" }, icon("alert"), `Only the first ${number(MOST)} ${noun} are ${verb}.`) : "";
}

/**
 * Says what went wrong.
 * @param {unknown} error
 * @param {(() => void) | null} [retry]
 */
export function trouble(error, retry) {
  return element(
    "div",
    { class: "failure", role: "alert" },
    element("p", {}, asProblem(error).sentence),
    retry ? button("Try again", retry, { drawing: "retry" }) : "",
  );
}

/**
 * A drawing that asks once more before it acts.
 * @param {string} drawing
 * @param {string} label "Delete tides.md".
 * @param {{yes: string, no: string}} words
 * @param {() => Promise<void>} act
 */
export function sure(drawing, label, words, act) {
  return asking((ask) => tool(drawing, label, ask), label, words, act);
}

/**
 * A button in words that asks once more before it acts.
 * @param {string} words
 * @param {string} label For screen readers.
 * @param {() => Promise<void>} act
 */
export function asked(words, label, act) {
  return asking((ask) => button(words, ask, { name: label }), label, { yes: "Yes", no: "No" }, act);
}

/**
 * @param {(ask: () => void) => HTMLElement} draw Makes what is there before and after the question.
 * @param {string} label
 * @param {{yes: string, no: string}} words
 * @param {() => Promise<void>} act
 */
function asking(draw, label, { yes, no }, act) {
  const place = element("span", { class: "sure" });
  const rest = () => {
    const first = draw(ask);
    place.replaceChildren(first);
    return first;
  };
  const ask = () => {
    const confirm = element("button", { class: "small danger", type: "button", "aria-label": `${yes}: ${label}` }, yes);
    confirm.addEventListener("click", async () => {
      confirm.disabled = true;
      try {
        await act();
      } catch (error) {
        place.replaceChildren(trouble(error, ask));
      }
    });
    place.replaceChildren(confirm, button(no, () => rest().focus()));
    confirm.focus();
  };
  rest();
  return place;
}

/**
 * A field under its label.
 * @param {string} label
 * @param {HTMLElement} input
 */
export function field(label, input) {
  return element("label", { class: "field" }, element("span", { class: "field-name" }, label), input);
}

/**
 * Lets one call be under way at a time; who calls meanwhile waits for the same one.
 * @param {() => Promise<void>} act
 * @returns {() => Promise<void>}
 */
export function single(act) {
  /** @type {Promise<void> | null} */
  let underWay = null;
  return () =>
    (underWay ??= act().finally(() => {
      underWay = null;
    }));
}

/**
 * Looks again and again, and not while nobody sees it.
 * @param {AbortSignal} signal Ends it.
 * @param {() => boolean} works Whether there is work, as far as is known: then it looks more often.
 * @param {() => Promise<void>} look
 */
export async function watch(signal, works, look) {
  let waited = 0;
  while (!signal.aborted) {
    await sleep(PAUSE, signal);
    waited += PAUSE;
    if (signal.aborted || document.hidden || (!works() && waited < IDLE_PAUSE)) continue;
    waited = 0;
    await look();
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement} said Where it says what went wrong.
 * @param {() => Promise<void>} act
 */
export function submits(form, said, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const submit = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
    submit.disabled = true;
    said.textContent = "";
    try {
      await act();
    } catch (error) {
      said.textContent = asProblem(error).sentence;
    } finally {
      submit.disabled = false;
    }
  });
}

/**
 * Shows a secret that is told this once.
 * @param {HTMLElement} place
 * @param {string} label
 * @param {string} secret
 */
export function showOnce(place, label, secret) {
  const value = element("input", { type: "text", readonly: true, value: secret, "aria-label": label });
  const copied = element("span", { class: "rule", role: "status" });
  place.replaceChildren(
    element("p", {}, element("strong", {}, "Copy it now. "), "It is shown this once."),
    element(
      "div",
      { class: "search-row" },
      value,
      button("Copy", async () => {
        value.select();
        try {
          await navigator.clipboard.writeText(secret);
          copied.textContent = "Copied.";
        } catch {
          copied.textContent = "Press Ctrl+C: this browser lets no page copy here.";
        }
      }),
      button("Done", () => place.replaceChildren()),
    ),
    copied,
  );
  value.select();
}
