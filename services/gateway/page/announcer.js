/** Says to a screen reader what others see happen. */

export class Announcer {
  #region;

  /** @param {HTMLElement} region A polite live region that is out of sight. */
  constructor(region) {
    this.#region = region;
  }

  /** @param {string} text */
  say(text) {
    // The same words twice in a row would not be read again without a change.
    this.#region.textContent = this.#region.textContent === text ? `${text}\u00a0` : text;
  }
}
