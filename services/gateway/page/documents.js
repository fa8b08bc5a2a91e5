/** The documents of a collection, each with how far it is, and what can be done with it. */

import { api, documentsPath } from "./api.js";
import { element, tool } from "./dom.js";
import { sleep } from "./events.js";
import { count, number, size } from "./format.js";
import { asProblem } from "./problem.js";
import { Uploads } from "./upload.js";

/** @typedef {import("./views/changes.js").KnownDocument} KnownDocument */
/** @typedef {import("./upload.js").Upload} Upload */

/**
 * @typedef {object} Row
 * @property {HTMLLIElement} item
 * @property {KnownDocument | null} document
 * @property {Upload | null} upload Null once the document is taken.
 * @property {boolean} asking Whether to delete is being asked.
 */

/** @typedef {{text: string, tone: "" | "good" | "bad", fraction?: number | null}} Progress
 *   `fraction` 0 to 1; null for work of unknown length; absent where nothing is under way. */

/** Milliseconds between looks at documents that are being embedded. */
const FIRST_LOOK = 700;
const LONGEST_LOOK = 4_000;
/** Documents that have arrived meanwhile and are asked for at once. */
const ARRIVALS = 8;

/** @type {Record<string, string>} */
const STAGES = {
  "": "Arrived, being checked",
  received: "Extracting the text",
  parsed: "Splitting into passages",
};

export class Documents {
  /** @type {Map<string, Row>} By document id, or by upload key until that is known. */
  #rows = new Map();
  #collection = "";
  #nextPage = "";
  #list;
  #note;
  #more;
  #announcer;
  #onOpen;
  #onDeleted;
  #onCount;
  #uploads = new Uploads((upload) => this.#onUpload(upload));
  #watch = new AbortController();
  #watching = false;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.list
   * @param {HTMLElement} parts.note Where problems and receipts are shown.
   * @param {HTMLElement} parts.more The button that shows a further page.
   * @param {import("./announcer.js").Announcer} parts.announcer
   * @param {(document: KnownDocument, opener: HTMLElement) => void} parts.onOpen
   * @param {(id: string) => void} parts.onDeleted
   * @param {(documents: number) => void} parts.onCount
   */
  constructor({ list, note, more, announcer, onOpen, onDeleted, onCount }) {
    this.#list = list;
    this.#note = note;
    this.#more = more;
    this.#announcer = announcer;
    this.#onOpen = onOpen;
    this.#onDeleted = onDeleted;
    this.#onCount = onCount;
    more.addEventListener("click", () => this.#load());
  }

  /** Whether leaving the page would lose an upload. */
  get busy() {
    return this.#uploads.busy;
  }

  /**
   * Shows a collection.
   * @param {string} collection
   */
  async show(collection) {
    this.#watch.abort();
    this.#watch = new AbortController();
    this.#watching = false;
    this.#collection = collection;
    this.#nextPage = "";
    for (const [key, row] of this.#rows) {
      if (row.upload?.url !== documentsPath(collection)) this.#remove(key);
    }
    await this.#load();
  }

  /**
   * Shows why there is nothing to see or to add.
   * @param {import("./problem.js").Problem} problem
   * @param {(() => void) | null} retry
   */
  fail(problem, retry) {
    this.#say(problem, retry);
  }

  /** @param {File[]} files */
  add(files) {
    this.#say(null);
    if (files.length > 0) this.#announcer.say(`Adding ${count(files.length, "file")}`);
    this.#uploads.add(documentsPath(this.#collection), files);
  }

  /**
   * Shows documents that others have made.
   * @param {string[]} ids Of the open collection.
   */
  async expect(ids) {
    const collection = this.#collection;
    for (const id of ids) {
      if (collection === this.#collection && !this.#rows.has(id)) await this.#arrive(collection, id);
    }
    this.#counted();
    this.#watchProgress();
  }

  async #load() {
    const collection = this.#collection;
    this.#list.setAttribute("aria-busy", "true");
    try {
      const page = await api.documents(collection, this.#nextPage);
      if (collection !== this.#collection) return;
      for (const document of page.documents) this.#put(document, "end");
      this.#nextPage = page.next_page_token ?? "";
      this.#more.hidden = this.#nextPage === "";
      this.#say(null);
      this.#counted();
    } catch (error) {
      this.#say(asProblem(error), () => this.#load());
    } finally {
      this.#list.removeAttribute("aria-busy");
    }
    this.#watchProgress();
  }

  /**
   * @param {KnownDocument} document
   * @param {"start" | "end"} where
   */
  #put(document, where) {
    let row = this.#rows.get(document.id);
    if (!row) {
      row = { item: element("li", { class: "document" }), document, upload: null, asking: false };
      this.#rows.set(document.id, row);
      if (where === "start") this.#list.prepend(row.item);
      else this.#list.append(row.item);
    }
    row.document = document;
    this.#draw(row);
  }

  /** @param {Upload} upload */
  #onUpload(upload) {
    if (upload.url !== documentsPath(this.#collection)) return;
    let row = this.#rows.get(upload.key);
    if (upload.phase === "cancelled") {
      this.#remove(upload.key);
      this.#counted();
      return;
    }
    if (!row) {
      row = { item: element("li", { class: "document" }), document: null, upload, asking: false };
      this.#rows.set(upload.key, row);
      this.#list.prepend(row.item);
      this.#counted();
    }
    if (upload.phase === "taken" && upload.made) this.#take(upload, row);
    else this.#draw(row);
    if (upload.phase === "failed") {
      this.#announcer.say(`${upload.file.name} was not added: ${upload.problem?.sentence}`);
    }
  }

  /**
   * An upload has become a document.
   * @param {Upload} upload
   * @param {Row} row
   */
  #take(upload, row) {
    const document = /** @type {KnownDocument} */ (upload.made);
    const known = this.#rows.get(document.id);
    if (known) {
      this.#remove(upload.key);
      known.item.classList.remove("noticed");
      void known.item.offsetWidth; // Starts the animation again.
      known.item.classList.add("noticed");
      known.item.scrollIntoView({ block: "nearest" });
      this.#inform(`“${document.title}” is already here.`);
    } else {
      this.#rows.delete(upload.key);
      row.upload = null;
      row.document = document;
      this.#rows.set(document.id, row);
      this.#draw(row);
      this.#announcer.say(`${document.title} can be asked about`);
    }
    this.#counted();
    this.#watchProgress();
  }

  /** @param {string} key */
  #remove(key) {
    this.#rows.get(key)?.item.remove();
    this.#rows.delete(key);
  }

  #counted() {
    this.#onCount(this.#rows.size);
  }

