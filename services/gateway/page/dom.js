/**
 * Elements made by hand. Data reaches the page as text only: nothing in this
 * folder parses markup, but answer.js what the gateway has made safe.
 */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [attributes] A function is a listener, named as in "onclick";
 *   null, undefined and false leave the attribute out; true sets it empty.
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value !== undefined && value !== null && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.filter(isShown));
  return node;
}

/**
 * A drawing from the sprite in index.html. It says nothing to a screen reader;
 * its button does.
 * @param {string} name
 */
export function icon(name) {
  return shape("svg", { class: "icon", "aria-hidden": "true" }, shape("use", { href: `#icon-${name}` }));
}

/**
 * An element of a drawing.
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {...Child} children
 */
export function shape(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  node.append(...children.filter(isShown));
  return node;
}

/**
 * A button that shows a drawing.
 * @param {string} drawing
 * @param {string} label
 * @param {() => void} onclick
 */
export function tool(drawing, label, onclick) {
  return element("button", { class: "tool", type: "button", "aria-label": label, title: label, onclick }, icon(drawing));
}

/** @type {Map<string, Promise<void>>} */
const styles = new Map();

/**
 * Loads a style sheet once. After an error the next call tries again.
 * @param {string} href
 * @returns {Promise<void>}
 */
export function style(href) {
  const known = styles.get(href);
  if (known) return known;
  /** @type {Promise<void>} */
  const loading = new Promise((resolve, reject) => {
    const onerror = () => {
      link.remove();
      styles.delete(href);
      reject(new TypeError("fetch of the style failed"));
    };
    const link = element("link", { rel: "stylesheet", href, onload: () => resolve(), onerror });
    document.head.append(link);
  });
  styles.set(href, loading);
  return loading;
}

/**
 * The element of that id, which index.html promises to have.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element "${id}"`);
  return /** @type {T} */ (found);
}

/**
 * @param {Child} child
 * @returns {child is Node | string}
 */
function isShown(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}
