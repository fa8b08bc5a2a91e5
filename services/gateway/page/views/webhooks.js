/** Webhooks: which programs are told of what happens, and how the messages to them fared. */

import { BASE, json, requestId } from "../api.js";
import { element } from "../dom.js";
import { sleep } from "../events.js";
import { ago, number } from "../format.js";
import { table } from "../table.js";
import { asked, button, empty, field, section, showOnce, submits, sure, trouble } from "./parts.js";

const WEBHOOKS = `${BASE}/webhooks`;
const PAGE = 50;
/** Milliseconds between looks at a message that is under way, and how many looks. */
const PAUSE = 1_000;
const LOOKS = 20;
/** @type {Record<string, [string, string]>} */
const STATES = {
  WAITING: ["Waits", "busy"],
  DELIVERED: ["Arrived", "good"],
  FAILED: ["Did not arrive", "bad"],
  CANCELLED: ["Not sent", ""],
};
/** @type {[string, string][]} What a webhook may be told of: names with blanks between, none for all. */
const TOLD = [
  ["", "Everything"],
  ["run.finished", "Runs that end"],
  ["document.ready document.failed", "Documents that are ready or have failed"],
  ["document.failed", "Documents that have failed"],
];
/** @type {Record<string, string>} */
const OFF = { owner: "by you", gone: "its receiver answered that it is gone", failing: "nothing arrived for two days" };

/**
 * @typedef {object} Webhook
 * @property {string} id
 * @property {string} url
 * @property {string} label
 * @property {string[]} event_types
 * @property {boolean} enabled
 * @property {string | null} disabled_reason
 * @property {string | null} failing_since
 * @property {number} dropped_messages
 */

/** @param {import("../views.js").House} house */
export function webhooks({ signal, announcer }) {
  const url = element("input", { type: "url", maxlength: 2_000, required: true, autocomplete: "off", placeholder: "https://ci.example.org/meld" });
  const label = element("input", { type: "text", maxlength: 100, autocomplete: "off", placeholder: "CI" });
  const told = element("select", {}, ...TOLD.map(([value, name]) => element("option", { value }, name)));
  const answers = element("input", { type: "checkbox" });
  const form = element(
    "form",
    { class: "card fields" },
    field("Address", url),
    field("Webhook's label", label),
    field("Told of", told),
    element("label", { class: "check" }, answers, element("span", {}, "Send answers too")),
    element("button", { class: "small primary", type: "submit" }, "Add webhook"),
  );
  const said = element("p", { class: "rule", role: "status" });
  const secret = element("div", { class: "secret" });
  const list = element("div", {});
  const messages = element("div", {});
  /** Counts which webhook's messages are shown: an older look is not. */
  let shownMessages = 0;

  async function draw() {
    try {
      const { webhooks: known } = await json("GET", WEBHOOKS, { signal });
      list.replaceChildren(known.length === 0 ? empty("No webhook yet", "A program of yours can be told of runs that end and of documents that are ready, by a signed HTTP request.") : overview(known));
    } catch (error) {
      if (!signal.aborted) list.replaceChildren(trouble(error, draw));
    }
  }

  /** @param {Webhook[]} known */
  function overview(known) {
    return table(
      "Webhooks",
      ["For", "Address", "Told of", "State", { name: "Actions", unseen: true }],
      known.map((webhook) => {
        const name = webhook.label || webhook.url;
        const path = `${WEBHOOKS}/${encodeURIComponent(webhook.id)}`;
        return [
          element("strong", {}, webhook.label),
          element("span", { class: "address" }, webhook.url),
          webhook.event_types.join(", "),
          state(webhook),
          element(
            "div",
            { class: "row-actions" },
            button("Test", () => test(path, name), { name: `Send a test to ${name}` }),
            button("Messages", () => show(path, name), { name: `Messages to ${name}` }),
            asked("New secret", `Give ${name} a new secret`, () => rotate(path, name)),
            button(webhook.enabled ? "Switch off" : "Switch on", () => change(path, { enabled: !webhook.enabled }), { name: `Switch ${name} ${webhook.enabled ? "off" : "on"}` }),
            sure("trash", `Delete the webhook ${name}`, { yes: "Delete", no: "Keep" }, () => remove(path)),
          ),
        ];
      }),
    );
  }

  /**
   * @param {string} path
   * @param {object} changed
   */
  async function change(path, changed) {
    said.textContent = "";
    try {
      await json("PATCH", path, { body: changed });
      await draw();
    } catch (error) {
      said.replaceChildren(trouble(error));
    }
  }

  /** @param {string} path */
  async function remove(path) {
    await json("DELETE", path);
    shownMessages += 1;
    messages.replaceChildren();
    announcer.say("The webhook is deleted");
    await draw();
  }

  /**
   * @param {string} path
   * @param {string} name
   */
  async function rotate(path, name) {
    const made = await json("POST", `${path}/rotate`);
    await draw();
    showOnce(secret, `Secret of the webhook ${name}`, made.secret);
    announcer.say("The new secret is made. For a day both sign.");
  }

  /**
   * @param {string} path
   * @param {string} name
   */
  async function test(path, name) {
    said.textContent = "";
    try {
      await json("POST", `${path}/test`, { key: requestId() });
      await show(path, name);
    } catch (error) {
      said.replaceChildren(trouble(error));
    }
  }

  /**
   * Shows the messages of a webhook, and follows those under way for a while.
   * @param {string} path
   * @param {string} name
   */
  async function show(path, name) {
    shownMessages += 1;
    const mine = shownMessages;
    const place = element("div", {});
    messages.replaceChildren(
      element(
        "section",
        { class: "report", "aria-label": `Messages to ${name}` },
        element(
          "div",
          { class: "report-head" },
          element("h3", {}, `Messages to ${name}`),
          element("span", { class: "view-actions" }, button("Look again", () => show(path, name), { drawing: "retry" }), button("Close", close, { name: "Close the messages" })),
        ),
        place,
      ),
    );
    for (let looks = 0; looks < LOOKS && mine === shownMessages && !signal.aborted; looks += 1) {
      try {
        const { deliveries, next_page_token } = await json("GET", `${path}/deliveries?page_size=${PAGE}`, { signal });
        if (mine !== shownMessages) return;
        place.replaceChildren(...delivered(deliveries, Boolean(next_page_token)));
        if (!deliveries.some((/** @type {any} */ one) => one.state === "WAITING" && one.attempts === 0)) return;
      } catch (error) {
        if (!signal.aborted) place.replaceChildren(trouble(error, () => show(path, name)));
        return;
      }
      await sleep(PAUSE, signal);
    }
  }

  function close() {
    shownMessages += 1;
    messages.replaceChildren();
  }

  submits(form, said, async () => {
    const event_types = told.value.split(" ").filter(Boolean);
    const body = { url: url.value.trim(), label: label.value.trim(), event_types, include_answer: answers.checked };
    const made = await json("POST", WEBHOOKS, { body });
    form.reset();
    await draw();
    showOnce(secret, `Secret of the webhook ${made.label || made.url}`, made.secret);
    announcer.say("The webhook is made. Copy its secret now.");
  });
  signal.addEventListener("abort", () => secret.replaceChildren());
  draw();
  return section("Webhooks", form, said, secret, list, messages);
}

