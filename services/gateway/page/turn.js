/** One question and its answer, as it is made and as it stands. */

import { AnswerText } from "./answer.js";
import { Approvals } from "./approvals.js";
import { api } from "./api.js";
import { copyButton } from "./copy.js";
import { element, icon, style } from "./dom.js";
import { fileList, textList } from "./files.js";
import { count, duration } from "./format.js";
import { asProblem } from "./problem.js";
import { stepName } from "./run.js";
import { Verification, sourceList } from "./sources.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./api.js").Citation} Citation */
/** @typedef {import("./api.js").Passage} Passage */
/** @typedef {import("./reader.js").View} View */

/**
 * @typedef {object} Company What a turn needs from the page.
 * @property {(agent: string) => string} agentName
 * @property {(view: View, opener: HTMLElement) => void} onRead
 * @property {(documents: {collection_id: string, document_id: string}[]) => void} onIngested What was extracted has become these.
 * @property {import("./announcer.js").Announcer} announcer
 * @property {() => import("./api.js").Agent[]} agents
 * @property {(question: string, agent: string) => boolean} onAskAgain False while another question is under way.
 */

/** @type {Record<string, string>} */
const WITHOUT = {
  model: "The model is not answering",
  session: "This conversation is not being kept",
  vector_index: "Searched by keyword only",
  collections: "Not all collections were searched",
  budget: "Ended at a limit",
  files: "Pictures and sounds cannot be shown",
  citations: "Not all of it is in the documents",
};

/** Agents whose answers hold more than text, sources and files. */
const TYPED = new Set(["ceo", "executor", "triage", "research", "performance", "coaching", "code_analyzer", "code_debugger", "code_repair", "test_generator", "image", "audio"]);

export class Turn {
  element = element("article", { class: "turn" });
  #question = element("h2", { class: "question" });
  #files = element("div", { class: "asked-files" });
  #steps = element("details", { class: "steps" });
  #summary = element("summary");
  #stepList = element("ol", { class: "step-list" });
  #notices = element("div", { class: "notices" });
  #text = element("div", { class: "answer", "aria-live": "polite", "aria-busy": "true" });
  #connection = element("p", { class: "connection", role: "status", hidden: true }, "Connection lost. Trying again…");
  #end = element("div", { class: "turn-end" });
  #answer;
  #approvals;
  #company;
  /** @type {Run | null} What is drawn. */
  #drawn = null;
  /** @type {Run | null} What shall be drawn with the next frame. */
  #next = null;
  #frame = 0;
  #began = performance.now();
  /** @type {Verification | null} */
  #verification = null;
  /** @type {Run | null} The run behind an old answer, once its steps were asked for. */
  #told = null;

  /**
   * @param {string} question
   * @param {Company} company
   * @param {import("./api.js").StoredFile[]} [files] That go with the question.
   * @param {import("./inputs.js").Text[]} [texts] That go with it too.
   */
  constructor(question, company, files = [], texts = []) {
    this.#company = company;
    this.#answer = new AnswerText(this.#text, (citation, opener) => this.#openCitation(citation, opener));
    this.#approvals = new Approvals(company.announcer, this.#summary);
    this.#steps.append(this.#summary, this.#stepList);
    this.#steps.addEventListener("toggle", () => this.#drawSteps());
    this.element.append(
      this.#question,
      this.#files,
      this.#steps,
      this.#approvals.element,
      this.#notices,
      this.#text,
      this.#connection,
      this.#end,
    );
    this.ask(question);
    this.#files.append(...fileList(files), ...textList(texts));
  }

  /** @param {string} question */
  ask(question) {
    this.#question.textContent = question;
    this.element.setAttribute("aria-label", `Question: ${question.slice(0, 80)}`);
  }

  /** Takes away what an earlier try has left. */
  begin() {
    this.#began = performance.now();
    this.#end.replaceChildren();
    this.#drawn = null;
    this.#verification = null;
  }

