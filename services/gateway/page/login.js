/**
 * Signing in and out. The server keeps who sits here in cookies that no script can read; the page learns only
 * whether they are good.
 */

import { byId } from "./dom.js";
import { asProblem, failed } from "./problem.js";

const AUTH = "/api/v1/auth";
/** Milliseconds; the server's cookie for calls lasts ten minutes. */
const RENEWAL = 240_000;
const DEADLINE = 15_000;

/** @type {Promise<void> | null} What is done about a sign-in that has ended, once for all who meet it. */
let renewal = null;

/**
 * As fetch, and once more when the sign-in had ended and is good again.
 * @param {string} url
 * @param {RequestInit} options
 */
export async function reach(url, options) {
  const response = await fetch(url, options);
  if (response.status !== 401) return response;
  await (renewal ??= renew().finally(() => (renewal = null)));
  return fetch(url, options);
}

/**
 * @param {string} path
 * @param {object} body
 */
function post(path, body) {
  return fetch(AUTH + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE),
  });
}

/** Renews the sign-in, or asks for it; then the page begins anew, as whoever signed in sees it. */
async function renew() {
  const response = await post("/refresh", {});
  if (response.ok) return;
  if (response.status !== 401) throw await failed(response);
  await ask();
}

async function ask() {
  const { setup, external } = await (await fetch(AUTH, { cache: "no-store" })).json();
  const code = byId("login-setup");
  const dialog = /** @type {HTMLDialogElement} */ (byId("login"));
  byId("login-heading").textContent = setup ? "Create the first owner" : "Sign in";
  byId("login-submit").textContent = setup ? "Create and sign in" : "Sign in";
  code.hidden = !setup;
  byId("login-external").hidden = !external;
  if (!dialog.open) dialog.showModal();
  return new Promise(() => {}); // The page is loaded again.
}

async function submit() {
  /** @param {string} id */
  const value = (id) => /** @type {HTMLInputElement} */ (byId(id)).value;
  const error = byId("login-error");
  const button = /** @type {HTMLButtonElement} */ (byId("login-submit"));
  const credential = { name: value("login-name"), password: value("login-password") };
  error.textContent = "";
  button.disabled = true;
  try {
    if (!byId("login-setup").hidden) {
      const made = await post("/setup", { ...credential, setup_code: value("login-code") });
      if (!made.ok) throw await failed(made);
      byId("login-setup").hidden = true;
    }
    const response = await post("/login", { ...credential, cookie: true });
    if (!response.ok) throw await failed(response);
    location.reload();
  } catch (thrown) {
    error.textContent = asProblem(thrown).sentence;
    byId("login-password").focus();
  } finally {
    button.disabled = false;
  }
}

/** Shows the way out, and keeps the sign-in good, where people sign in. */
export async function connectLogin() {
  byId("login").addEventListener("cancel", (event) => event.preventDefault());
  byId("login-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  const response = await fetch(AUTH, { cache: "no-store" }).catch(() => null);
  if (!response?.ok || !(await response.json()).login) return;
  const out = byId("sign-out");
  out.hidden = false;
  out.addEventListener("click", async () => {
    await post("/logout", {}).catch(() => null);
    location.reload();
  });
  setInterval(() => post("/refresh", {}).catch(() => null), RENEWAL);
}
