/** The question box: what is asked, of whom, with which files, and stopping it. */

import { Attachments, CODE, isText, kindOf, takesFiles } from "./attachments.js";
import { byId, element, icon } from "./dom.js";
import { asProblem } from "./problem.js";

/** @typedef {import("./api.js").Agent} Agent */
/** @typedef {import("./api.js").Workflow} Workflow */
/** @typedef {import("./upload.js").Upload} Upload */

/**
 * @typedef {object} Request
 * @property {string} question
 * @property {string} agent "auto" lets the service choose.
 * @property {string} workflow Asked instead of an agent; empty for none.
 * @property {import("./api.js").Attachment[]} files
 * @property {import("./inputs.js").Text[]} texts
 * @property {object | null} inputs As which the agent takes the texts.
 */

const AGENT = "meld.agent";
const AUTO = { id: "auto", name: "Auto", purpose: "The agent that fits the question is chosen for you." };
/** Before a workflow's id where agents and workflows are told apart by name. */
const WORKFLOW = "workflow:";

export class Ask {
  #form = /** @type {HTMLFormElement} */ (byId("ask"));
  #question = /** @type {HTMLTextAreaElement} */ (byId("question"));
  #agent = /** @type {HTMLSelectElement} */ (byId("agent"));
  #send = byId("send");
  #note = byId("ask-note");
  #attachments = new Attachments(byId("attachments"), this.#question, (upload) => this.#onUpload(upload));
  /** @type {Agent[]} */
  #agents = [];
  /** @type {Workflow[]} */
  #workflows = [];
  #busy = false;
  /** Who is asked is being found out. */
  #choosing = false;
  /** The question goes as soon as its files have arrived. */
  #waiting = false;
  #announcer;
  #onAsk;
  #onStop;

