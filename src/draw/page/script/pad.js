/** A black page to draw on with mouse, finger, pen or keys, of which a part may count as unknown. */

import { button, el, slider } from "./dom.js";
import { drag } from "./drag.js";
import { ink, Picture } from "./picture.js";

export const SIDE = 28;
const REACH = 1.25 / SIDE; // of the pen, in sides of the page
const UNDO = 30;
const KEY_STEP = 1 / SIDE; // of the pen when it is moved with keys

/**
 * @param {string} label
 * @param {Record<string, string>} words
 * @param {() => void} changed when something has been drawn, undone or cleared
 * @param {{side?: number, pens?: boolean, guide?: boolean}} options pixels along a side, whether the
 *   pen's width can be chosen, whether to show where MNIST's digits lie
 */
export function pad(label, words, changed, { side = SIDE, pens = false, guide = true } = {}) {
  const picture = new Picture(`${label} ${words.keys}`), pixels = new Float32Array(side * side);
  picture.element.tabIndex = 0;
  const sheet = el("div", { class: "pad" }, picture.element);
  let known = new Uint8Array(side * side).fill(1), reach = REACH * side;
  /** @type {Float32Array[]} */
  const before = [];
  /** @type {{x: number, y: number} | null} */
  let last = null;
  const pen = { x: side / 2, y: side / 2, down: false, seen: false };

  function show() {
    picture.show(pixels, side, side, [], ink, (context, unit) => {
      context.fillStyle = "rgb(110 120 200 / 0.38)";
      const edge = (/** @type {number} */ at) => Math.round(at * unit);
      for (let k = 0; k < known.length; k++) {
        const a = k % side, b = Math.floor(k / side);
        if (!known[k])
          context.fillRect(edge(a), edge(b), edge(a + 1) - edge(a), edge(b + 1) - edge(b));
      }
      if (pen.seen) {
        context.strokeStyle = pen.down ? "#ffb020" : "#fff";
        context.lineWidth = 2;
        context.beginPath();
        context.arc(pen.x * unit, pen.y * unit, Math.max(reach * unit, 5), 0, 7);
        context.stroke();
      }
      if (!guide) return;
      context.strokeStyle = "rgb(255 255 255 / 0.35)";
      context.lineWidth = 1;
      context.setLineDash([4, 4]);
      context.strokeRect((4 / 28) * side * unit, (4 / 28) * side * unit, (20 / 28) * side * unit, (20 / 28) * side * unit);
      context.setLineDash([]);
    });
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  function dab(x, y) {
    const within = (/** @type {number} */ at) => Math.min(Math.max(Math.floor(at), 0), side);
    for (let b = within(y - reach - 1); b < within(y + reach + 2); b++)
      for (let a = within(x - reach - 1); a < within(x + reach + 2); a++) {
        const k = b * side + a, distance = Math.hypot(a + 0.5 - x, b + 0.5 - y);
        if (known[k]) pixels[k] = Math.max(pixels[k], Math.min(1, Math.max(0, reach + 0.5 - distance)));
      }
  }

  /**
   * @param {{x: number, y: number}} from
   * @param {{x: number, y: number}} to
   */
  function stroke(from, to) {
    const pieces = Math.ceil((Math.hypot(to.x - from.x, to.y - from.y) * 2) / Math.max(reach, 1)) + 1;
    for (let p = 0; p <= pieces; p++)
      dab(from.x + ((to.x - from.x) * p) / pieces, from.y + ((to.y - from.y) * p) / pieces);
    show();
  }

  function remember() {
    before.push(pixels.slice());
    if (before.length > UNDO) before.shift();
  }

  /** @param {number} x @param {number} y */
  function draw(x, y) {
    stroke(last ?? { x, y }, { x, y });
    last = { x, y };
  }

  drag(sheet, side, side, {
    // Where nothing can be drawn a finger scrolls; a mouse may begin there.
    take: (x, y, finger) => {
      if (finger && !known[Math.floor(y) * side + Math.floor(x)]) return false;
      picture.element.focus({ preventScroll: true });
      remember();
      pen.seen = false;
      draw(x, y);
      return true;
    },
    move: draw,
    drop: () => {
      last = null;
      changed();
    },
  });
  picture.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === " ") {
      pen.down = !pen.down;
      if (pen.down) { remember(); stroke(pen, pen); } else changed();
    } else if (x || y) {
      const from = { ...pen }, within = (/** @type {number} */ at) => Math.min(Math.max(at, 0), side);
      [pen.x, pen.y] = [within(pen.x + x * KEY_STEP * side), within(pen.y + y * KEY_STEP * side)];
      if (pen.down) stroke(from, pen);
    } else return;
    event.preventDefault();
    event.stopPropagation();
    pen.seen = true;
    show();
  });
  picture.element.addEventListener("blur", () => {
    if (!pen.seen) return;
    if (pen.down) changed();
    pen.seen = pen.down = false;
    show();
  });

  const width = slider(
    words.pen, { min: 1, max: 6, step: 0.25, value: 1.25, say: (v) => v.toFixed(2) },
    (value) => { reach = (value / SIDE) * side; },
  );
  const undo = button(words.undo, () => {
    const earlier = before.pop();
    if (!earlier) return;
    pixels.set(earlier);
    show();
    changed();
  });
  const clear = button(words.clear, () => {
    remember();
    pixels.fill(0);
    show();
    changed();
  });
  const element = el(
    "div", { class: "sheet" }, sheet, el("div", { class: "row" }, undo, clear), pens ? width.element : null,
  );
  show();
  return {
    element,
    /** Whether nothing is drawn. */
    get empty() {
      return !pixels.some((value) => value > 0.05);
    },
    /** What was drawn, as the pixels of 0 and 1 that the model knows. */
    get binary() {
      return pixels.map((value) => Number(value > 0.5));
    },
    /** What was drawn, as the data address of a PNG. */
    get address() {
      return picture.small.toDataURL("image/png");
    },
    /** @param {ArrayLike<number>} image */
    put(image) {
      pixels.set(image);
      show();
    },
    /** @param {Uint8Array<ArrayBuffer>} mask 1 where the drawing counts */
    count(mask) {
      known = mask;
      show();
    },
  };
}
