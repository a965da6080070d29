/** Equations as text: x_t, h^{dec}, and [[term|words]] for what lights up. */

import { el } from "./element.js";

/**
 * An equation as an element.
 * @param {string} text
 * @param {string} tag
 */
export function equation(text, tag = "span") {
  return el(tag, { class: "equation" }, ...marked(text));
}

/**
 * The parts of a text with its sub- and superscripts.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function marked(text) {
  return text
    .split(/(\[\[\w+\|[^\]]+\]\]|[_^](?:\{[^}]*\}|.))/u)
    .filter(Boolean)
    .map((part) => {
      const term = part.match(/^\[\[(\w+)\|([^\]]+)\]\]$/);
      if (term) return el("span", { class: "term", data: { term: term[1] } }, ...marked(term[2]));
      const shift = part.match(/^([_^])(?:\{(.*)\}|(.))$/u);
      if (shift) return el(shift[1] === "_" ? "sub" : "sup", {}, shift[2] ?? shift[3]);
      return part;
    });
}
