/** Who besides its owner may read a collection, or write to it. */

import { BASE, collectionPath, json, requestId } from "../api.js";
import { element } from "../dom.js";
import { asProblem } from "../problem.js";
import { table } from "../table.js";
import { MOST, empty, field, sure } from "./parts.js";

/** @typedef {{user?: string, group?: string, role: string}} Grant */

const EVERYONE = "everyone";
/** @type {[string, string][]} */
const ROLES = [
  ["reader", "may read"],
  ["writer", "may read and write"],
];

/** @type {import("./knowledge.js").OpenPart} */
export async function open(root, { signal, collection }) {
  const url = collectionPath(collection);
  const [me, known] = await Promise.all([json("GET", `${BASE}/auth/me`, { signal }), json("GET", url, { signal })]);
  if (signal.aborted) return;
  if (!me.login) {
    root.append(empty("Nobody signs in here", "Whoever reaches this page sees every collection. Where people sign in, this is where an owner lets others in."));
    return;
  }
  if (known.role !== "OWNER") {
    const may = known.role === "WRITER" ? "You may read this collection and write to it." : "You may read this collection.";
    root.append(empty(may, `Who else may, its owner says${known.owner ? ` (${known.owner})` : ""}.`));
    return;
  }
  /** @type {{id: string, name: string, groups: string[]}[]} */
  const users = me.scopes.includes("administration") ? (await json("GET", `${BASE}/users?page_size=${MOST}`, { signal })).users : [];
  if (signal.aborted) return;
  const names = new Map(users.map(({ id, name }) => [id, name]));
  const list = element("div", {});
  const said = element("p", { class: "rule", role: "status", tabindex: "-1" });
  root.append(
    element("p", { class: "part-note" }, "Owners and admins of the house may do everything with every collection. To all others it is as if it were not there, but for those who stand here."),
    form(),
    said,
    list,
  );
  draw(known.access);

  /**
   * Changes what the house knows now: somebody else may have changed it meanwhile.
   * @param {(grants: Grant[]) => Grant[]} change
   * @param {string} done
   */
  async function set(change, done) {
    const { access } = await json("GET", url, { signal });
    const wanted = change(access).map(({ role, ...grantee }) => ({ ...grantee, role: role.toLowerCase() }));
    const changed = await json("PUT", `${url}/access`, { body: { access: wanted }, signal, key: requestId() });
    draw(changed.access);
    said.textContent = done;
    said.focus();
  }

  /** @param {Grant[]} grants */
  function draw(grants) {
    list.replaceChildren(
      grants.length === 0
        ? empty("Its owner alone", "Nobody else sees this collection.")
        : table(
            "Who may use it",
            ["Who", "Kind", "May", { name: "Take back", unseen: true }],
            grants.map((grant) => [
              nameOf(grant),
              element("span", { class: "muted" }, grant.user ? "user" : "group"),
              roleOf(grant),
              sure("trash", `Take back what ${nameOf(grant)} may`, { yes: "Take back", no: "Keep" }, () =>
                set((all) => all.filter((one) => !same(one, grant)), `${nameOf(grant)} may not use it any more.`),
              ),
            ]),
          ),
    );
  }

  /** @param {Grant} grant */
  const nameOf = ({ user, group }) => (user ? (names.get(user) ?? user) : (group ?? ""));

  /** @param {Grant} grant */
  function roleOf(grant) {
    const select = roles(grant.role.toLowerCase());
    select.setAttribute("aria-label", `What ${nameOf(grant)} may`);
    select.addEventListener("change", async () => {
      try {
        await set((all) => all.map((one) => (same(one, grant) ? { ...one, role: select.value } : one)), `${nameOf(grant)} ${words(select.value)}.`);
      } catch (error) {
        select.value = grant.role.toLowerCase();
        said.textContent = asProblem(error).sentence;
      }
    });
    return select;
  }

  function form() {
    const kind = element("select", {}, element("option", { value: "group" }, "A group"), element("option", { value: "user" }, "A user"));
    const groups = [...new Set([EVERYONE, ...(me.groups ?? []), ...users.flatMap((user) => user.groups)])];
    const group = element("input", { type: "text", list: "access-groups", autocomplete: "off", spellcheck: "false", maxlength: 128, value: EVERYONE });
    const user = users.length > 0 ? element("select", {}, ...users.filter(({ id }) => id !== known.owner).map(({ id, name }) => element("option", { value: id }, name))) : element("input", { type: "text", autocomplete: "off", spellcheck: "false", maxlength: 128, placeholder: "usr_…" });
    const groupField = field("Group", group);
    const userField = field(users.length > 0 ? "User" : "Id of the user, as under Account", user);
    const role = roles("reader");
    userField.hidden = true;
    kind.addEventListener("change", () => {
      userField.hidden = kind.value !== "user";
      groupField.hidden = kind.value === "user";
    });
    const made = element(
      "form",
      { class: "card fields" },
      field("Who", kind),
      groupField,
      userField,
      field("May", role),
      element("button", { class: "small primary", type: "submit" }, "Let in"),
      element("datalist", { id: "access-groups" }, ...groups.map((name) => element("option", { value: name }))),
    );
    made.addEventListener("submit", async (event) => {
      event.preventDefault();
      const grantee = kind.value === "user" ? { user: user.value.trim() } : { group: group.value.trim() };
      const grant = { ...grantee, role: role.value };
      said.textContent = "";
      if (!nameOf(grant)) {
        said.textContent = "Say who.";
        return;
      }
      try {
        await set((all) => [...all.filter((one) => !same(one, grant)), grant], `${nameOf(grant)} ${words(grant.role)}.`);
      } catch (error) {
        said.textContent = asProblem(error).sentence;
      }
    });
    return made;
  }
}

/** @param {string} chosen */
function roles(chosen) {
  const select = element("select", {}, ...ROLES.map(([value, told]) => element("option", { value }, told)));
  select.value = chosen;
  return select;
}

/** @param {string} role */
const words = (role) => ROLES.find(([value]) => value === role)?.[1] ?? role;

/**
 * @param {Grant} one
 * @param {Grant} other
 */
const same = (one, other) => one.user === other.user && one.group === other.group;
