/** Bars of numbers over steps, which can be clicked; the player's keys go to each step as well. */

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
  drawn.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const box = drawn.getBoundingClientRect();
    choose(Math.min(Math.floor(((event.clientX - box.left) / box.width) * count), count - 1));
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
