/** Drawings that a server has computed, to be played like this page's own: one sheet of pictures a
 * part, a row an image, a column a step, as `draw.studio.player` describes them. */

/** @typedef {import("./picture.js").Cut} Cut */
/** @typedef {import("./picture.js").Point} Point */
/** @typedef {import("./picture.js").Outline} Outline */
/**
 * Windows of all images and steps: outlines, centres counted from 1, and numbers by name.
 * @typedef {{outlines: (import("./picture.js").Polygons | null)[][], centres: Point[][][], numbers: Record<string, any[][]>}} Places
 */
/**
 * @typedef {{count: number, sheet: string, originals?: string, patches?: string, size?: number,
 *   read?: Places, write?: Places, kl?: number[], costs?: number[], probabilities?: number[][], label?: number | null}} Part
 */
/**
 * @typedef {{id: string, kind: "drawings" | "reconstruction" | "glimpses", steps: number, rows: number, columns: number,
 *   parts: Part[], captions: string[], total: number, names: string[],
 *   origin: {model: string, seed: number, temperature: number, guidance: number, labels: (number | null)[] | null} | null}} Show
 */

/** @param {string} url @returns {Promise<HTMLImageElement>} */
const picture = (url) => new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = reject;
  image.src = url;
});

/** The sheets of a show, of which those that are known already are not decoded again. */
export class Sheets {
  constructor() {
    /** @type {Map<string, HTMLImageElement>} */
    this.known = new Map();
  }

  /** @param {Show} show */
  async load(show) {
    const urls = show.parts.flatMap(({ sheet, originals, patches }) => [sheet, originals, patches]);
    const all = [...new Set(urls)].filter((url) => url !== undefined);
    const found = await Promise.all(all.map(async (url) => /** @type {[string, HTMLImageElement]} */ (
      [url, this.known.get(url) ?? (await picture(url))])));
    return new Map(found);
  }
}

/** One image of a show: a film, and what else is known of it. */
export class Sent {
  /**
   * @param {Show} show
   * @param {Part} part
   * @param {number} row of the image in its part
   * @param {Map<string, HTMLImageElement>} sheets
   */
  constructor(show, part, row, sheets) {
    this.show = show;
    this.part = part;
    this.row = row;
    this.sheets = sheets;
    this.length = show.steps;
    this.rows = show.rows;
    this.columns = show.columns;
  }

  /**
   * @param {"sheet" | "originals" | "patches"} of
   * @param {number} column
   * @param {number} rows
   * @param {number} columns
   * @returns {Cut}
   */
  cut(of, column, rows = this.rows, columns = this.columns) {
    const sheet = /** @type {HTMLImageElement} */ (this.sheets.get(/** @type {string} */ (this.part[of])));
    return { sheet, left: column * columns, top: this.row * rows };
  }

  /** The canvas after a step. @param {number} t from 0 */
  image(t) {
    return this.cut("sheet", t);
  }

  /** The image that it looks at. */
  get original() {
    return this.cut("originals", 0);
  }

  /**
   * Where it reads or writes, with the way there if that is asked for.
   * @param {number} t from 0
   * @param {("read" | "write")[]} kinds
   * @param {boolean} ways
   * @returns {Outline[]}
   */
  outlines(t, kinds = ["read", "write"], ways = false) {
    return kinds.flatMap((kind) => {
      const places = this.part[kind];
      if (!places) return [];
      const centres = places.centres[this.row];
      const way = centres[0].map((_, window) => centres.slice(0, t + 1).map((step) => step[window]));
      return [{ kind, polygons: places.outlines[this.row][t], ways: ways ? way : [] }];
    });
  }

  /**
   * The pixels of a part of a sheet: four bytes each.
   * @param {Cut} cut
   */
  pixels({ sheet, left, top }) {
    const canvas = document.createElement("canvas"), { rows, columns } = this;
    [canvas.width, canvas.height] = [columns, rows];
    const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    brush.drawImage(sheet, left, top, columns, rows, 0, 0, columns, rows);
    return brush.getImageData(0, 0, columns, rows);
  }

  /** What still differs from the image after a step, at each pixel. @param {number} t from 0 @returns {Cut} */
  error(t) {
    const wanted = this.pixels(this.original), drawn = this.pixels(this.image(t));
    for (let k = 0; k < drawn.data.length; k++)
      drawn.data[k] = k % 4 === 3 ? 255 : Math.abs(drawn.data[k] - wanted.data[k]);
    const sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [this.columns, this.rows];
    /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d")).putImageData(drawn, 0, 0);
    return { sheet, left: 0, top: 0 };
  }
}
