/** What went wrong, in the words of the server (application/problem+json) or of the network. */

/** Statuses after which the same request may succeed. */
const TEMPORARY = new Set([0, 408, 425, 429, 502, 503, 504]);

export class Problem extends Error {
  /**
   * @param {object} said
   * @param {number} [said.status] HTTP status; 0 when no answer came.
   * @param {string} [said.title]
   * @param {string} [said.detail]
   * @param {string} [said.reason] As programs name it, for example "RETRIEVAL_UNAVAILABLE".
   * @param {string} [said.request_id]
   * @param {Record<string, string>} [said.metadata] The values of the detail.
   */
  constructor({ status = 0, title = "", detail = "", reason = "", request_id = "", metadata = {} }) {
    super(detail || title);
    this.name = "Problem";
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.reason = reason;
    this.requestId = request_id;
    this.metadata = metadata;
  }

  /** Whether the same request may succeed later. */
  get temporary() {
    return TEMPORARY.has(this.status);
  }

  /** One sentence for people. */
  get sentence() {
    return this.detail || this.title || `The server answered with status ${this.status}.`;
  }
}

/** No answer came. */
export function unreachable() {
  return new Problem({
    title: "The server cannot be reached",
    detail: "The server cannot be reached. Check that it is running, then try again.",
    reason: "UNREACHABLE",
  });
}

/** No answer came in time. */
export function late() {
  return new Problem({
    title: "The server did not answer in time",
    detail: "The server did not answer in time.",
    reason: "DEADLINE",
  });
}

/**
 * What a response that is not OK says.
 * @param {Response} response
 */
export async function failed(response) {
  return parseProblem(response.status, response.headers.get("Content-Type") ?? "", await response.text());
}

/**
 * @param {number} status
 * @param {string} contentType
 * @param {string} body
 */
export function parseProblem(status, contentType, body) {
  if (/\bjson\b/.test(contentType)) {
    try {
      return new Problem({ ...JSON.parse(body), status });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return new Problem({ status, title: `The server answered with status ${status}` });
}

/**
 * Any thrown value as a problem that can be shown.
 * @param {unknown} error
 */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  if (error instanceof DOMException && error.name === "TimeoutError") return late();
  if (error instanceof TypeError && /fetch|network|load failed/i.test(error.message)) return unreachable();
  return new Problem({ title: "The page met an error", detail: String(error), reason: "PAGE" });
}
