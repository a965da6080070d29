/** What a classifier believes: a bar for each class. */

import { el } from "./dom.js";

/** @param {string[]} names of the classes */
export function classes(names) {
  const rows = names.map((name) => {
    const bar = el("svg:rect", { height: 10, width: 0 }), value = el("span", { class: "value" });
    const element = el(
      "li", {}, el("span", {}, name),
      el("svg:svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, bar), value,
    );
    return { element, bar, value };
  });
  return {
    element: el("ol", { class: "classes" }, ...rows.map(({ element }) => element)),
    /**
     * Show the probability of each class, and return the likeliest.
     * @param {ArrayLike<number>} probabilities
     * @param {number | null} [right] the class that the image is of, where that is known
     */
    show(probabilities, right = null) {
      const all = Array.from(probabilities), best = all.indexOf(Math.max(...all));
      rows.forEach(({ element, bar, value }, k) => {
        bar.setAttribute("width", String(100 * all[k]));
        value.textContent = `${(100 * all[k]).toFixed(0)} %`;
        element.classList.toggle("best", k === best);
        element.classList.toggle("wrong", k === best && right !== null && k !== right);
      });
      return best;
    },
  };
}
