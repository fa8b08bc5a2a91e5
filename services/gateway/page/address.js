/** What the page's address says: which conversation is open, and which run is under way. */

/** @typedef {{session: string, run: string}} Address */

/** @returns {Address} */
export function address() {
  const said = new URLSearchParams(location.hash.slice(1));
  return { session: said.get("session") ?? "", run: said.get("run") ?? "" };
}

/** @param {Partial<Address>} change */
export function setAddress(change) {
  const { session, run } = { ...address(), ...change };
  const said = new URLSearchParams({ ...(session && { session }), ...(run && { run }) }).toString();
  history.replaceState(null, "", said ? `#${said}` : location.pathname);
}
