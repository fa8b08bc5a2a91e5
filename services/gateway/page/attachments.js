/** Files that go with the next question, each shown as a chip: pictures and recordings are sent ahead of it, the rest
 * is text of its inputs. */

import { ATTACHMENTS, api } from "./api.js";
import { uploadProgress } from "./documents.js";
import { element, tool } from "./dom.js";
import { count, size } from "./format.js";
import { asProblem } from "./problem.js";
import { Uploads, fresh } from "./upload.js";

/** @typedef {import("./api.js").Attachment} Attachment */
/** @typedef {import("./upload.js").Upload} Upload */
/** @typedef {import("./inputs.js").Text} Text */
/** @typedef {"image" | "audio" | ""} Kind The agent that takes such a file; empty for what may be text. */

/** @type {Record<string, {what: string, most: number}>} What these agents take, and how many at most. */
const TAKERS = { image: { what: "picture", most: 8 }, audio: { what: "recording", most: 4 } };
/** More texts than can go with a question are told of; chips of whole folders are not drawn. */
const MOST_TEXTS = 250;
/** Where the system does not know a file's type. */
const NAMES = {
  image: /\.(png|jpe?g|gif|webp|tiff?|bmp|p[bgnp]m|avif|jp2)$/i,
  audio: /\.(wav|flac|mp3|ogg|oga)$/i,
};

/** Names of code. */
export const CODE = /\.(pyi?|[cm]?jsx?|tsx?|go|java|rs|c|h|cc|[ch]pp|cs|rb|php|kt|swift|scala|sh)$/i;

/**
 * Whether an agent works on pictures or recordings.
 * @param {string} agent
 */
export const takesFiles = (agent) => Object.hasOwn(TAKERS, agent);

/**
 * @param {{name: string, type: string}} file
 * @returns {Kind}
 */
export function kindOf({ name, type }) {
  if (type.startsWith("image/") || NAMES.image.test(name)) return "image";
  if (type.startsWith("audio/") || NAMES.audio.test(name)) return "audio";
  return "";
}