  /**
   * Shows a run with the next frame, however many events come before that.
   * @param {Run} run
   */
  show(run) {
    this.#next = run;
    if (run.outcome !== "RUNNING") {
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
      this.#draw();
    } else if (this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#draw();
      });
    }
  }

  /** @param {boolean} connected */
  connected(connected) {
    this.#connection.hidden = connected;
  }

  /**
   * The answer did not come.
   * @param {import("./problem.js").Problem} problem
   * @param {() => void} retry
   */
  fail(problem, retry) {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.connected(true);
    this.#text.setAttribute("aria-busy", "false");
    this.element.dataset.outcome = "FAILED";
    if (!this.#drawn) this.#steps.hidden = true;
    else this.#approvals.show({ ...this.#drawn, outcome: "FAILED" });
    this.#summary.replaceChildren(icon("alert"), "Did not finish");
    const name = [problem.reason, problem.requestId && `request ${problem.requestId}`].filter(Boolean).join(", ");
    this.#end.replaceChildren(
      element(
        "div",
        { class: "failure", role: "alert" },
        element("p", {}, problem.sentence),
        name && element("p", { class: "reason" }, name),
        element("button", { class: "small", type: "button", onclick: retry }, icon("retry"), "Try again"),
      ),
    );
  }

  /**
   * Shows that the run was stopped.
   * @param {() => void} retry
   */
  stopped(retry) {
    this.#end.replaceChildren(
      element(
        "p",
        { class: "stopped" },
        "Stopped. ",
        element("button", { class: "small", type: "button", onclick: retry }, icon("retry"), "Ask again"),
      ),
    );
  }

  /**
   * Offers the same question once more, with all that went with it; on the last turn, as style sheets know.
   * @param {() => void} ask
   */
  offerAgain(ask) {
    const button = element("button", { class: "small same", type: "button", onclick: ask }, icon("retry"), "Ask again");
    this.#end.querySelector(".again")?.prepend(button);
  }

  #draw() {
    const run = this.#next;
    if (!run || run === this.#drawn) return;
    const before = this.#drawn;
    this.#drawn = run;
    const running = run.outcome === "RUNNING";
    this.element.dataset.outcome = run.outcome;
    this.#steps.hidden = false;
    if (!before || before.text !== run.text || before.answer !== run.answer) {
      if (before && !before.text && run.text) this.#company.announcer.say("The answer is being written");
      this.#answer.show(run.text, run.answer?.citations ?? [], run.answer?.html);
    }
    this.#drawSummary(run);
    this.#steps.classList.toggle("untold", !(run.id || run.answer?.run_id));
    if (changed(before, run, ["routing", "passages", "tools", "steps", "usage", "outcome"])) this.#drawSteps();
    // The steps of a workflow are what there is to see until it ends.
    if (run.steps.length > 0 && !before?.steps.length) this.#steps.open = true;
    if (changed(before, run, ["steps", "outcome"])) this.#approvals.show(run);
    if (changed(before, run, ["degradations", "answer"])) this.#drawNotices(run);
    if (run.answer && before?.answer !== run.answer) this.#drawEnd(run.answer);
    // While busy a live region keeps silent; then it is read as a whole.
    this.#text.setAttribute("aria-busy", String(running));
  }

  /** @param {Run} run */
  #drawSummary(run) {
    const words =
      run.outcome === "RUNNING" ? activity(run) : conclusion(run, this.#company.agentName, this.#began);
    const drawing = run.outcome === "RUNNING" ? element("span", { class: "pulse", "aria-hidden": "true" }) : "";
    if (this.#summary.textContent === words) return;
    this.#summary.replaceChildren(drawing, words);
  }

  /** Draws how the answer came about, where that is unfolded; of an old answer it is asked for then. */
  async #drawSteps() {
    if (!this.#steps.open || !this.#drawn) return;
    try {
      // A network that has just changed loses what is being loaded; a second time it comes.
      const { recordedRun, timeline } = await import("./timeline.js").catch(() => import("./timeline.js"));
      const old = this.#drawn?.answer?.recorded ? this.#drawn.answer.run_id : "";
      if (old && this.#told?.id !== old) this.#told = await recordedRun(old);
      const run = old ? this.#told : this.#drawn;
      if (!run) return; // Asked anew meanwhile.
      const onRead = (/** @type {Passage[]} */ passages, /** @type {number} */ index, /** @type {HTMLElement} */ opener) => {
        const places = passages.map((passage) => ({ ...passage, quote: passage.text }));
        this.#company.onRead({ ...view(places, index, null), question: this.#question.textContent ?? "" }, opener);
      };
      this.#stepList.replaceChildren(...timeline(run, this.#company.agentName, onRead));
    } catch (error) {
      this.#stepList.replaceChildren(element("li", { class: "step" }, asProblem(error).sentence));
    }
  }

  /** @param {Run} run */
  #drawNotices(run) {
    const notices = run.degradations.map(({ component, reason }) =>
      element("p", { class: "notice" }, icon("alert"), sentence(WITHOUT[component] ?? component, reason)),
    );
    this.#notices.replaceChildren(...notices);
  }

  /** @param {import("./api.js").Answer} answer */
  #drawEnd({ text, citations, result, agent, run_id, recorded }) {
    this.#verification = new Verification(citations);
    const parts = [];
    // Code agents call texts files, which are kept nowhere; results.js draws those.
    const kept = (result?.files ?? []).filter((/** @type {any} */ { attachment_id }) => attachment_id);
    const made = fileList(kept, result?.charts ?? []);
    if (made.length > 0) parts.push(element("section", { class: "files", "aria-label": "Files" }, ...made));
    if (result?.documents?.length > 0) this.#company.onIngested(result.documents);
    if (citations.length > 0) {
      parts.push(
        element(
          "section",
          { class: "sources", "aria-label": "Sources" },
          element("h3", {}, "Sources"),
          sourceList(citations, this.#verification, (citation, opener) => this.#openCitation(citation, opener)),
        ),
      );
    }
    const typed = element("div", { class: "results-place" });
    const whole = recorded ? null : result;
    if (whole) this.#drawTyped(typed, whole);
    else if (recorded && run_id && TYPED.has(agent)) this.#fetchTyped(typed, run_id);
    const copy = text.trim() ? copyButton("the answer", () => text, "Copy") : [];
    this.#end.replaceChildren(typed, ...parts, element("div", { class: "again" }, ...this.#againWith(agent), ...copy));
  }

  /**
   * Draws what the agent answers besides text.
   * @param {HTMLElement} place
   * @param {any} result
   */
  async #drawTyped(place, result) {
    try {
      const [{ typedResult }] = await Promise.all([import("./results.js"), style("/assets/results.css")]);
      place.replaceChildren(...typedResult(result, this.#company.agentName));
    } catch (error) {
      place.replaceChildren(element("p", { class: "notice" }, icon("alert"), `The details cannot be shown: ${asProblem(error).sentence}`));
    }
  }

  /**
   * A conversation holds texts; what belongs to one of them besides is with its run, and asked for when it comes
   * into sight.
   * @param {HTMLElement} place
   * @param {string} run
   */
  #fetchTyped(place, run) {
    const sight = new IntersectionObserver(async (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      sight.disconnect();
      try {
        await this.#drawTyped(place, (await api.run(run)).result);
      } catch (error) {
        if (asProblem(error).status === 404) return; // Runs are kept for a shorter time than texts.
        place.replaceChildren(element("p", { class: "notice" }, icon("alert"), `The details cannot be shown: ${asProblem(error).sentence}`));
      }
    });
    sight.observe(this.element);
  }

  /**
   * Lets somebody else answer the same question.
   * @param {string} answered The agent that has.
   */
  #againWith(answered) {
    const question = this.#question.textContent ?? "";
    const others = this.#company.agents().filter(({ id }) => id !== answered);
    // Another agent would be asked without the files.
    if (others.length === 0 || question === "" || this.#files.hasChildNodes()) return [];
    const select = element("select", { "aria-label": "Ask another agent" }, element("option", { value: "" }, "Ask another agent"), ...others.map(({ id, name }) => element("option", { value: id }, name)));
    const said = element("span", { class: "rule", role: "status" });
    const ask = () => {
      const asked = this.#company.onAskAgain(question, select.value);
      said.textContent = asked ? "" : "Another question is being answered. Ask again when it has ended.";
    };
    const go = element("button", { class: "small", type: "button", hidden: true, onclick: ask });
    select.addEventListener("change", () => {
      go.hidden = select.value === "";
      go.textContent = `Ask ${this.#company.agentName(select.value)}`;
    });
    return [select, go, said];
  }

  /**
   * @param {Citation} citation
   * @param {HTMLElement} opener
   */
  #openCitation(citation, opener) {
    const citations = this.#drawn?.answer?.citations ?? [];
    const opened = view(citations, citations.indexOf(citation), this.#verification);
    this.#company.onRead({ ...opened, question: this.#question.textContent ?? "" }, opener);
  }
}