  /** Looks at documents on their way until all have arrived. */
  async #watchProgress() {
    if (this.#watching) return;
    this.#watching = true;
    const { signal } = this.#watch;
    const collection = this.#collection;
    let pause = FIRST_LOOK;
    for (;;) {
      const pending = [...this.#rows.values()].flatMap(({ document }) =>
        document && isOnItsWay(document) ? [document] : [],
      );
      if (pending.length === 0) break;
      await sleep(pause, signal);
      if (signal.aborted) return;
      const moved = await this.#look(collection, pending);
      if (signal.aborted) return;
      pause = moved ? FIRST_LOOK : Math.min(pause * 1.5, LONGEST_LOOK);
    }
    this.#watching = false;
  }

  /**
   * @param {string} collection
   * @param {KnownDocument[]} pending
   * @returns {Promise<boolean>} Whether something has changed.
   */
  async #look(collection, pending) {
    /** @type {KnownDocument[]} */
    let underWay;
    try {
      underWay = await api.documentsUnderWay(collection);
    } catch (error) {
      if (asProblem(error).temporary) return false; // The banner tells of it; the next look may succeed.
      throw error;
    }
    const before = new Map(pending.map((document) => [document.id, document]));
    const moved = underWay.filter(({ id, vectors, state }) => {
      const known = before.get(id);
      return known && (known.vectors !== vectors || known.state !== state);
    });
    const still = new Set(underWay.map(({ id }) => id));
    const arrived = pending.filter(({ id }) => !still.has(id)).slice(0, ARRIVALS);
    if (collection !== this.#collection) return false;
    for (const document of moved) this.#put(document, "start");
    await Promise.all(arrived.map(({ id }) => this.#arrive(collection, id)));
    return moved.length + arrived.length > 0;
  }

  /**
   * A document is not on its way any more: it has arrived, or it is gone.
   * @param {string} collection
   * @param {string} id
   */
  async #arrive(collection, id) {
    try {
      const document = await api.document(collection, id);
      if (collection !== this.#collection) return;
      this.#put(document, "start");
      if (document.state === "READY" && !document.reprocessing) this.#announcer.say(`${document.title} is ready`);
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status !== 404 && !problem.temporary) throw error;
      if (problem.status === 404 && collection === this.#collection) {
        this.#remove(id);
        this.#counted();
      }
    }
  }

  /** @param {Row} row */
  #draw(row) {
    const { item, document, upload } = row;
    const title = document?.title || document?.filename || upload?.file.name || "";
    const progress = upload ? uploadProgress(upload) : documentProgress(/** @type {KnownDocument} */ (document));
    const state = upload ? upload.phase : (document?.state ?? "");
    // Progress comes many times a second; what has focus must survive it.
    const shape = `${state}/${title}/${row.asking}/${document?.reprocessing}`;
    if (item.dataset.shape !== shape) {
      const hadFocus = item.contains(window.document.activeElement);
      item.dataset.shape = shape;
      item.dataset.state = state.toUpperCase();
      item.replaceChildren(
        element("span", { class: "format", "aria-hidden": "true" }, format(document, upload)),
        this.#title(row, title),
        element("p", { class: "progress-text" }),
        element("progress", { "aria-label": `Progress of ${title}` }),
        this.#actions(row, title),
      );
      if (hadFocus) item.querySelector("button")?.focus();
    }
    const text = /** @type {HTMLElement} */ (item.querySelector(".progress-text"));
    if (text.textContent !== progress.text) text.textContent = progress.text;
    text.dataset.tone = progress.tone;
    const bar = /** @type {HTMLProgressElement} */ (item.querySelector("progress"));
    bar.hidden = progress.fraction === undefined;
    if (typeof progress.fraction === "number") bar.value = progress.fraction;
    else bar.removeAttribute("value");
  }

