/** System: which services are there and what they need, what runs, what was refused or failed. */

import { BASE, json } from "../api.js";
import { element } from "../dom.js";
import { sleep } from "../events.js";
import { number } from "../format.js";
import { asProblem, failed } from "../problem.js";
import { table } from "../table.js";
import { MOST, button, cut, empty, head, section, tiles, trouble } from "./parts.js";

/** Milliseconds between looks. */
const PAUSE = 10_000;
const DEADLINE = 5_000;

/** @type {Record<string, [string, string]>} Name for people, and what it is for. */
const SERVICES = {
  agents: ["Agents", "Answers questions and runs workflows"],
  vector: ["Vector", "Keeps documents and finds passages"],
  session: ["Session", "Keeps conversations, runs and users"],
};
/** @type {Record<string, [string, string]>} */
const STATES = {
  ready: ["Ready", "good"],
  degraded: ["Works without some of it", "busy"],
  down: ["Down", "bad"],
  unreachable: ["Does not answer", "bad"],
};

/** @type {import("../views.js").Open} */
export async function open(root, { signal, collections }) {
  const services = element("div", {});
  const rest = element("div", {});
  const when = element("span", { class: "muted", role: "status" });
  root.append(head("System", "What runs, and what it needs.", when, button("Look again", () => look(), { drawing: "retry" })), services, rest);

  async function look() {
    try {
      const state = await health(signal);
      if (signal.aborted) return;
      services.replaceChildren(...drawHealth(state));
      when.textContent = `As of ${new Date().toLocaleTimeString("en-GB")}`;
    } catch (error) {
      if (signal.aborted) return;
      services.replaceChildren(trouble(error, look));
    }
  }

  async function drawRest() {
    try {
      const [system, known] = await Promise.all([json("GET", `${BASE}/system`, { signal }), json("GET", `${BASE}/collections?page_size=${MOST}`, { signal })]);
      rest.replaceChildren(...drawSystem(system, known));
    } catch (error) {
      if (!signal.aborted) rest.replaceChildren(trouble(error, drawRest));
    }
  }

  await Promise.all([look(), drawRest()]);
  (async () => {
    while (!signal.aborted) {
      await sleep(PAUSE, signal);
      if (!signal.aborted && !document.hidden) await look();
    }
  })();
}

/** @param {AbortSignal} signal */
async function health(signal) {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE)]);
  const response = await fetch("/health", { cache: "no-store", signal: limit }).catch((error) => {
    throw asProblem(error);
  });
  if (!response.ok && response.status !== 503) throw await failed(response);
  return response.json();
}

/** @param {any} state */
function drawHealth({ services = {} }) {
  const cards = Object.entries(services).map(([name, { status, dependencies }]) => {
    const [title, purpose] = SERVICES[name] ?? [name, ""];
    const [words, tone] = STATES[status] ?? [status, ""];
    return element(
      "li",
      { class: "card service" },
      element("h3", {}, title),
      element("p", { class: "muted" }, purpose),
      element("p", { class: "state", "data-tone": tone }, words),
      element(
        "ul",
        { class: "needs", "aria-label": `What ${title} needs` },
        ...Object.entries(dependencies).map(([need, up]) => element("li", { class: "state", "data-tone": up === "up" ? "good" : "bad" }, up === "up" ? need : `${need}: down`)),
      ),
    );
  });
  return [section("Services", element("ul", { class: "services" }, ...cards))];
}

/**
 * @param {any} system
 * @param {{collections: import("../api.js").Collection[], next_page_token?: string | null}} known
 */
function drawSystem({ versions, login, requests }, { collections, next_page_token }) {
  /** @param {"documents" | "chunks" | "vectors"} name */
  const sum = (name) => number(collections.reduce((all, collection) => all + (collection[name] ?? 0), 0));
  const answered = requests
    ? [
        { name: "Requests answered", value: number(requests.answered), detail: "since the gateway started" },
        { name: "Refused", value: number(requests.refused), detail: "by what was asked (4xx)" },
        { name: "Failed", value: number(requests.failed), detail: "by the house (5xx)" },
      ]
    : [];
  return [
    section(
      "Use",
      tiles([
        { name: "Collections", value: number(collections.length) },
        { name: "Documents", value: sum("documents") },
        { name: "Passages", value: sum("chunks"), detail: `${sum("vectors")} with a vector` },
        ...answered,
      ]),
      cut(next_page_token, "collections", "counted"),
    ),
    section("Errors", requests ? errors(requests.errors) : element("p", { class: "part-note" }, "Who administers the house sees here which requests failed.")),
    section(
      "Versions",
      table("Versions", ["What", "Version"], [
        ["Interface", `v${versions.interface}`],
        ["Contracts (SHA-256)", element("code", {}, versions.contracts_sha256)],
        ["Python", versions.python],
        ["gRPC", versions.grpc],
        ["Flask", versions.flask],
        ["Login", login ? "required" : "off: whoever reaches this page is the owner"],
      ]),
    ),
  ];
}

/** @param {{method: string, route: string, status: number, count: number}[]} rows */
function errors(rows) {
  if (rows.length === 0) return empty("No request was refused or failed", "Counted since the gateway started.");
  return table(
    "Errors",
    ["Status", "Request", { name: "Times", number: true }],
    rows.map(({ method, route, status, count }) => [
      element("span", { class: "state", "data-tone": status >= 500 ? "bad" : "" }, String(status)),
      element("code", {}, `${method} ${route}`),
      number(count),
    ]),
  );
}
