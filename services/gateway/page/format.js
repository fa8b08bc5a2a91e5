/** Numbers and sizes as people write them. */

const NUMBER = new Intl.NumberFormat("en");
const UNITS = ["bytes", "KB", "MB", "GB"];

/** @param {number} value */
export const number = (value) => NUMBER.format(value);

/**
 * "1 passage", "1,204 passages".
 * @param {number} value
 * @param {string} noun
 */
export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/**
 * A size in bytes: "812 bytes", "1.2 MB".
 * @param {number} bytes
 */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (unit === 0) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/**
 * US dollars: "$0.0042", "$1.20".
 * @param {number} value
 */
export const dollars = (value) => `$${value.toFixed(value < 0.1 ? 4 : 2)}`;

/**
 * A share: "100 %", "8.3 %".
 * @param {number} share 0 to 1.
 */
export const percent = (share) => `${(share * 100).toFixed(share === 1 || share === 0 ? 0 : 1)} %`;

/**
 * A span of time: "0.4 s", "12 s", "2 min 5 s".
 * @param {number} milliseconds
 */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`.replaceAll(" ", "\u00a0");
}

/**
 * How long ago: "just now", "5 min ago", "yesterday", "12 Nov".
 * @param {Date} then
 * @param {Date} [now]
 */
export function ago(then, now = new Date()) {
  const minutes = Math.floor((now.getTime() - then.getTime()) / 60_000);
  if (!Number.isFinite(minutes)) return "";
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  if (minutes < 48 * 60) return "yesterday";
  return then.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

/**
 * Where a quote stands in its original: "slide 3", "Prices!B7", "page 2"; empty where nobody knows.
 * @param {{ page?: number | null, location?: string | null } | null | undefined} place
 */
export const where = (place) => place?.location || (place?.page ? `page ${place.page}` : "");

/**
 * Says that a search did without meaning.
 * @param {string} reason A code: "MODEL_UNAVAILABLE".
 */
export const wordsOnly = (reason) => `Searched by words only (${reason}).`;
