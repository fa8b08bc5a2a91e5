/** Texts that go with a question - code, tables, a letter - and the inputs by which agents and workflows take them. */

import { api } from "./api.js";
import { CODE } from "./attachments.js";
import { ByteText } from "./bytes.js";
import { number, size } from "./format.js";
import { Problem } from "./problem.js";

/** @typedef {{path: string, content: string}} Text A file of text, as inputs hold it. */
/** @typedef {{id: string, name: string} & Parameters<typeof inputsOf>[0]} Taker An agent or a workflow. */
/** @typedef {{agent: string, texts: Text[], inputs: object | null, fault: string}} Given Who is asked with what, or why nobody is. */

/** As the services bound them: files of a project, bytes of one of them, bytes of the inputs in a request. */
const MOST_FILES = 200;
const MOST_BYTES = 400_000;
const MOST_TOGETHER = 900_000;
/** Code as Markdown has it, and its language. */
const FENCED = /^[ \t]*(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n`]*\n([^]*?)\n?^[ \t]*\1[`~]*[ \t]*$/gm;
/** @type {Record<string, string>} What files of a language are called. Without a word it is what can be run here. */
const EXTENSIONS = { "": "py", python: "py", python3: "py", javascript: "js", typescript: "ts", golang: "go", rust: "rs", "c++": "cpp", csharp: "cs", "c#": "cs", ruby: "rb", kotlin: "kt", shell: "sh", bash: "sh" };

/** @param {string} detail */
const refused = (detail) => new Problem({ status: 400, title: "The file cannot be taken", detail });

/**
 * @param {File} file
 * @returns {Promise<Text>}
 * @throws {Problem} It is no text, or too large.
 */
export async function readText(file) {
  if (file.size > MOST_TOGETHER) throw refused(`${file.name} is too large: texts of a question have at most ${size(MOST_TOGETHER)}.`);
  try {
    const content = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    if (!content.includes("\0")) return { path: file.name, content };
  } catch (error) {
    if (!(error instanceof TypeError)) throw refused(`${file.name} cannot be read. It may have been moved or changed.`);
  }
  throw refused(`${file.name} is no picture, no recording and no text in UTF-8.`);
}

/**
 * The names of the inputs that an agent has, or that a workflow's steps take.
 * @param {{input_schema?: import("./api.js").Agent["input_schema"], steps?: import("./graph.js").Step[]}} taker
 */
export function inputsOf({ input_schema, steps = [] }) {
  if (input_schema) return Object.keys(input_schema.properties ?? {});
  const sources = steps.flatMap(({ bindings = [] }) => bindings.map(({ source }) => source));
  return [...new Set(sources.filter((source) => source.startsWith("inputs.")).map((source) => source.split(".")[1]))];
}

/**
 * What is wrong with texts as the files of a project; empty when nothing is.
 * @param {Text[]} texts
 */
export function faultOf(texts) {
  if (texts.length > MOST_FILES) return `At most ${MOST_FILES} files can go with a question.`;
  const large = texts.find(({ content }) => ByteText.lengthOf(content) > MOST_BYTES);
  if (large) return `${large.path} has more than ${number(MOST_BYTES)} bytes.`;
  const names = texts.map(({ path }) => path.toLowerCase());
  const twice = texts.find((_, index) => names.indexOf(names[index]) < index);
  if (twice) return `There are two files named ${twice.path}. Remove one to ask.`;
  return ByteText.lengthOf(JSON.stringify(texts)) > MOST_TOGETHER ? `Together the files have more than ${size(MOST_TOGETHER)}.` : "";
}

/**
 * Which of the inputs texts are.
 * @param {string} name Whose inputs.
 * @param {string[]} inputs Their names.
 * @param {Text[]} texts
 * @returns {{inputs: object | null, fault: string}} Neither when it takes none of the kind.
 */
