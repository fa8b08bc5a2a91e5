/** The conversation: its turns, the run under way, and the way back to both after a reload. */

import { address, setAddress } from "./address.js";
import { api, requestId } from "./api.js";
import { follow, readEvents } from "./events.js";
import { Problem, asProblem } from "./problem.js";
import { after, isLast, newRun, ofAnswer } from "./run.js";
import { Turn } from "./turn.js";

/** @typedef {import("./turn.js").Company} Company */
/** @typedef {import("./api.js").Attachment} Attachment */
/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./events.js").ServerEvent} ServerEvent */

/** Questions of runs under way, for a reload. */
const QUESTION = "meld.question.";
const TITLE_LENGTH = 80;
/** Agents that make files. */
const MAKERS = new Set(["image", "audio"]);
/** Statuses after which a question may still be answered, though the conversation is not kept. */
const UNKEPT = new Set([503, 507]);

/** @typedef {import("./ask.js").Request} Request */
/** @typedef {{files: Attachment[], degraded: import("./api.js").Degradation[]}} Made */

/**
 * @typedef {object} Asking One question on its way to an answer.
 * @property {Turn} turn
 * @property {string} question
 * @property {string} agent
 * @property {string} workflow Asked instead of the agent; empty for none.
 * @property {Attachment[]} files That go with it.
 * @property {import("./inputs.js").Text[]} texts That go with it too, among the inputs.
 * @property {object | null} inputs
 * @property {string} key Makes a repeated request start one run.
 * @property {AbortController} leaving
 * @property {string} runId Empty before the run is started, and where it is not kept.
 * @property {boolean} resumed The run was found under way; what went with it is not known.
 * @property {boolean} stopping
 * @property {AbortController | null} unkept The connection that a run lives by where it is not kept.
 */

export class Conversation {
  #thread;
  #company;
  #collections;
  #ingestInto;
  #onBusy;
  #onTurns;
  #onSession;
  /** @type {Asking | null} */
  #asking = null;
  #turns = 0;

  /**
   * @param {object} parts
   * @param {HTMLElement} parts.thread
   * @param {Company} parts.company
   * @param {() => string[]} parts.collections Those that a question goes to.
   * @param {() => Promise<string>} parts.ingestInto The collection for what is found in attached files.
   * @param {(busy: boolean) => void} parts.onBusy
   * @param {(turns: number) => void} parts.onTurns
   * @param {() => void} parts.onSession A session has begun or has changed.
   */
  constructor({ thread, company, collections, ingestInto, onBusy, onTurns, onSession }) {
    this.#thread = thread;
    this.#company = company;
    this.#collections = collections;
    this.#ingestInto = ingestInto;
    this.#onBusy = onBusy;
    this.#onTurns = onTurns;
    this.#onSession = onSession;
  }

  /** Shows what the address names. */
  async restore() {
    const { session, run } = address();
    this.#clear();
    const known = session ? await this.#showMessages(session) : new Set();
    if (run && !known.has(run)) await this.#resume(run);
    else setAddress({ run: "" });
  }

  /**
   * Opens another conversation; a run under way goes on without the page.
   * @param {string} session Empty for a new one.
   */
  open(session) {
    setAddress({ session, run: "" });
    return this.restore();
  }

  /** Whether a run is under way. */
  get busy() {
    return this.#asking !== null;
  }

  /** @param {Request} request */
  async ask(request) {
    if (this.#asking) return;
    const turn = this.#addTurn(request.question, request.files, request.texts);
    turn.element.scrollIntoView({ block: "start", behavior: "smooth" });
    await this.#work(this.#begin(turn, request, requestId()));
  }

  /** Stops the run under way. */
  async stop() {
    const asking = this.#asking;
    if (!asking || asking.stopping) return;
    asking.stopping = true;
    asking.unkept?.abort();
    if (!asking.runId) return; // Cancelled as soon as it has a name.
    try {
      await api.cancelRun(asking.runId);
    } catch (error) {
      asking.stopping = false;
      this.#company.announcer.say(`It could not be stopped: ${asProblem(error).sentence}`);
    }
  }

  #clear() {
    this.#asking?.leaving.abort();
    this.#asking = null;
    this.#onBusy(false);
    this.#thread.replaceChildren();
    this.#turns = 0;
    this.#onTurns(0);
  }

  /**
   * @param {string} question
   * @param {Attachment[]} [files]
   * @param {import("./inputs.js").Text[]} [texts]
   */
  #addTurn(question, files = [], texts = []) {
    const turn = new Turn(question, this.#company, files.map(stored), texts);
    this.#thread.append(turn.element);
    this.#turns += 1;
    this.#onTurns(this.#turns);
    return turn;
  }

