/** What one may use up in a time, and has used. */

import { BASE, json } from "../api.js";
import { element } from "../dom.js";
import { number } from "../format.js";
import { table } from "../table.js";
import { empty, section, trouble } from "./parts.js";

/** @type {Record<string, string>} */
const UNITS = { requests: "Requests in this minute", tokens: "Tokens of models today (UTC)" };

/** @param {import("../views.js").House} house */
export function quotas({ signal }) {
  const place = element("div", {});
  async function draw() {
    try {
      const { quotas: known } = await json("GET", `${BASE}/quotas`, { signal });
      place.replaceChildren(
        known.some((/** @type {{limit: number | null}} */ { limit }) => limit !== null)
          ? shown(known)
          : empty("Nothing is limited here", "So nothing is counted either. Limits are MELD_RATE_LIMIT_PER_MINUTE and MELD_DAILY_TOKENS."),
      );
    } catch (error) {
      if (!signal.aborted) place.replaceChildren(trouble(error, draw));
    }
  }
  draw();
  return section("Limits", place);
}

/** @param {{unit: string, limit: number | null, used: number | null, reset: string | null}[]} known */
function shown(known) {
  return table(
    "Limits",
    ["What", { name: "Used", number: true }, { name: "Limit", number: true }, { name: "Share", unseen: true }, "Full again"],
    known.map(({ unit, limit, used, reset }) => [
      UNITS[unit] ?? unit,
      used === null ? element("span", { class: "muted" }, "not counted") : number(used),
      limit === null ? "none" : number(limit),
      limit === null ? "" : element("meter", { min: 0, max: limit, value: Math.min(limit, used ?? 0), "aria-hidden": "true" }),
      reset ? new Date(reset).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "short" }) : "",
    ]),
  );
}