function placed(name, inputs, texts) {
  const [{ path, content }] = texts;
  const kind = /\.(csv|json)$/i.exec(path)?.[1].toLowerCase() ?? "";
  const table = texts.find((text) => inputs.some((input) => /^(csv|json)$/.test(input) && text.path.toLowerCase().endsWith(`.${input}`)));
  if (table && texts.length > 1) return { inputs: null, fault: `${name} takes one table by itself. Remove ${table === texts[0] ? texts[1].path : table.path} to ask.` };
  if (table) return sized({ [kind]: content }, path);
  if (inputs.includes("files")) {
    const fault = faultOf(texts);
    return fault ? { inputs: null, fault } : { inputs: { files: texts }, fault };
  }
  if (!inputs.includes("text") || texts.some((text) => CODE.test(text.path))) return { inputs: null, fault: "" };
  return texts.length > 1 ? { inputs: null, fault: `${name} takes one text. Remove ${texts[1].path} to ask.` } : sized({ text: content }, path);
}

/**
 * @param {object} inputs
 * @param {string} path
 */
function sized(inputs, path) {
  const large = ByteText.lengthOf(JSON.stringify(inputs)) > MOST_TOGETHER;
  return large ? { inputs: null, fault: `${path} has more than ${size(MOST_TOGETHER)}.` } : { inputs, fault: "" };
}

/**
 * Code in a question as files, named by its languages.
 * @param {string} question
 * @returns {Text[]}
 */
function fenced(question) {
  /** @type {Map<string, number>} */
  const known = new Map();
  return [...question.matchAll(FENCED)].map(([, , language, content]) => {
    const word = language.toLowerCase();
    const extension = EXTENSIONS[word] ?? (/^[a-z0-9]{1,12}$/.test(word) ? word : "txt");
    const nth = (known.get(extension) ?? 0) + 1;
    known.set(extension, nth);
    return { path: `code${nth > 1 ? nth : ""}.${extension}`, content: `${content}\n` };
  });
}

/**
 * Who is asked with texts, and as which inputs. Without any that are attached, code in the question is given to whom
 * works on files.
 * @param {string} question
 * @param {Text[]} attached
 * @param {string} agent As chosen, maybe "auto".
 * @param {Taker[]} takers All that may be chosen.
 * @returns {Promise<Given>}
 * @throws {Problem}
 */
export async function give(question, attached, agent, takers) {
  const nothing = { agent, texts: [], inputs: null, fault: "" };
  const texts = attached.length > 0 ? attached : fenced(question);
  if (texts.length === 0) return nothing;
  const auto = agent === "auto";
  const names = auto ? await likely(question, attached) : [agent];
  const code = texts.some(({ path }) => CODE.test(path));
  for (const id of attached.length > 0 ? names : names.slice(0, 1)) {
    const taker = takers.find((one) => one.id === id);
    const inputs = taker ? inputsOf(taker) : [];
    if (!taker || (attached.length === 0 && !inputs.includes("files"))) continue;
    // Nobody has asked for a table or a letter to be read as code.
    const found = placed(taker.name, auto && !code ? inputs.filter((name) => name !== "files") : inputs, texts);
    if (found.inputs || found.fault) return { ...nothing, ...found, agent: id, texts };
  }
  if (attached.length === 0) return nothing;
  const who = takers.filter((taker) => placed(taker.name, inputsOf(taker), texts).inputs).map(({ name }) => name);
  const choice = who.length > 0 ? `Choose ${who.join(" or ")}, or remove the file.` : "Remove it to ask.";
  const name = takers.find(({ id }) => id === agent)?.name ?? agent;
  const fault = auto ? `No agent that fits the question takes ${texts[0].path}.` : `${name} does not take ${texts[0].path}.`;
  return { ...nothing, fault: `${fault} ${choice}` };
}

/**
 * The agents that a question fits, best first. What a file is called says what the question is about.
 * @param {string} question
 * @param {Text[]} attached
 */
async function likely(question, attached) {
  const { agent, alternatives } = await api.route([question, ...attached.slice(0, 5).map(({ path }) => path)].join("\n").slice(0, 32_000));
  return [agent, ...alternatives.map((/** @type {{agent: string}} */ other) => other.agent)];
}
