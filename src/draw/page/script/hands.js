/** A window on an image that can be taken by its centre, its corner and its border. */

import { drag } from "./drag.js";
import { el } from "./dom.js";
import { frameOf } from "./picture.js";

/** @typedef {import("./attention.js").Window} Window */
/** @typedef {"centre" | "stride" | "blur"} Part */

const FINGER = 10; // pixels of the screen for one of the handles' units, at least

/**
 * Handles over a picture; they are for the pointer, beside sliders that serve the keyboard.
 * @param {number} rows
 * @param {number} columns
 * @param {{parts: Part[], take: (part: Part | null) => void, move: (window: Window, part: Part) => void}} calls
 *   `take` says which part is held, null when it is let go; `move` what has become of the window
 */
export function hands(rows, columns, { parts, take, move }) {
  const centre = el("svg:circle", { r: 0.55, class: "hand", data: { part: "centre" } });
  const corner = el("svg:rect", { width: 1.1, height: 1.1, class: "hand", data: { part: "stride" } });
  const diamond = el("svg:path", { d: "M0 -.8L.8 0 0 .8-.8 0Z", class: "hand", data: { part: "blur" } });
  const band = el("svg:rect", { class: "band" }), dots = el("svg:g", { class: "dots" });
  const element = el(
    "svg:svg", { class: "hands", viewBox: `0 0 ${columns} ${rows}`, "aria-hidden": "true" },
    band, dots, ...(parts.includes("stride") ? [corner] : []), ...(parts.includes("blur") ? [diamond] : []), centre,
  );
  /** Pixels of the image by which the handles are measured: on a small picture a finger finds them too. */
  const unit = () => Math.max(rows / 28, columns / 28, (FINGER * columns) / (element.getBoundingClientRect().width || Infinity));
  /** @type {Window} */
  let place = { g_x: 1, g_y: 1, delta: 1, sigma: 1, gamma: 1, size: 1 };
  /** @type {{part: Part, x: number, y: number, from: Window} | null} */
  let held = null;

  /** @param {Window} window */
  function show(window) {
    place = window;
    const { left, top, side } = frameOf(window), { g_x, g_y, sigma, delta, size } = window, large = unit();
    const set = (/** @type {Element} */ node, /** @type {Record<string, number | string>} */ values) => {
      for (const [name, value] of Object.entries(values)) node.setAttribute(name, String(value));
    };
    set(centre, { cx: g_x - 0.5, cy: g_y - 0.5, r: 0.6 * large });
    set(corner, { x: left + side - 0.55 * large, y: top + side - 0.55 * large, width: 1.1 * large, height: 1.1 * large });
    set(diamond, { transform: `translate(${left - sigma} ${g_y - 0.5}) scale(${large})` });
    set(band, {
      x: left - sigma, y: top - sigma, width: side + 2 * sigma, height: side + 2 * sigma, rx: sigma,
      transform: `rotate(${((window.angle ?? 0) * 180) / Math.PI} ${g_x - 0.5} ${g_y - 0.5})`,
    });
    if (!parts.includes("stride")) return;
    if (dots.childElementCount !== size * size)
      dots.replaceChildren(...Array.from({ length: size * size }, () => el("svg:circle", { r: 0.14 * large })));
    for (let k = 0; k < size * size; k++)
      set(dots.children[k], {
        cx: g_x - 0.5 + ((k % size) - size / 2 + 0.5) * delta,
        cy: g_y - 0.5 + (Math.floor(k / size) - size / 2 + 0.5) * delta,
      });
  }

  drag(element, rows, columns, {
    take: (x, y) => {
      const { left, top, side } = frameOf(place), far = (/** @type {number} */ a, /** @type {number} */ b) => Math.hypot(x - a, y - b);
      /** @type {[Part, number][]} */
      const distances = [
        ["centre", far(place.g_x - 0.5, place.g_y - 0.5)],
        ["stride", far(left + side, top + side)],
        ["blur", far(left - place.sigma, place.g_y - 0.5)],
      ];
      const [[nearest, distance]] = distances.filter(([part]) => parts.includes(part)).sort((a, b) => a[1] - b[1]);
      const inside = x > left && y > top && x < left + side && y < top + side;
      const part = distance < 2.2 * unit() ? nearest : inside ? "centre" : null;
      if (!part) return false;
      held = { part, x, y, from: place };
      element.classList.add("held");
      take(part);
      return true;
    },
    move: (x, y) => {
      if (!held) return;
      const { part, from } = held, next = { ...from }, half = Math.max(from.size - 1, 1) / 2;
      if (part === "centre") [next.g_x, next.g_y] = [from.g_x + x - held.x, from.g_y + y - held.y];
      if (part === "stride") {
        const away = Math.max(x - from.g_x, y - from.g_y);
        next.delta = Math.min(Math.max(away / half, 0.05), Math.max(rows, columns) / half);
      }
      if (part === "blur") next.sigma = Math.min(Math.max(frameOf(from).left - x, 0.15), (8 * Math.max(rows, columns)) / 28);
      move(next, part);
    },
    drop: () => {
      held = null;
      element.classList.remove("held");
      take(null);
    },
  });
  return { element, show };
}