/**
 * @param {import("./reader.js").Place[]} places
 * @param {number} current
 * @param {Verification | null} verification
 * @returns {View}
 */
function view(places, current, verification) {
  const { collection, document_id, title } = places[current];
  return { collection, documentId: document_id, title, places, current, verification };
}

/**
 * What a running run is about, as far as its events tell.
 * @param {Run} run
 */
function activity(run) {
  if (run.steps.some(({ state }) => state === "WAITING")) return "Waiting for your decision";
  const working = run.steps.filter(({ state }) => state === "RUNNING").map(({ id }) => stepName(id));
  if (working.length > 0) return `Working on ${working.join(", ")}`;
  const tool = run.tools.find((use) => use.succeeded === null);
  if (tool) return `Using ${tool.tool}`;
  if (run.text) return "Writing";
  if (run.passages) return `Reading ${count(run.passages.length, "passage")}`;
  if (run.routing) return "Searching your documents";
  return run.agent === "auto" ? "Choosing an agent" : "Searching your documents";
}

/**
 * @param {Run} run
 * @param {(agent: string) => string} agentName
 * @param {number} began
 */
function conclusion(run, agentName, began) {
  const seconds = run.usage?.duration_seconds;
  const time = seconds ? duration(seconds * 1000) : run.passages ? duration(performance.now() - began) : "";
  const how = run.answer ? manner(run.answer.answer_mode, run.usage?.model) : "";
  const name = run.agent && run.agent !== "auto" ? agentName(run.agent) : "";
  return [name, how, time].filter(Boolean).join(" · ");
}

/**
 * @param {string | null} mode
 * @param {string} [model]
 */
function manner(mode, model) {
  if (mode === "EXTRACTIVE") return "quoted from your documents";
  if (mode === "NO_ANSWER") return "no answer found";
  if (mode === "TOOLS") return "found by running tools";
  return `written by ${model || "the model"} from your documents`;
}

/**
 * @param {string} what
 * @param {string} why
 */
function sentence(what, why) {
  const rest = why ? `: ${why}` : "";
  return `${what}${rest}`.replace(/[.\s]*$/, ".");
}

/**
 * @param {Run | null} before
 * @param {Run} now
 * @param {(keyof Run)[]} names
 */
function changed(before, now, names) {
  return !before || names.some((name) => before[name] !== now[name]);
}