export class Attachments {
  /** @type {Map<Upload, HTMLLIElement>} */
  #chips = new Map();
  #uploads = new Uploads((upload) => this.#onUpload(upload));
  #list;
  #home;
  #onChange;

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} home Gets the focus when the last chip is gone.
   * @param {(upload: Upload) => void} onChange
   */
  constructor(list, home, onChange) {
    this.#list = list;
    this.#home = home;
    this.#onChange = onChange;
  }

  /** Whether some are still on their way. */
  get pending() {
    return this.#uploads.busy || [...this.#chips.keys()].some((upload) => isText(upload) && upload.phase === "working");
  }

  /** Those that did not arrive. */
  get failed() {
    return [...this.#chips.keys()].filter(({ phase }) => phase === "failed");
  }

  get count() {
    return this.#chips.size;
  }

  /** @param {File[]} files */
  add(files) {
    this.#uploads.add(ATTACHMENTS, files.filter((file) => kindOf(file)));
    for (const file of files.filter((one) => !kindOf(one)).slice(0, MOST_TEXTS)) this.#read(fresh("", file));
  }

  /** The texts among them. */
  get texts() {
    return [...this.#chips.keys()].filter(isText).map(({ made }) => /** @type {Text} */ (made));
  }

  /** Takes them all back. */
  clear() {
    for (const upload of this.#chips.keys()) this.#cancel(upload);
  }

  /**
   * Texts are read here; they are sent with the question.
   * @param {Upload} upload
   */
  async #read(upload) {
    upload.phase = "working";
    this.#onUpload(upload);
    try {
      const { readText } = await import("./inputs.js").catch(() => import("./inputs.js"));
      Object.assign(upload, { made: await readText(upload.file), phase: "taken" });
    } catch (error) {
      Object.assign(upload, { problem: asProblem(error), phase: "failed" });
    }
    if (this.#chips.has(upload)) this.#onUpload(upload);
  }

  /** @param {Upload} upload */
  #cancel(upload) {
    if (!isText(upload)) return this.#uploads.cancel(upload);
    upload.phase = "cancelled";
    this.#onUpload(upload);
  }

  /**
   * Which agent takes them, or why the one that is asked for does not.
   * @param {string} agent As chosen, maybe "auto".
   * @param {string} name What the agent is called.
   * @returns {{agent: string, fault: string}}
   */
  taker(agent, name) {
    const files = [...this.#chips.keys()].map(({ file }) => file);
    if (files.length === 0) return { agent, fault: "" };
    const kinds = new Set(files.map(kindOf));
    if (kinds.size === 1 && kinds.has("")) return { agent, fault: "" }; // What they are is told by inputs.js.
    if ((agent === "auto" && kinds.size > 1) || kinds.has("")) {
      const fault = "Pictures, recordings and texts go to different agents. Remove all but one kind to ask.";
      return { agent, fault };
    }
    const taker = agent === "auto" ? [...kinds][0] : agent;
    if (!takesFiles(taker)) return { agent, fault: `${name} takes no pictures and no recordings. Choose Auto, or remove them.` };
    const { what, most } = TAKERS[taker];
    const other = files.find((file) => kindOf(file) !== taker);
    if (other) return { agent, fault: `${name} takes ${what}s, and ${other.name} is none. Choose Auto, or remove it.` };
    if (files.length > most) return { agent, fault: `At most ${count(most, what)} can go with a question.` };
    return { agent: taker, fault: "" };
  }

  /**
   * Gives those that have been sent and forgets them all.
   * @returns {Attachment[]}
   */
  take() {
    const made = [...this.#chips.keys()].filter((upload) => !isText(upload)).map((upload) => upload.made);
    this.#chips.clear();
    this.#list.replaceChildren();
    this.#list.hidden = true;
    return made;
  }

  /** @param {Upload} upload */
  #onUpload(upload) {
    let chip = this.#chips.get(upload);
    if (upload.phase === "cancelled") {
      this.#remove(upload);
    } else {
      if (!chip) {
        chip = element("li", { class: "chip" });
        this.#chips.set(upload, chip);
        this.#list.append(chip);
      }
      this.#draw(chip, upload);
    }
    this.#list.hidden = this.#chips.size === 0;
    this.#onChange(upload);
  }

  /** @param {Upload} upload */
  #remove(upload) {
    const chip = this.#chips.get(upload);
    const hadFocus = chip?.contains(document.activeElement);
    const beside = chip?.nextElementSibling ?? chip?.previousElementSibling;
    chip?.remove();
    this.#chips.delete(upload);
    if (upload.made && !isText(upload)) discard(upload.made);
    if (hadFocus) (beside?.querySelector("button") ?? this.#home).focus();
  }

  /**
   * @param {HTMLElement} chip
   * @param {Upload} upload
   */
  #draw(chip, upload) {
    const { name } = upload.file;
    // Progress comes many times a second; what has focus must survive it.
    if (chip.dataset.phase !== upload.phase) {
      const hadFocus = chip.contains(document.activeElement);
      chip.dataset.phase = upload.phase;
      chip.replaceChildren(
        element("span", { class: "chip-name", title: name }, name),
        element("span", { class: "chip-state" }),
        upload.phase === "failed" && !isText(upload) ? tool("retry", `Send ${name} again`, () => this.#uploads.retry(upload)) : "",
        tool("close", `Remove ${name}`, () => this.#cancel(upload)),
        element("progress", { "aria-label": `Progress of ${name}` }),
      );
      if (hadFocus) chip.querySelector("button")?.focus();
    }
    const taken = upload.phase === "taken";
    const { text, fraction } = uploadProgress(upload);
    const state = /** @type {HTMLElement} */ (chip.querySelector(".chip-state"));
    state.textContent = taken ? size(upload.file.size) : isText(upload) && !upload.problem ? "Reading" : text;
    const bar = /** @type {HTMLProgressElement} */ (chip.querySelector("progress"));
    bar.hidden = taken || fraction === undefined;
    if (typeof fraction === "number") bar.value = fraction;
    else bar.removeAttribute("value");
  }
}

/** @param {Upload} upload */
export const isText = ({ url }) => url === "";

/**
 * Deletes a file that is not wanted after all.
 * @param {Attachment} attachment
 */
async function discard({ id }) {
  try {
    await api.deleteAttachment(id);
  } catch (error) {
    if (!asProblem(error).temporary) throw error; // Else it goes when its time is over, as all that nobody uses.
  }
}
