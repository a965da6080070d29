/** Elements, and the few controls that the page has. */

import { el } from "./element.js";
import { marked } from "./equation.js";

export { el };

let ids = 0;
/** A new id for an element. */
export const newId = () => `d${++ids}`;

/**
 * @param {string} text
 * @param {() => void} press
 * @param {Record<string, any>} properties
 */
export const button = (text, press, properties = {}) =>
  el("button", { type: "button", ...properties, on: { click: press } }, text);

/**
 * A slider with its label and its value.
 * @param {string} label
 * @param {{min: number, max: number, step: number, value: number, say?: (v: number) => string,
 *   data?: Record<string, string>}} range
 * @param {(value: number) => void} change
 */
export function slider(label, { min, max, step, value, say = String, data = {} }, change) {
  const id = newId(), out = el("output", { for: id }, say(value));
  const input = el("input", { type: "range", id, min, max, step, value, data });
  const set = (/** @type {number} */ to) => {
    input.value = String(to);
    out.textContent = say(to);
    input.setAttribute("aria-valuetext", say(to));
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    change(Number(input.value));
  });
  set(value);
  const element = el("div", { class: "field" }, el("label", { for: id }, ...marked(label), " ", out), input);
  return { element, input, set };
}

/**
 * A choice of one among several.
 * @param {string} label
 * @param {[string, string][]} options value and words of each
 * @param {string} value
 * @param {(value: string) => void} change
 */
export function choice(label, options, value, change) {
  const id = newId();
  const select = el(
    "select", { id, on: { change: () => change(select.value) } },
    ...options.map(([name, words]) => el("option", { value: name, selected: name === value }, words)),
  );
  return { element: el("div", { class: "field" }, el("label", { for: id }, label), select), select };
}

/** How much is being done to an element. @type {WeakMap<Element, number>} */
const works = new WeakMap();

/**
 * Say of an element that it is being changed, until all that is done to it has ended.
 * @template T
 * @param {Element} element
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
export function busy(element, work) {
  const add = (/** @type {number} */ more) => {
    const all = (works.get(element) ?? 0) + more;
    works.set(element, all);
    element.setAttribute("aria-busy", String(all > 0));
  };
  add(1);
  return work.finally(() => add(-1));
}

/**
 * A section of the page: its number and title, its paragraphs, and what moves.
 * @param {string} id
 * @param {number} number
 * @param {{title: string, text: string[]}} words
 * @param {...(Node | string | null)} moving
 */
export function section(id, number, { title, text }, ...moving) {
  return el(
    "section", { id, "aria-labelledby": `${id}-title` },
    el("div", { class: "words" },
      el("h2", { id: `${id}-title` }, el("span", { class: "number", "aria-hidden": "true" }, String(number)), title),
      ...text.map((paragraph) => rich("p", paragraph))),
    el("div", { class: "moving" }, ...moving),
  );
}

/**
 * An element of a text in which *this* is emphasis and [this](address) a link.
 * @param {string} tag
 * @param {string} text
 * @param {Record<string, any>} properties
 */
export function rich(tag, text, properties = {}) {
  const parts = text.split(/(\*[^*]+\*|\[[^\]]+\]\([^)]+\))/).map((part) => {
    const link = part.match(/^\[([^\]]+)\]\(([^)]+)\)$/);
    if (link) return el("a", { href: link[2] }, link[1]);
    return part.startsWith("*") ? el("em", {}, part.slice(1, -1)) : part;
  });
  return el(tag, properties, ...parts);
}

/**
 * A picture with words under it.
 * @param {Node} picture
 * @param {string} words
 * @param {Record<string, any>} properties
 */
export const figure = (picture, words, properties = {}) =>
  el("figure", properties, picture, el("figcaption", {}, words));