/** @param {Webhook} webhook */
function state({ enabled, disabled_reason, failing_since, dropped_messages }) {
  const dropped = dropped_messages ? `, ${number(dropped_messages)} dropped` : "";
  if (!enabled) return element("span", { class: "state", "data-tone": disabled_reason === "owner" ? "" : "bad" }, `Off: ${OFF[disabled_reason ?? ""] ?? disabled_reason}${dropped}`);
  if (failing_since) return element("span", { class: "state", "data-tone": "bad" }, `Nothing arrives, since ${ago(new Date(failing_since))}${dropped}`);
  return element("span", { class: "state", "data-tone": "good" }, `On${dropped}`);
}

/**
 * @param {any[]} known
 * @param {boolean} cut
 */
function delivered(known, cut) {
  if (known.length === 0) return [empty("No message yet", "The newest 100 are kept.")];
  /** @param {string | null} time */
  const when = (time) => (time ? new Date(time).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "medium" }) : "");
  return [
    table(
      "Messages",
      ["When", "What", "State", { name: "Tries", number: true }, "Last answer", "Next try"],
      known.map(({ event_time, event_type, state: stands, attempts, last_status, last_error, next_attempt }) => [
        when(event_time),
        element("code", {}, event_type),
        element("span", { class: "state", "data-tone": STATES[stands]?.[1] ?? "" }, STATES[stands]?.[0] ?? stands),
        number(attempts),
        [last_status, last_error].filter(Boolean).join(" "),
        stands === "WAITING" ? when(next_attempt) : "",
      ]),
    ),
    cut ? element("p", { class: "rule" }, `The newest ${number(PAGE)} are shown.`) : "",
  ].filter((part) => part !== "");
}