  /**
   * @param {string} session
   * @returns {Promise<Set<string>>} The runs whose answers are shown.
   */
  async #showMessages(session) {
    const runs = new Set();
    try {
      /** @type {Turn | null} */
      let turn = null;
      let question = "";
      const messages = await api.messages(session);
      const files = await this.#madeIn(session, messages);
      for (const message of messages) {
        if (message.role === "USER") {
          question = message.text;
          turn = this.#addTurn(question);
          turn.element.id = `m${message.sequence}`;
          continue;
        }
        turn ??= this.#addTurn("");
        turn.show(ofAnswer(recorded(message, files)));
        this.#offerRecorded(turn, question, message.agent ?? "");
        if (message.run_id) runs.add(message.run_id);
        turn = null;
        question = "";
      }
      this.#thread.lastElementChild?.scrollIntoView({ block: "start" });
    } catch (error) {
      const problem = asProblem(error);
      const turn = this.#addTurn("");
      if (problem.status === 404) {
        const detail = "This conversation is no longer kept.";
        turn.fail(new Problem({ ...problem, detail }), () => this.open(""));
        setAddress({ session: "", run: "" });
      } else {
        turn.fail(problem, () => this.restore());
      }
    }
    return runs;
  }

  /**
   * What went with a question is not in its record, so it is offered again where its agent takes nothing.
   * @param {Turn} turn
   * @param {string} question
   * @param {string} agent
   */
  #offerRecorded(turn, question, agent) {
    const inputs = this.#company.agents().find(({ id }) => id === agent)?.input_schema?.properties;
    if (!question || !inputs || Object.keys(inputs).length > 0) return;
    turn.offerAgain(() => this.ask(plain(question, agent)));
  }

  /**
   * What the runs of a conversation have made.
   * @param {string} session
   * @param {import("./api.js").Message[]} messages
   * @returns {Promise<Made>}
   */
  async #madeIn(session, messages) {
    if (!messages.some(({ agent }) => MAKERS.has(agent ?? ""))) return { files: [], degraded: [] };
    try {
      return { files: (await api.files(session)).reverse(), degraded: [] };
    } catch (error) {
      return { files: [], degraded: [{ component: "files", reason: asProblem(error).sentence }] };
    }
  }

  /** @param {string} run */
  async #resume(run) {
    const question = sessionStorage.getItem(QUESTION + run) ?? "";
    const turn = this.#addTurn(question || "…");
    turn.element.scrollIntoView({ block: "start" });
    const asking = this.#begin(turn, plain(question, "auto"), requestId());
    asking.runId = run;
    asking.resumed = true;
    await this.#work(asking);
    // Another window has asked; the question is in the record once the run has ended with an answer.
    if (!question && address().session && !address().run) await this.restore();
  }

  /**
   * @param {Turn} turn
   * @param {Request} request
   * @param {string} key
   * @returns {Asking}
   */
  #begin(turn, request, key) {
    turn.begin();
    this.#asking = {
      ...request,
      turn,
      key,
      leaving: new AbortController(),
      runId: "",
      resumed: false,
      stopping: false,
      unkept: null,
    };
    this.#onBusy(true);
    return this.#asking;
  }

  /** @param {Asking} asking */
  async #work(asking) {
    const { turn, leaving } = asking;
    let run = newRun(asking.agent);
    /** @param {string} key */
    const again = (key) => () => {
      if (!this.#asking) this.#work(this.#begin(turn, asking, key));
    };
    /** @param {ServerEvent} event */
    const tell = (event) => {
      run = after(run, event);
      turn.show(run);
    };
    turn.show(run);
    try {
      const url = asking.runId ? api.eventsUrl(asking.runId) : await this.#start(asking);
      if (url) {
        const onConnection = turn.connected.bind(turn);
        await follow(url, { signal: leaving.signal, isLast, onConnection, onEvent: tell });
      } else {
        await this.#followUnkept(asking, tell);
      }
      if (leaving.signal.aborted) return;
      if (run.outcome === "RUNNING") throw new Problem({ status: 502, detail: "The run ended without an answer." });
      if (run.outcome === "CANCELLED") turn.stopped(again(requestId()));
      if (run.outcome === "FAILED") turn.fail(ofError(run), again(requestId()));
      if (run.outcome === "SUCCEEDED") {
        this.#company.announcer.say("The answer is complete");
        const { question, agent, workflow, files, texts, inputs } = asking;
        // What a run resumed after a reload was asked with is not known here.
        if (!asking.resumed) turn.offerAgain(() => this.ask({ question, agent, workflow, files, texts, inputs }));
        else this.#offerRecorded(turn, question, run.agent);
      }
    } catch (error) {
      if (leaving.signal.aborted) return;
      const problem = asProblem(error);
      // Whether the request arrived is not known; the same key asks for the same run.
      turn.fail(problem, again(problem.temporary ? asking.key : requestId()));
    }
    this.#done(asking, run.outcome === "CANCELLED" || run.outcome === "FAILED");
  }

  /**
   * @param {Asking} asking
   * @param {boolean} open It has no answer that the conversation keeps: a reload finds it by its run.
   */
  #done(asking, open) {
    if (asking.runId && !open) sessionStorage.removeItem(QUESTION + asking.runId);
    if (this.#asking !== asking) return;
    this.#asking = null;
    if (!open) setAddress({ run: "" });
    this.#onBusy(false);
    this.#onSession();
  }

  /**
   * @param {Asking} asking
   * @returns {Promise<string>} Where its events are; empty when conversations cannot be kept now.
   */
  async #start(asking) {
    const request = await this.#request(asking);
    const { message, collections } = request;
    let run_id;
    try {
      const session_id = address().session || (await this.#newSession(message, collections));
      ({ run_id } = await api.startRun({ ...request, session_id }, asking.key));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (UNKEPT.has(error.status)) return "";
      // An earlier try did arrive, only its answer was lost.
      if (error.reason !== "RUN_IN_PROGRESS" || !error.metadata.run_id) throw error;
      run_id = error.metadata.run_id;
    }
    asking.runId = run_id;
    sessionStorage.setItem(QUESTION + run_id, message);
    setAddress({ run: run_id });
    if (asking.stopping) {
      asking.stopping = false;
      await this.stop();
    }
    return api.eventsUrl(run_id);
  }

  /**
   * Answers without the session service: the run cannot be found again after a reload.
   * @param {Asking} asking
   * @param {(event: ServerEvent) => void} tell
   */
  async #followUnkept(asking, tell) {
    const connection = new AbortController();
    asking.unkept = connection;
    asking.leaving.signal.addEventListener("abort", () => connection.abort());
    if (asking.stopping) connection.abort();
    tell({ id: "", name: "degradation", data: { component: "session", reason: "a reload would lose it" } });
    try {
      const response = await api.streamRun(await this.#request(asking), connection.signal);
      for await (const event of readEvents(response, connection)) {
        if (event.name === "error") throw new Problem(event.data);
        if (event.data.step_id) continue; // Of a run below the workflow.
        tell(event);
        if (isLast(event)) return;
      }
    } catch (error) {
      if (!asking.stopping) throw error;
      tell({ id: "", name: "ended", data: { outcome: "CANCELLED", result: null, error: null } });
    }
  }

  /**
   * @param {Asking} asking
   * @returns {Promise<import("./api.js").RunRequest>}
   */
  async #request({ question, agent, workflow, files, inputs: given }) {
    // Where there is no collection yet, the first is made for what will be found in the files.
    const ingest_collection_id = files.length > 0 ? await this.#ingestInto() : "";
    const sent = { attachment_ids: files.map(({ id }) => id), ingest_collection_id };
    const inputs = files.length > 0 ? sent : given;
    const request = { agent, workflow, message: question, collections: this.#collections() };
    return inputs ? { ...request, inputs } : request;
  }

  /**
   * @param {string} question
   * @param {string[]} collections
   */
  async #newSession(question, collections) {
    // By characters: half of a surrogate pair is not text.
    const title = Array.from(question).slice(0, TITLE_LENGTH).join("");
    const { id } = await api.createSession(title, collections);
    setAddress({ session: id });
    this.#onSession();
    return id;
  }
}

