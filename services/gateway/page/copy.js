/** Copies text: by the clipboard where the page may use it, else as a selection is copied. */

import { Announcer } from "./announcer.js";
import { byId, element, icon } from "./dom.js";

const FAILED = "Not copied: the browser refused. Select the text and copy it by hand.";
/** Milliseconds that a button says what it has done. */
const SAID = 2_500;

/**
 * @param {string} what "the answer"
 * @param {() => string} text
 * @param {string} [label] To be seen on the button; a drawing alone without.
 */
export function copyButton(what, text, label = "") {
  const said = element("span", { class: "copy-said", hidden: true });
  const button = element("button", { class: label ? "small" : "tool", type: "button", "aria-label": `Copy ${what}`, title: `Copy ${what}` }, icon("copy"), label);
  button.addEventListener("click", async () => {
    const done = await copied(text());
    said.textContent = done ? "" : FAILED;
    said.hidden = done;
    new Announcer(byId("announcer")).say(done ? "Copied" : FAILED);
    if (!done) return;
    button.replaceChildren(icon("check"), label && "Copied");
    setTimeout(() => button.replaceChildren(icon("copy"), label), SAID);
  });
  return [button, said];
}

/**
 * A block of code and its button.
 * @param {HTMLElement} block
 * @param {() => string} text
 * @param {string} [what]
 */
export const copiable = (block, text, what = "the code") => element("div", { class: "copiable" }, block, ...copyButton(what, text));

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedAsSelection(text); // The clipboard is only there on https and localhost, and may be refused.
  }
}

/** @param {string} text */
function copiedAsSelection(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const field = element("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  return done;
}
