/** Images and windows on a canvas, sharp at every size. */

import { el } from "./dom.js";

/** @typedef {import("./attention.js").Window} Window */
/** @typedef {(value: number) => [number, number, number]} Palette */
/** @typedef {[number, number]} Point x and y in pixels of the image */
/**
 * Part of a sheet of pictures of one size: its upper left corner there.
 * @typedef {{sheet: CanvasImageSource, left: number, top: number}} Cut
 */
/** @typedef {ArrayLike<number> | Cut} Image numbers [rows, columns], or a part of a sheet */
/**
 * The outline of windows of any shape: polygons from the image's corner, and how wide their lines are.
 * @typedef {{frames: Point[][], lines: number[]}} Polygons
 */
/**
 * Where a window is: the paper's as its numbers, any other as polygons; and the ways that it came,
 * pixels counted from 1.
 * @typedef {{kind: "read" | "write" | "other", window?: Window | null, polygons?: Polygons | null, ways?: Point[][]}} Outline
 */
/**
 * What can be shown step by step, whoever computed it: this page, or a server.
 * @typedef {{length: number, rows: number, columns: number, image: (t: number) => Image,
 *   outlines: (t: number) => Outline[]}} Film
 */

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

/** Those of draw's pictures: red-green colour blindness leaves them apart. */
export const COLOURS = { read: "#00c896", write: "#ff4628", other: "#ffb020" };

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
   * Paint a step of a film.
   * @param {Film} film
   * @param {number} t from 0
   */
  frame(film, t) {
    this.show(film.image(t), film.rows, film.columns, film.outlines(t));
  }

  /**
   * Paint an image and the outlines of windows on it.
   * @param {Image} image
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
   * @param {Image} image
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
    element.style.aspectRatio = `${columns} / ${rows}`;
    const brush = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
    if ("sheet" in image) brush.drawImage(image.sheet, image.left, image.top, columns, rows, 0, 0, columns, rows);
    else {
      const data = brush.createImageData(columns, rows);
      for (let k = 0; k < rows * columns; k++) {
        const [r, g, b] = palette(image[k]);
        data.data[4 * k] = r;
        data.data[4 * k + 1] = g;
        data.data[4 * k + 2] = b;
        data.data[4 * k + 3] = 255;
      }
      brush.putImageData(data, 0, 0);
    }
    const context = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, wide, high);
    const unit = wide / columns;
    for (const { window: place, polygons, ways, kind } of outlines) {
      for (const way of ways ?? []) trail(context, way, unit, COLOURS[kind]);
      const found = place ? polygonOf(place) : polygons;
      if (found) outline(context, found, unit, COLOURS[kind], scale);
    }
    over?.(context, unit);
  }
}

/**
 * The frame round the paper's window, or one that turns: its line is half of sigma wide, as in the paper's figure 10.
 * @param {Window} place
 * @returns {Polygons}
 */
export function polygonOf(place) {
  const { side } = frameOf(place), x = place.g_x - 0.5, y = place.g_y - 0.5, half = side / 2;
  const cos = half * Math.cos(place.angle ?? 0), sin = half * Math.sin(place.angle ?? 0);
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([i, j]) => (
    /** @type {Point} */ ([x + cos * i - sin * j, y + sin * i + cos * j])
  ));
  return { frames: [corners], lines: [place.sigma / 2] };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Polygons} polygons
 * @param {number} unit pixels of the canvas for one of the image
 * @param {string} colour
 * @param {number} scale
 */
function outline(context, { frames, lines }, unit, colour, scale) {
  context.strokeStyle = colour;
  context.lineJoin = "round";
  frames.forEach((corners, k) => {
    context.lineWidth = Math.max(lines[k] * unit, 1.5 * scale);
    context.beginPath();
    for (const [x, y] of corners) context.lineTo(x * unit, y * unit);
    context.closePath();
    context.stroke();
  });
}

/**
 * The way of a window's centre: a line, and a dot for each step.
 * @param {CanvasRenderingContext2D} context
 * @param {Point[]} way
 * @param {number} unit
 * @param {string} colour
 */
function trail(context, way, unit, colour) {
  const places = way.map(([x, y]) => /** @type {Point} */ ([(x - 0.5) * unit, (y - 0.5) * unit]));
  context.save();
  context.globalAlpha = 0.55;
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = Math.max(unit / 8, 1.5);
  context.beginPath();
  for (const place of places) context.lineTo(...place);
  context.stroke();
  for (const place of places) {
    context.beginPath();
    context.arc(...place, Math.max(unit / 5, 2), 0, 7);
    context.fill();
  }
  context.restore();
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