  /**
   * @param {Row} row
   * @param {string} title
   */
  #title(row, title) {
    const { document } = row;
    const readable = document && (document.state === "EMBEDDING" || document.state === "READY");
    if (!readable) return element("span", { class: "title", title }, title);
    return element(
      "button",
      {
        class: "title",
        type: "button",
        title,
        onclick: (/** @type {MouseEvent} */ event) =>
          this.#onOpen(
            /** @type {KnownDocument} */ (row.document),
            /** @type {HTMLElement} */ (event.currentTarget),
          ),
      },
      title,
    );
  }

  /**
   * @param {Row} row
   * @param {string} title
   */
  #actions(row, title) {
    const actions = element("div", { class: "actions" });
    const { document, upload } = row;
    if (row.asking) {
      actions.append(
        element("button", { class: "small danger", type: "button", onclick: () => this.#do("remove", row) }, "Delete"),
        element("button", { class: "small", type: "button", onclick: () => this.#ask(row, false) }, "Keep"),
      );
    } else if (document) {
      actions.append(tool("trash", `Delete ${title}`, () => this.#ask(row, true)));
      if (document.has_original) {
        const again = document.reprocessing ? tool("close", `Stop reading ${title}`, () => this.#do("stop", row)) : tool("retry", `Read ${title} again`, () => this.#do("reread", row));
        again.classList.add("reread");
        actions.append(again);
      }
    } else if (upload?.phase === "failed") {
      actions.append(
        tool("retry", `Send ${title} again`, () => this.#uploads.retry(upload)),
        tool("close", `Dismiss ${title}`, () => this.#uploads.cancel(upload)),
      );
    } else if (upload) {
      actions.append(tool("close", `Stop sending ${title}`, () => this.#uploads.cancel(upload)));
    }
    return actions;
  }

  /**
   * @param {Row} row
   * @param {boolean} asking
   */
  #ask(row, asking) {
    row.asking = asking;
    this.#draw(row);
    /** @type {HTMLElement | null} */
    const focused = row.item.querySelector(asking ? ".danger" : ".actions button");
    focused?.focus();
  }

  /**
   * What is done loads with the first time.
   * @param {"remove" | "reread" | "stop"} what
   * @param {Row} row
   */
  async #do(what, row) {
    try {
      const changes = await import("./views/changes.js");
      await changes[what](row, {
        note: this.#note,
        put: (document) => this.#rows.has(document.id) && this.#put(document, "start"),
        remove: (id) => this.#remove(id),
        forget: this.#onDeleted,
        keep: () => this.#ask(row, false),
        inform: (text) => this.#inform(text),
      });
    } catch (error) {
      this.#say(asProblem(error), () => this.#do(what, row));
    }
    this.#counted();
    this.#watchProgress();
  }

  /** @param {string} text */
  #inform(text) {
    this.#note.hidden = false;
    this.#note.dataset.tone = "";
    this.#note.replaceChildren(element("p", {}, text));
  }

  /**
   * @param {import("./problem.js").Problem | null} problem
   * @param {(() => void) | null} [retry]
   */
  #say(problem, retry) {
    this.#note.hidden = problem === null;
    if (!problem) return;
    this.#note.dataset.tone = "bad";
    this.#note.replaceChildren(
      element("p", {}, problem.sentence),
      retry ? element("button", { class: "small", type: "button", onclick: retry }, "Try again") : "",
    );
  }
}

/** @param {KnownDocument} document */
function isOnItsWay(document) {
  return document.reprocessing || (document.state !== "READY" && document.state !== "FAILED");
}

/**
 * @param {Upload} upload
 * @returns {Progress}
 */
export function uploadProgress({ phase, fraction, stage, made, problem }) {
  if (phase === "failed") return { text: problem?.sentence ?? "", tone: "bad" };
  if (phase === "waiting") return { text: "Waiting for its turn", tone: "", fraction: 0 };
  if (phase === "sending") return { text: `Uploading, ${Math.floor(fraction * 100)} %`, tone: "", fraction };
  const passages = made?.chunks > 0 ? count(made.chunks, "passage") : "the passages";
  return { text: STAGES[stage] ?? `Storing ${passages}`, tone: "", fraction: null };
}

/**
 * @param {KnownDocument} document
 * @returns {Progress}
 */
export function documentProgress(document) {
  const { state, chunks, vectors, error, bytes, metadata, reprocess_error } = document;
  if (document.reprocessing) return { text: "Being read again, can be asked", tone: "", fraction: null };
  if (reprocess_error) return { text: `Not read again: ${reprocess_error.message}`, tone: "bad" };
  if (state === "READY" && document.warnings?.length) {
    return { text: `Text is missing: ${document.warnings.join("; ")}`, tone: "bad" };
  }
  if (state === "READY") return { text: [count(chunks, "passage"), size(bytes), metadata?.url].filter(Boolean).join(", "), tone: "good" };
  if (state === "FAILED") return { text: error?.message || error?.reason || "It could not be read.", tone: "bad" };
  if (state === "EMBEDDING") {
    const done = `${number(vectors)} of ${number(chunks)}`;
    return { text: `Embedding ${done}, can be asked`, tone: "", fraction: chunks > 0 ? vectors / chunks : null };
  }
  return { text: state === "PARSING" ? "Extracting the text" : "Arrived, being read", tone: "", fraction: null };
}

/**
 * The format in a few letters.
 * @param {KnownDocument | null} document
 * @param {Upload | null} upload
 */
function format(document, upload) {
  const name = document?.filename || upload?.file.name || document?.title || "";
  const extension = /\.([a-z0-9]{1,5})$/i.exec(name)?.[1] ?? document?.media_type?.split(/[/+.-]/).pop() ?? "";
  return extension.slice(0, 4).toUpperCase() || "TEXT";
}
