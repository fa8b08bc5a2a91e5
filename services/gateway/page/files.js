/** Files of questions and answers, shown as what they are. */

import { contentUrl } from "./api.js";
import { element } from "./dom.js";
import { size } from "./format.js";

/** @typedef {import("./api.js").StoredFile} StoredFile */

/** What every browser draws. SVG is safe as a picture: it runs no script there and loads nothing. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/svg+xml", "image/webp", "image/gif"]);

/**
 * Pictures and sounds as such, then links to the rest.
 * @param {StoredFile[]} files
 * @param {{title: string, svg: string}[]} [charts]
 */
export function fileList(files, charts = []) {
  const links = files.filter((file) => !isShown(file));
  return [
    ...files.filter(isShown).map(figure),
    ...charts.map(({ title, svg }) =>
      element(
        "figure",
        { class: "made" },
        element("img", { src: `data:image/svg+xml,${encodeURIComponent(svg)}`, alt: title }),
        element("figcaption", {}, title),
      ),
    ),
    links.length > 0 && element("ul", { class: "downloads" }, ...links.map((file) => element("li", {}, link(file)))),
  ].filter((part) => part !== false);
}

/**
 * Texts that went with a question, folded.
 * @param {import("./inputs.js").Text[]} texts
 */
export const textList = (texts) =>
  texts.map(({ path, content }) => {
    const code = element("code");
    const folded = element(
      "details",
      { class: "given" },
      element("summary", {}, `${path}, ${size(new Blob([content]).size)}`),
      element("pre", { tabindex: "0", role: "region", "aria-label": `Text of ${path}` }, code),
    );
    folded.addEventListener("toggle", () => {
      code.textContent = folded.open ? content : "";
    });
    return folded;
  });

/** @param {StoredFile} file */
function figure(file) {
  const src = contentUrl(file.attachment_id);
  const onerror = (/** @type {Event} */ event) =>
    /** @type {HTMLElement} */ (event.currentTarget).replaceWith(
      element("p", { class: "gone" }, "It cannot be shown. It may no longer be kept."),
    );
  return element(
    "figure",
    { class: "made" },
    PICTURES.has(file.media_type)
      ? element("img", { src, alt: file.filename, onerror })
      : element("audio", { src, controls: true, preload: "metadata", "aria-label": file.filename, onerror }),
    element("figcaption", {}, link(file)),
  );
}

/** @param {StoredFile} file */
function link({ attachment_id, filename, bytes }) {
  const url = contentUrl(attachment_id);
  return element("a", { href: url, download: filename, title: `Download ${filename}` }, `${filename}, ${size(bytes)}`);
}

/** @param {StoredFile} file */
function isShown({ media_type }) {
  return PICTURES.has(media_type) || media_type.startsWith("audio/");
}
