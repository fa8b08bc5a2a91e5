/** Puts the page together. */

import { address, goTo, onMove } from "./address.js";
import { Announcer } from "./announcer.js";
import { api } from "./api.js";
import { Ask } from "./ask.js";
import { Collections } from "./collections.js";
import { Conversation, plain } from "./conversation.js";
import { listConversations } from "./conversations.js";
import { Documents } from "./documents.js";
import { byId } from "./dom.js";
import { connectFiles } from "./drop.js";
import { Health } from "./health.js";
import { connectKeyboard } from "./keyboard.js";
import { connectLogin } from "./login.js";
import { Panels } from "./panels.js";
import { asProblem } from "./problem.js";
import { Reading } from "./reading.js";
import { verifyAgain } from "./sources.js";
import { connectTheme } from "./themebutton.js";
import { Views } from "./views.js";
import { Welcome } from "./welcome.js";

/** @type {Map<string, string>} */
const agentNames = new Map();
/** @type {import("./api.js").Agent[]} */
let known = [];

const announcer = new Announcer(byId("announcer"));
const reader = new Reading(announcer, (open) => panels.readerToggled(open));
const panels = new Panels(() => reader.close());
const welcome = new Welcome(byId("welcome"), (question) => ask.propose(question));

const documents = new Documents({
  list: byId("documents"),
  note: byId("library-note"),
  more: byId("documents-more"),
  announcer,
  onOpen: ({ id, title }, opener) => {
    const collection = collections.current;
    reader.open({ collection, documentId: id, title, places: [], current: -1, verification: null }, opener);
  },
  onDeleted: (id) => {
    reader.forget(id);
    verifyAgain(id);
  },
  onCount: (known) => welcome.documents(known),
});

const collections = new Collections((collection) => documents.show(collection));

/** @type {import("./turn.js").Company} */
const company = {
  agentName: (agent) => agentNames.get(agent) ?? agent,
  onIngested: (made) => {
    const here = made.filter(({ collection_id }) => collection_id === collections.current);
    documents.expect(here.map(({ document_id }) => document_id));
  },
  onRead: (view, opener) => reader.open(view, opener),
  announcer,
  agents: () => known,
  onAskAgain: (question, agent) => {
    if (conversation.busy) return false;
    if (address().view) views.go("ask");
    conversation.ask(plain(question, agent));
    return true;
  },
};

const conversation = new Conversation({
  thread: byId("turns"),
  company,
  collections: () => collections.asked,
  ingestInto: () => collections.ensure(),
  onBusy: (busy) => ask.busy(busy),
  onTurns: (turns) => welcome.turns(turns),
  onSession: listSessions,
});

const ask = new Ask(
  announcer,
  async (request) => {
    if (address().session) await standing; // It follows what was said before.
    conversation.ask(request);
  },
  () => conversation.stop(),
);

const views = new Views(
  {
    announcer,
    collections,
    openConversation,
    conversationsChanged: () => listSessions(),
    conversationDeleted: async (session) => {
      if (address().session === session) await conversation.open("");
      await listSessions();
    },
    read: (view, opener) => reader.open(view, opener),
    agentName: company.agentName,
    named: () => named,
    agents: () => known,
    company,
  },
  () => {
    reader.close();
    panels.leaveLibrary();
  },
);

const health = new Health(byId("outage"), load);

/** Settled when the names of the agents are known, or cannot be. */
let named = Promise.resolve();

/** What the page needs to know from the server; asked again when the server is back. */
async function load() {
  named = loadAgents();
  await Promise.all([named, loadWorkflows(), loadCollections(), listSessions()]);
}

async function loadAgents() {
  try {
    known = await api.agents();
    for (const { id, name } of known) agentNames.set(id, name);
    ask.offer(known);
    welcome.offer(known);
  } catch {
    health.look(); // Auto needs no list; the banner says what is down.
  }
}

async function loadWorkflows() {
  try {
    ask.offerWorkflows(await api.workflows());
  } catch {
    health.look(); // Agents can be asked all the same.
  }
}

async function loadCollections() {
  try {
    await collections.load();
    if (!collections.current) welcome.documents(0);
  } catch (error) {
    documents.fail(asProblem(error), loadCollections);
    health.look();
  }
}

function listSessions() {
  return listConversations(byId("conversations"), openConversation);
}

/** @param {string} session Empty for a new one. */
async function openConversation(session) {
  reader.close();
  panels.leaveLibrary();
  if (address().view) goTo({ view: "", item: "" });
  if (!session) ask.clear();
  await conversation.open(session);
  await listSessions();
  ask.focus();
}

connectTheme(byId("theme"));
connectLogin();
connectFiles({
  attaches: (file, target) => ask.attaches(file, target),
  onAttach: (files) => ask.attach(files),
  onDocuments: async (files) => {
    if (files.length === 0) return;
    try {
      await collections.ensure();
      documents.add(files);
    } catch (error) {
      documents.fail(asProblem(error), null);
    }
  },
});
for (const button of document.querySelectorAll("[data-new-conversation]")) {
  button.addEventListener("click", () => openConversation(""));
}
/** @type {HTMLElement} */ (document.querySelector(".skip")).addEventListener("click", (event) => {
  event.preventDefault(); // Its address would be taken for a place of the page.
  const [desk, view] = [byId("main"), byId("view")];
  (desk.hidden ? view : desk).focus();
});
onMove((now, before) => {
  views.show();
  if (now.session !== before.session || now.run !== before.run) conversation.restore();
});
addEventListener("beforeunload", (event) => {
  if (documents.busy || ask.uploading) event.preventDefault();
});
connectKeyboard({
  onQuestion: () => {
    if (document.body.dataset.view !== "ask") views.go("ask");
    ask.focus();
  },
  onNew: () => openConversation(""),
  onGo: (view) => views.go(view),
});

health.look();
const loading = load();
views.show();
const standing = (async () => {
  await loading;
  // A question that came before that would be gone.
  if (!conversation.busy) await conversation.restore();
})();
await standing;
if (!address().session && !address().view && matchMedia("(hover: hover)").matches) ask.focus();