/**
 * @param {import("./api.js").Message} message
 * @param {Made} made
 * @returns {import("./api.js").Answer}
 */
function recorded({ text, html, agent, run_id, attributes = {} }, made) {
  return {
    run_id: run_id ?? "",
    agent: agent ?? "",
    recorded: true,
    answer_mode: attributes.answer_mode ?? null,
    text,
    html,
    // The agents write these, in the names of their own contract.
    citations: (attributes.citations ?? []).map((/** @type {any} */ citation) => ({
      ...citation,
      collection: citation.collection_id,
    })),
    result: { files: made.files.filter((file) => run_id && file.run_id === run_id).map(stored) },
    degraded: [...(attributes.degradations ?? []), ...(MAKERS.has(agent ?? "") ? made.degraded : [])],
  };
}

/**
 * A question with which nothing goes.
 * @param {string} question
 * @param {string} agent
 * @returns {Request}
 */
export const plain = (question, agent) => ({ question, agent, workflow: "", files: [], texts: [], inputs: null });

/**
 * An attachment as results name it.
 * @param {Attachment} attachment
 * @returns {import("./api.js").StoredFile}
 */
function stored({ id, filename, media_type, bytes }) {
  return { attachment_id: id, filename, media_type, bytes };
}

/** @param {Run} run */
function ofError({ error }) {
  return new Problem({ status: 200, reason: error?.reason, detail: error?.message, title: "The run failed" });
}