  /**
   * @param {import("./announcer.js").Announcer} announcer
   * @param {(request: Request) => void} onAsk
   * @param {() => void} onStop
   */
  constructor(announcer, onAsk, onStop) {
    this.#announcer = announcer;
    this.#onAsk = onAsk;
    this.#onStop = onStop;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#question.addEventListener("keydown", (event) => {
      // While an input method composes, Enter accepts its proposal.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#busy) this.#submit();
    });
    this.#question.addEventListener("input", () => this.#fit());
    this.#agent.addEventListener("change", () => {
      localStorage.setItem(AGENT, this.#agent.value);
      this.#explain();
      this.#say("");
    });
    this.#connectPicker();
    this.offer([]);
    this.busy(false);
  }

  /** Whether leaving the page would lose an upload. */
  get uploading() {
    return this.#attachments.pending;
  }

  /**
   * Offers the agents.
   * @param {Agent[]} agents
   */
  offer(agents) {
    this.#agents = agents;
    this.#drawAgents();
  }

  /**
   * Offers the workflows, below the agents.
   * @param {Workflow[]} workflows
   */
  offerWorkflows(workflows) {
    this.#workflows = workflows;
    this.#drawAgents();
  }

  /**
   * Whether a file that is dropped or pasted goes with the question.
   * @param {{name: string, type: string}} file
   * @param {EventTarget | null} target Where.
   */
  attaches(file, target) {
    const here = target instanceof Node && this.#form.contains(target);
    const agent = this.#agent.value;
    if (kindOf(file) !== "") return here || takesFiles(agent);
    const inputs = Object.keys(this.#agents.find(({ id }) => id === agent)?.input_schema?.properties ?? {});
    const [, table = ""] = /\.(csv|json)$/i.exec(file.name) ?? [];
    // Other texts are documents, unless they are picked for the question.
    if (table) return inputs.includes("files") || inputs.includes(table.toLowerCase());
    return CODE.test(file.name) && (here || inputs.includes("files"));
  }

  /**
   * Sends files ahead of the question.
   * @param {File[]} files
   */
  attach(files) {
    if (files.length === 0) return;
    this.#say("");
    this.#attachments.add(files);
    this.focus();
  }

  /** Takes back what is attached. */
  clear() {
    this.#waiting = false;
    this.#attachments.clear();
    this.#say("");
  }

  /** @param {boolean} busy */
  busy(busy) {
    this.#busy = busy;
    const label = busy ? "Stop" : "Ask";
    this.#send.setAttribute("aria-label", label);
    this.#send.title = busy ? "Stop" : "Ask (Enter)";
    this.#send.dataset.busy = String(busy);
    this.#send.replaceChildren(icon(busy ? "stop" : "send"));
  }

  /**
   * Puts a question into the box, for the person to send or change.
   * @param {string} question
   */
  propose(question) {
    this.#question.value = question;
    this.#fit();
    this.focus();
  }

  focus() {
    this.#question.focus();
  }

  #connectPicker() {
    const picker = /** @type {HTMLInputElement} */ (byId("attach-picker"));
    byId("attach").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      this.attach(Array.from(picker.files ?? []));
      picker.value = ""; // The same file can be picked again.
    });
  }

  async #submit() {
    if (this.#busy) {
      this.#onStop();
      return;
    }
    if (this.#choosing) return;
    const question = this.#question.value.trim();
    const [chosen] = this.#agent.selectedOptions;
    const { agent, fault } = this.#attachments.taker(chosen.value, chosen.label);
    const [failed] = this.#attachments.failed;
    this.#waiting = false;
    if (question === "") {
      if (this.#attachments.count > 0) this.#say("Write what you want to know about it.");
    } else if (fault || failed) {
      this.#say(fault || notSent(failed), "bad");
    } else if (this.#attachments.pending) {
      this.#waiting = true;
      this.#say("It is asked as soon as all files have arrived.");
    } else {
      const given = await this.#give(question, agent);
      // Meanwhile another question may have been written, or asked elsewhere on the page.
      if (!given || this.#busy || this.#question.value.trim() !== question) return;
      this.#question.value = "";
      this.#fit();
      this.#say("");
      const workflow = given.agent.startsWith(WORKFLOW) ? given.agent.slice(WORKFLOW.length) : "";
      const { texts, inputs } = given;
      this.#onAsk({ question, agent: workflow ? "executor" : given.agent, workflow, files: this.#attachments.take(), texts, inputs });
    }
  }

  /**
   * Who is asked, and with which texts.
   * @param {string} question
   * @param {string} agent
   * @returns {Promise<{agent: string, texts: import("./inputs.js").Text[], inputs: object | null} | null>} Null where
   *   the note says why not.
   */
  async #give(question, agent) {
    const { count, texts } = this.#attachments;
    const code = count === 0 && /^[ \t]*(```|~~~)/m.test(question);
    if (texts.length === 0 && !code) return { agent, texts, inputs: null };
    this.#choosing = true;
    if (agent === AUTO.id) this.#say("Choosing an agent");
    try {
      const { give } = await import("./inputs.js").catch(() => import("./inputs.js"));
      const workflows = this.#workflows.map((one) => ({ ...one, id: WORKFLOW + one.id, name: one.title || one.id }));
      const given = await give(question, texts, agent, [...this.#agents, ...workflows]);
      this.#say(given.fault, "bad");
      return given.fault || this.#attachments.count !== count ? null : given;
    } catch (error) {
      this.#say(asProblem(error).sentence, "bad");
      return null;
    } finally {
      this.#choosing = false;
    }
  }

  /** @param {Upload} upload */
  #onUpload(upload) {
    const { phase, file } = upload;
    if (phase === "failed" || phase === "cancelled") {
      this.#waiting = false; // The question stays where it is.
      this.#say(phase === "failed" ? notSent(upload) : "", "bad");
    }
    if (phase === "taken") this.#announcer.say(`${file.name} is attached`);
    if (this.#waiting && !this.#busy && !this.#attachments.pending) this.#submit();
  }

  /**
   * @param {string} text Empty to be silent.
   * @param {"" | "bad"} [tone]
   */
  #say(text, tone = "") {
    this.#note.hidden = text === "";
    this.#note.textContent = text;
    this.#note.dataset.tone = tone;
    if (text) this.#announcer.say(text);
  }

  #drawAgents() {
    const wanted = localStorage.getItem(AGENT) ?? AUTO.id;
    const workflows = this.#workflows.map(({ id, title, description }) =>
      element("option", { value: WORKFLOW + id, title: description }, title || id),
    );
    this.#agent.replaceChildren(
      ...[AUTO, ...this.#agents].map(({ id, name, purpose }) => element("option", { value: id, title: purpose }, name)),
      workflows.length > 0 ? element("optgroup", { label: "Workflows" }, ...workflows) : "",
    );
    this.#agent.value = wanted;
    if (this.#agent.selectedIndex < 0) this.#agent.value = AUTO.id;
    this.#explain();
  }

  /** Grows with what is written; style sheets bound it. */
  #fit() {
    this.#question.style.height = "auto";
    this.#question.style.height = `${this.#question.scrollHeight}px`;
  }

  #explain() {
    this.#agent.title = this.#agent.selectedOptions[0]?.title ?? "";
  }
}

/** @param {Upload} upload */
function notSent(upload) {
  const { file, problem } = upload;
  if (isText(upload)) return `${problem?.sentence} Remove it to ask.`;
  return `${file.name} did not arrive: ${problem?.sentence ?? ""} Send it again, or remove it.`;
}
