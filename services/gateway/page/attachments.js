/** Pictures and recordings that go with the next question: sent ahead of it, each shown as a chip. */

import { ATTACHMENTS, api } from "./api.js";
import { uploadProgress } from "./documents.js";
import { element, tool } from "./dom.js";
import { count, size } from "./format.js";
import { asProblem } from "./problem.js";
import { Uploads } from "./upload.js";

/** @typedef {import("./api.js").Attachment} Attachment */
/** @typedef {import("./upload.js").Upload} Upload */
/** @typedef {"image" | "audio" | ""} Kind The agent that takes such a file; empty for none. */

/** @type {Record<string, {what: string, most: number}>} What these agents take, and how many at most. */
const TAKERS = { image: { what: "picture", most: 8 }, audio: { what: "recording", most: 4 } };
/** Where the system does not know a file's type. */
const NAMES = {
  image: /\.(png|jpe?g|gif|webp|tiff?|bmp|p[bgnp]m|avif|jp2)$/i,
  audio: /\.(wav|flac|mp3|ogg|oga)$/i,
};

/**
 * Whether an agent works on files.
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
    return this.#uploads.busy;
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
    this.#uploads.add(ATTACHMENTS, files);
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
    const stranger = files.find((file) => kindOf(file) === "");
    if (stranger) return { agent, fault: `${stranger.name} is neither a picture nor a recording. Remove it to ask.` };
    if (agent === "auto" && kinds.size > 1) {
      return {
        agent,
        fault: "Pictures and recordings go to different agents. Remove the one or the other to ask.",
      };
    }
    const taker = agent === "auto" ? [...kinds][0] : agent;
    if (!takesFiles(taker)) return { agent, fault: `${name} takes no files. Choose Auto, or remove them.` };
    const { what, most } = TAKERS[taker];
    const other = files.find((file) => kindOf(file) !== taker);
    if (other) return { agent, fault: `${name} takes ${what}s, and ${other.name} is none. Choose Auto, or remove it.` };
    if (files.length > most) return { agent, fault: `At most ${count(most, what)} can go with a question.` };
    return { agent: taker, fault: "" };
  }

  /**
   * Gives those that have arrived and forgets them all.
   * @returns {Attachment[]}
   */
  take() {
    const made = [...this.#chips.keys()].map((upload) => upload.made);
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
    if (upload.made) discard(upload.made);
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
        upload.phase === "failed" ? tool("retry", `Send ${name} again`, () => this.#uploads.retry(upload)) : "",
        tool("close", `Remove ${name}`, () => this.#uploads.cancel(upload)),
        element("progress", { "aria-label": `Progress of ${name}` }),
      );
      if (hadFocus) chip.querySelector("button")?.focus();
    }
    const taken = upload.phase === "taken";
    const { text, fraction } = uploadProgress(upload);
    const state = /** @type {HTMLElement} */ (chip.querySelector(".chip-state"));
    state.textContent = taken ? size(upload.file.size) : text;
    const bar = /** @type {HTMLProgressElement} */ (chip.querySelector("progress"));
    bar.hidden = taken || fraction === undefined;
    if (typeof fraction === "number") bar.value = fraction;
    else bar.removeAttribute("value");
  }
}

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
