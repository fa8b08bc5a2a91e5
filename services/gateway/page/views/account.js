/**
 * Account: who you are, how the page shall be, what you may use up, keys for programs and webhooks; for administrators
 * users and the audit log.
 */

import { BASE, json, requestId } from "../api.js";
import { element } from "../dom.js";
import { ago } from "../format.js";
import { letters } from "../keyboard.js";
import { asProblem } from "../problem.js";
import { table } from "../table.js";
import { themes } from "../theme.js";
import { MOST, button, choice, cut, empty, field, head, section, showOnce, single, submits, sure, trouble } from "./parts.js";
import { quotas } from "./quotas.js";
import { webhooks } from "./webhooks.js";

const ROLES = ["owner", "admin", "member", "viewer"];
const AUDIT_PAGE = 50;

/**
 * @typedef {object} User
 * @property {string} id
 * @property {string} name
 * @property {string} role
 * @property {string[]} groups
 * @property {boolean} disabled
 */

/** @type {import("../views.js").Open} */
export async function open(root, house) {
  const { signal, named, agents } = house;
  const [me] = await Promise.all([json("GET", `${BASE}/auth/me`, { signal }), named()]);
  if (signal.aborted) return;
  const administers = me.scopes.includes("administration");
  root.append(
    head("Account", me.login ? `You are signed in, with the role ${me.role}. Your id is ${me.id}.` : "This house asks nobody to sign in: whoever reaches this page is its owner.", ...(me.login ? [button("Sign out", () => document.getElementById("sign-out")?.click())] : [])),
    preferences(agents()),
  );
  // Where nobody signs in, nobody's use is counted.
  if (me.login) root.append(quotas(house), password(), keys(house));
  root.append(webhooks(house));
  if (me.login && administers) root.append(users(house, me.id));
  if (administers) root.append(audit(house));
}

/** @param {import("../api.js").Agent[]} agents */
function preferences(agents) {
  const ask = /** @type {HTMLSelectElement | null} */ (document.getElementById("agent"));
  const agent = element("select", {}, element("option", { value: "auto" }, "Auto"), ...agents.map(({ id, name }) => element("option", { value: id }, name)));
  agent.value = ask?.value ?? "auto";
  if (agent.selectedIndex < 0) agent.value = "auto";
  agent.addEventListener("change", () => {
    if (!ask) return;
    ask.value = agent.value;
    ask.dispatchEvent(new Event("change")); // It keeps what was chosen.
  });
  const keys = element("input", { type: "checkbox" });
  keys.checked = letters.on;
  keys.addEventListener("change", () => {
    letters.on = keys.checked;
  });
  return section(
    "Preferences",
    element(
      "div",
      { class: "card preferences" },
      element("div", { class: "field" }, element("span", { class: "field-name" }, "Theme"), choice("Theme", themes.options, themes.chosen, (theme) => themes.choose(theme))),
      field("Agent that is asked first", agent),
      element("label", { class: "check" }, keys, element("span", {}, "Single letters are shortcuts", element("span", { class: "rule" }, "Press ? to see them. Turn them off if you speak to your computer."))),
      element("p", { class: "rule" }, "Kept in this browser."),
    ),
  );
}

function password() {
  const old = element("input", { type: "password", autocomplete: "current-password", required: true });
  const fresh = element("input", { type: "password", autocomplete: "new-password", minlength: 12, required: true });
  const form = element("form", { class: "card fields" }, field("Password now", old), field("New password", fresh), element("button", { class: "small", type: "submit" }, "Change"));
  const said = element("p", { class: "rule", role: "status" });
  submits(form, said, async () => {
    await json("POST", `${BASE}/auth/password`, { body: { current_password: old.value, new_password: fresh.value } });
    location.reload(); // All that was signed in with the old one has ended, this page too.
  });
  return section("Password", form, said);
}

/** @param {import("../views.js").House} house */
function keys({ signal, announcer }) {
  const label = element("input", { type: "text", maxlength: 100, required: true, autocomplete: "off", placeholder: "backup script" });
  const role = element("select", {}, element("option", { value: "" }, "as yours"), ...ROLES.slice(1).map((name) => element("option", { value: name }, name)));
  const form = element("form", { class: "card fields" }, field("What it is for", label), field("Role", role), element("button", { class: "small primary", type: "submit" }, "Create key"));
  const said = element("p", { class: "rule", role: "status" });
  const secret = element("div", { class: "secret" });
  const list = element("div", {});

  async function draw() {
    try {
      const { api_keys } = await json("GET", `${BASE}/api-keys`, { signal });
      list.replaceChildren(api_keys.length === 0 ? empty("No key yet", "A program signs in with a key of its own.") : shown(api_keys));
    } catch (error) {
      if (!signal.aborted) list.replaceChildren(trouble(error, draw));
    }
  }

  /** @param {any[]} known */
  function shown(known) {
    return table(
      "API keys",
      ["For", "Key", "Role", "Created", "Last used", { name: "End", unseen: true }],
      known.map(({ id, label: name, prefix, role: may, created, last_used }) => [
        name,
        element("code", {}, `${prefix}…`),
        may,
        created ? ago(new Date(created)) : "",
        last_used ? ago(new Date(last_used)) : "never",
        sure("trash", `End the key ${name}`, { yes: "End it", no: "Keep" }, async () => {
          await json("DELETE", `${BASE}/api-keys/${encodeURIComponent(id)}`);
          await draw();
        }),
      ]),
    );
  }

  submits(form, said, async () => {
    const body = { label: label.value.trim(), ...(role.value && { role: role.value }) };
    const made = await json("POST", `${BASE}/api-keys`, { body });
    form.reset();
    showOnce(secret, `Secret of the key ${made.label}`, made.secret);
    announcer.say("The key is made. Copy it now.");
    await draw();
  });
  signal.addEventListener("abort", () => secret.replaceChildren());
  draw();
  return section("API keys", form, said, secret, list);
}

