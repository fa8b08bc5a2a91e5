/** Files dropped anywhere on the page, pasted, or picked. */

import { byId } from "./dom.js";
import { droppedFiles } from "./upload.js";

/** @param {(files: File[]) => void} onFiles */
export function connectFiles(onFiles) {
  const picker = /** @type {HTMLInputElement} */ (byId("picker"));
  const veil = byId("drop-veil");
  /** @param {DragEvent} event */
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

  for (const button of document.querySelectorAll("[data-pick]")) {
    button.addEventListener("click", () => picker.click());
  }
  picker.addEventListener("change", () => {
    onFiles(Array.from(picker.files ?? []));
    picker.value = ""; // The same file can be picked again.
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  document.addEventListener("drop", async (event) => {
    if (!carriesFiles(event) || !event.dataTransfer) return;
    event.preventDefault();
    veil.hidden = true;
    onFiles(await droppedFiles(event.dataTransfer));
  });
  document.addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData?.files ?? []);
    if (files.length === 0) return;
    event.preventDefault();
    onFiles(files);
  });
}
