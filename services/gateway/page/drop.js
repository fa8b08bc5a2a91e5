/** Files dropped anywhere on the page, pasted, or picked, and where each of them goes. */

import { byId } from "./dom.js";
import { droppedFiles } from "./upload.js";

/**
 * @param {object} parts
 * @param {(file: {name: string, type: string}, target: EventTarget | null) => boolean} parts.attaches
 *   Whether a file goes with the question.
 * @param {(files: File[]) => void} parts.onAttach
 * @param {(files: File[]) => void} parts.onDocuments
 */
export function connectFiles({ attaches, onAttach, onDocuments }) {
  const picker = /** @type {HTMLInputElement} */ (byId("picker"));
  const veil = byId("drop-veil");
  const invitation = byId("drop-invitation");
  /**
   * @param {File[]} files
   * @param {EventTarget | null} target
   */
  const place = (files, target) => {
    onAttach(files.filter((file) => attaches(file, target)));
    onDocuments(files.filter((file) => !attaches(file, target)));
  };
  /** @param {DragEvent} event */
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

  for (const button of document.querySelectorAll("[data-pick]")) {
    button.addEventListener("click", () => picker.click());
  }
  picker.addEventListener("change", () => {
    onDocuments(Array.from(picker.files ?? []));
    picker.value = ""; // The same file can be picked again.
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    // Of a file in the air only the type is known.
    const known = Array.from(event.dataTransfer?.items ?? []);
    const toQuestion = known.some(({ type }) => attaches({ name: "", type }, event.target));
    invitation.textContent = toQuestion ? "Drop to attach to your question" : "Drop to add to your documents";
    veil.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  document.addEventListener("drop", async (event) => {
    if (!carriesFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    veil.hidden = true;
    const { target } = event;
    place(await droppedFiles(event.dataTransfer), target);
  });
  document.addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData?.files ?? []);
    if (files.length === 0) return;
    event.preventDefault();
    place(files, event.target);
  });
}
