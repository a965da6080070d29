/** Images and windows on a canvas, sharp at every size. */

import { el } from "./dom.js";

/** @typedef {import("./attention.js").Window} Window */
/** @typedef {(value: number) => [number, number, number]} Palette */
/** @typedef {{window: Window | null | undefined, kind: "read" | "write" | "other"}} Outline */

/** Light ink on black, as in the paper. @type {Palette} */
export const ink = (value) => {
  const grey = 255 * Math.min(Math.max(value, 0), 1);
  return [grey, grey, grey];
};

/** Blue below zero, black at it, orange above. @type {Palette} */
export const signed = (value) => {
  const size = Math.min(Math.abs(value), 1);
  return value < 0 ? [40 * size, 130 * size, 255 * size] : [255 * size, 150 * size, 30 * size];
};

/**
 * A palette for numbers of any size: signed, with full colour at the largest.
 * @param {ArrayLike<number>} values
 * @returns {Palette}
 */
export function signedUpTo(values) {
  let most = 1e-6;
  for (let k = 0; k < values.length; k++) most = Math.max(most, Math.abs(values[k]));
  return (value) => signed(value / most);
}

export const COLOURS = { read: "#2fbf71", write: "#ff4d4f", other: "#ffb020" };

export class Picture {
  /**
   * @param {string} label what it shows, for those who do not see it
   * @param {string} [className]
   */
  constructor(label, className = "") {
    this.element = el("canvas", { class: `picture ${className}`, role: "img", "aria-label": label });
    this.small = document.createElement("canvas");
    /** @type {(() => void) | null} */
    this.again = null;
    new ResizeObserver(() => this.again?.()).observe(this.element);
  }

  /** @param {string} label */
  name(label) {
    this.element.setAttribute("aria-label", label);
  }

  /**
   * Paint an image and the outlines of windows on it.
   * @param {ArrayLike<number>} image [rows, columns]
   * @param {number} rows
   * @param {number} columns
   * @param {Outline[]} outlines
   * @param {Palette} palette
   * @param {(context: CanvasRenderingContext2D, unit: number) => void} [over] painted on top
   */
  show(image, rows, columns, outlines = [], palette = ink, over) {
    this.again = () => this.paint(image, rows, columns, outlines, palette, over);
    this.again();
  }

  /**
   * @param {ArrayLike<number>} image
   * @param {number} rows
   * @param {number} columns
   * @param {Outline[]} outlines
   * @param {Palette} palette
   * @param {((context: CanvasRenderingContext2D, unit: number) => void) | undefined} over
   */
  paint(image, rows, columns, outlines, palette, over) {
    const { element, small } = this, width = element.clientWidth;
    if (!width) return;
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const wide = Math.round(width * scale), high = Math.round((wide * rows) / columns);
    if (element.width !== wide || element.height !== high) [element.width, element.height] = [wide, high];
    if (small.width !== columns || small.height !== rows) [small.width, small.height] = [columns, rows];
    const brush = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
    const data = brush.createImageData(columns, rows);
    for (let k = 0; k < rows * columns; k++) {
      const [r, g, b] = palette(image[k]);
      data.data[4 * k] = r;
      data.data[4 * k + 1] = g;
      data.data[4 * k + 2] = b;
      data.data[4 * k + 3] = 255;
    }
    brush.putImageData(data, 0, 0);
    const context = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, wide, high);
    const unit = wide / columns;
    for (const { window: place, kind } of outlines)
      if (place) outline(context, place, unit, COLOURS[kind], scale);
    over?.(context, unit);
  }
}

/**
 * The frame round a window: its line is half of sigma wide, as in the paper's figure 10.
 * @param {CanvasRenderingContext2D} context
 * @param {Window} place
 * @param {number} unit pixels of the canvas for one of the image
 * @param {string} colour
 * @param {number} scale
 */
export function outline(context, place, unit, colour, scale) {
  const { left, top, side } = frameOf(place);
  context.strokeStyle = colour;
  context.lineWidth = Math.max((place.sigma / 2) * unit, 1.5 * scale);
  context.lineJoin = "round";
  context.strokeRect(left * unit, top * unit, side * unit, side * unit);
}

/**
 * The square under the outermost filters, in pixels of the image from its upper left corner.
 * @param {Window} place
 */
export function frameOf({ g_x, g_y, delta, size }) {
  const side = Math.abs(delta) * (size - 1) + 1;
  return { left: g_x - 0.5 - side / 2, top: g_y - 0.5 - side / 2, side };
}

/**
 * A grid of numbers as cells with the numbers in them where there is room.
 * @param {Picture} picture
 * @param {ArrayLike<number>} values
 * @param {number} size cells along a side
 * @param {Palette} palette
 * @param {string} [kind]
 */
export function showCells(picture, values, size, palette = ink, kind) {
  picture.show(values, size, size, [], palette, (context, unit) => {
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    if (unit / scale < 19) return;
    context.font = `${Math.min(unit * 0.34, 15 * scale)}px ui-monospace, monospace`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let j = 0; j < size; j++)
      for (let i = 0; i < size; i++) {
        const value = values[j * size + i], [r, g, b] = palette(value);
        context.fillStyle = 0.3 * r + 0.6 * g + 0.1 * b > 120 ? "#000" : "#fff";
        context.fillText(shortNumber(value), (i + 0.5) * unit, (j + 0.5) * unit);
      }
    if (kind) {
      context.strokeStyle = COLOURS[/** @type {"read"} */ (kind)];
      context.lineWidth = 4 * scale;
      context.strokeRect(0, 0, size * unit, size * unit);
    }
  });
}

/** @param {number} value */
export function shortNumber(value) {
  if (Math.abs(value) < 0.005) return "0";
  if (Math.abs(value) >= 9.95) return value.toFixed(0);
  return value.toFixed(Math.abs(value) >= 0.995 ? 1 : 2).replace(/^(-?)0\./, "$1.");
}
