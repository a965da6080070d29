/** A page of 28 x 28 pixels to draw on, of which a part may count as unknown. */

import { el } from "./dom.js";
import { ink, Picture } from "./picture.js";

export const SIDE = 28;
const REACH = 1.25; // of the pen, in pixels

/**
 * @param {string} label
 * @param {() => void} lifted when the pen is lifted
 */
export function pad(label, lifted) {
  const picture = new Picture(label), pixels = new Float32Array(SIDE * SIDE);
  const sheet = el("div", { class: "pad" }, picture.element);
  let known = new Uint8Array(SIDE * SIDE).fill(1);
  /** @type {{x: number, y: number} | null} */
  let last = null;

  function show() {
    picture.show(pixels, SIDE, SIDE, [], ink, (context, unit) => {
      context.fillStyle = "rgb(110 120 200 / 0.38)";
      const edge = (/** @type {number} */ at) => Math.round(at * unit);
      for (let k = 0; k < known.length; k++) {
        const a = k % SIDE, b = Math.floor(k / SIDE);
        if (!known[k])
          context.fillRect(edge(a), edge(b), edge(a + 1) - edge(a), edge(b + 1) - edge(b));
      }
      context.strokeStyle = "rgb(255 255 255 / 0.35)";
      context.lineWidth = 1;
      context.setLineDash([4, 4]);
      context.strokeRect(4 * unit, 4 * unit, 20 * unit, 20 * unit);
      context.setLineDash([]);
    });
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  function dab(x, y) {
    for (let b = 0; b < SIDE; b++)
      for (let a = 0; a < SIDE; a++) {
        const k = b * SIDE + a, distance = Math.hypot(a + 0.5 - x, b + 0.5 - y);
        if (known[k]) pixels[k] = Math.max(pixels[k], Math.min(1, Math.max(0, REACH + 0.5 - distance)));
      }
  }

  /** @param {PointerEvent} event */
  function draw(event) {
    const box = sheet.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * SIDE, y = ((event.clientY - box.top) / box.height) * SIDE;
    const from = last ?? { x, y }, pieces = Math.ceil(Math.hypot(x - from.x, y - from.y) * 2) + 1;
    for (let p = 1; p <= pieces; p++)
      dab(from.x + ((x - from.x) * p) / pieces, from.y + ((y - from.y) * p) / pieces);
    last = { x, y };
    show();
  }

  sheet.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    event.preventDefault();
    sheet.setPointerCapture(event.pointerId);
    draw(event);
  });
  sheet.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => last && draw(event));
  for (const end of ["pointerup", "pointercancel"])
    sheet.addEventListener(end, () => {
      if (last) lifted();
      last = null;
    });
  return {
    element: sheet,
    /** What was drawn, as the pixels of 0 and 1 that the model knows. */
    get binary() {
      return pixels.map((value) => Number(value > 0.5));
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
