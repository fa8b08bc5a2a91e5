/** What the page's address says: which view is open, which conversation, and which run is under way. */

/**
 * @typedef {object} Address
 * @property {string} view Empty for the conversation.
 * @property {string} item What is open in the view.
 * @property {string} session
 * @property {string} run
 */

/** @type {((now: Address, before: Address) => void)[]} */
const listeners = [];
let shown = address();

/** @returns {Address} */
export function address() {
  const said = new URLSearchParams(location.hash.slice(1));
  /** @param {string} name */
  const get = (name) => said.get(name) ?? "";
  return { view: get("view"), item: get("item"), session: get("session"), run: get("run") };
}

/**
 * Changes the address in its place in the history. Nobody is told.
 * @param {Partial<Address>} change
 */
export function setAddress(change) {
  history.replaceState(null, "", written(change));
  shown = address();
}

/**
 * Goes to a further place, from which the browser's way back leads here.
 * @param {Partial<Address>} change
 */
export function goTo(change) {
  history.pushState(null, "", written(change));
  tell();
}

/** @param {(now: Address, before: Address) => void} listener Told of every move that was not its own. */
export function onMove(listener) {
  listeners.push(listener);
}

function tell() {
  const before = shown;
  shown = address();
  for (const listener of listeners) listener(shown, before);
}

/** @param {Partial<Address>} change */
function written(change) {
  const named = Object.entries({ ...address(), ...change }).filter(([, value]) => value !== "");
  const said = new URLSearchParams(named).toString();
  return said ? `#${said}` : location.pathname;
}

addEventListener("hashchange", tell);
