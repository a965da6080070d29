/** Bars of numbers over steps, which can be clicked and swept; the player's keys go to each step as well. */

import { el } from "./dom.js";

/**
 * @param {string} words
 * @param {(t: number) => void} choose called with a step, from 0
 */
export function bars(words, choose) {
  const drawn = el("svg:svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": words });
  const said = el("span", { class: "bar-said" });
  const element = el("figure", { class: "bars" }, drawn, el("figcaption", {}, words, " ", said));
  let count = 1;
  const at = (/** @type {MouseEvent} */ event) => {
    const { left, width } = drawn.getBoundingClientRect(), t = Math.floor(((event.clientX - left) / width) * count);
    choose(Math.min(Math.max(t, 0), count - 1));
  };
  drawn.addEventListener("click", at);
  drawn.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => drawn.setPointerCapture(event.pointerId));
  drawn.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    if (drawn.hasPointerCapture(event.pointerId)) at(event);
  });
  return {
    element,
    /** @param {number[]} values */
    show(values) {
      count = values.length;
      const most = Math.max(...values, 1e-6), wide = 100 / count;
      drawn.replaceChildren(...values.map((value, t) => el("svg:rect", {
        x: t * wide + wide * 0.1, width: wide * 0.8, y: 40 - (38 * value) / most, height: (38 * value) / most,
      })));
    },
    /**
     * @param {number} t
     * @param {string} text
     */
    mark(t, text) {
      drawn.querySelector(".at")?.classList.remove("at");
      drawn.children[t]?.classList.add("at");
      said.textContent = text;
    },
  };
}