/**
 * @param {import("../views.js").House} house
 * @param {string} self
 */
function users({ signal }, self) {
  const name = element("input", { type: "text", maxlength: 254, required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const secret = element("input", { type: "password", minlength: 12, required: true, autocomplete: "new-password" });
  const role = element("select", {}, ...ROLES.map((word) => element("option", { value: word }, word)));
  role.value = "member";
  const form = element(
    "form",
    { class: "card fields" },
    field("Name", name),
    field("First password, 12 characters or more", secret),
    field("Role", role),
    element("button", { class: "small primary", type: "submit" }, "Add user"),
  );
  const said = element("p", { class: "rule", role: "status" });
  const list = element("div", {});
  /** @type {User[]} */
  let known = [];

  async function draw() {
    try {
      const { users: listed, next_page_token } = await json("GET", `${BASE}/users?page_size=${MOST}`, { signal });
      known = listed;
      list.replaceChildren(
        table(
          "Users",
          ["Name", "Role", "Groups", "State", { name: "Delete", unseen: true }],
          known.map((user) => [
            user.name,
            roleOf(user),
            user.groups.join(", ") || element("span", { class: "muted" }, "none"),
            user.id === self ? element("span", { class: "muted" }, "you") : disabling(user),
            user.id === self
              ? ""
              : sure("trash", `Delete ${user.name}`, { yes: "Delete", no: "Keep" }, async () => {
                  await json("DELETE", `${BASE}/users/${encodeURIComponent(user.id)}`);
                  await draw();
                }),
          ]),
        ),
        cut(next_page_token, "users"),
      );
    } catch (error) {
      if (!signal.aborted) list.replaceChildren(trouble(error, draw));
    }
  }

  /**
   * @param {User} user
   * @param {object} change
   */
  async function update(user, change) {
    try {
      await json("PATCH", `${BASE}/users/${encodeURIComponent(user.id)}`, { body: change });
      said.textContent = `${user.name} is changed.`;
    } catch (error) {
      said.textContent = asProblem(error).sentence;
    }
    await draw();
  }

  /** @param {User} user */
  function roleOf(user) {
    if (user.id === self) return user.role;
    const select = element("select", { "aria-label": `Role of ${user.name}` }, ...ROLES.map((word) => element("option", { value: word }, word)));
    select.value = user.role;
    select.addEventListener("change", () => update(user, { role: select.value }));
    return select;
  }

  /** @param {User} user */
  function disabling(user) {
    return button(user.disabled ? "Let in again" : "Lock out", () => update(user, { disabled: !user.disabled }), {
      name: user.disabled ? `Let ${user.name} in again` : `Lock ${user.name} out`,
    });
  }

  submits(form, said, async () => {
    const body = { name: name.value.trim(), password: secret.value, role: role.value };
    await json("POST", `${BASE}/users`, { body, key: requestId() });
    said.textContent = `${body.name} is added.`;
    form.reset();
    role.value = "member";
    await draw();
  });
  draw();
  return section("Users", form, said, list);
}

/** @param {import("../views.js").House} house */
function audit({ signal }) {
  const list = element("div", {});
  const more = button("Show more", () => load());
  more.hidden = true;
  /** @type {any[]} */
  let known = [];
  let next = "";
  const load = single(async () => {
    try {
      const query = new URLSearchParams({ page_size: String(AUDIT_PAGE), ...(next && { page_token: next }) });
      const page = await json("GET", `${BASE}/audit?${query}`, { signal });
      known = [...known, ...page.entries];
      next = page.next_page_token ?? "";
      more.hidden = next === "";
      list.replaceChildren(known.length === 0 ? empty("Nothing yet", "Sign-ins and changes of users and keys are written down here.") : shown());
    } catch (error) {
      if (!signal.aborted) list.replaceChildren(trouble(error, load));
    }
  });
  function shown() {
    return table(
      "Audit log",
      ["When", "Who", "What", "About", "Details"],
      known.map(({ time, actor, action, target, details }) => [
        new Date(time).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "medium" }),
        actor,
        element("code", {}, action),
        target,
        Object.entries(details ?? {}).map(([name, value]) => `${name}: ${value}`).join(", "),
      ]),
    );
  }
  load();
  return section("Audit log", list, more);
}
