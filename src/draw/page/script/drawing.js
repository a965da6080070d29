/** A drawing whose steps are computed when they are first looked at. */

import { sigmoid } from "./algebra.js";

/** @typedef {import("./model.js").State} State */
/** @typedef {import("./model.js").Step} Step */
/** @typedef {import("./model.js").Hand} Hand */
/**
 * `label` is the class that it is told; where there is none, the model's usual one.
 * `guidance` is how clearly a new drawing shows its class, as in `DRAW.generate`; 1 as learned.
 * @typedef {{noise: Float32Array[], temperature?: number, label?: number | null, guidance?: number,
 *   x?: Float32Array | null, hand?: (t: number) => Hand}} Plan
 */

export class Drawing {
  /**
   * @param {import("./model.js").Draw} model
   * @param {Plan} plan noise of all steps, and an image `x` where one is drawn anew
   */
  constructor(model, plan) {
    this.model = model;
    this.plan = { ...plan, label: plan.label ?? model.usualLabel };
    /** @type {{state: State, step: Step}[]} */
    this.frames = [];
    /** @type {Float32Array[]} */
    this.images = [];
    const { guidance = 1, x } = plan;
    /** The same drawing told no class, from which guidance leads away. @type {Drawing | null} */
    this.untold = guidance === 1 || x ? null : new Drawing(model, { ...plan, label: null, guidance: 1 });
  }

  get length() {
    return this.plan.noise.length;
  }

  /** The same drawing, where from step t on a hand is in it. @param {number} t @param {Plan} plan */
  fork(t, plan) {
    const other = new Drawing(this.model, plan);
    if (t > 0) this.frame(t - 1);
    other.frames = this.frames.slice(0, t);
    other.images = this.images.slice(0, t);
    if (this.untold && other.untold) other.untold = this.untold.fork(t, other.untold.plan);
    return other;
  }

  /**
   * What there was before a step.
   * @param {number} t from 0
   * @returns {State}
   */
  before(t) {
    return t > 0 ? this.frame(t - 1).state : this.model.start();
  }

  /**
   * State after a step, and what the step computed.
   * @param {number} t from 0
   */
  frame(t) {
    this.untold?.frame(t);
    const { noise, temperature = 1, label = null, x, hand } = this.plan;
    for (let k = this.frames.length; k <= t; k++) {
      const state = k ? this.frames[k - 1].state : this.model.start();
      const own = hand?.(k) ?? {};
      const [next, step] = x
        ? this.model.step(x, noise[k], state, label, own)
        : this.model.generateStep(noise[k].map((e) => temperature * e), state, label, own);
      this.frames.push({ state: next, step });
    }
    return this.frames[t];
  }

  /**
   * sigmoid(c_t): the means of D, which the paper shows.
   * @param {number} t from 0
   */
  image(t) {
    return (this.images[t] ??= this.canvas(t).map(sigmoid));
  }

  /**
   * c_t in logits; of a guided drawing as far from the one that is told no class as guidance says.
   * @param {number} t from 0
   * @returns {Float32Array}
   */
  canvas(t) {
    const { canvas } = this.frame(t).state, { guidance = 1 } = this.plan;
    if (!this.untold) return canvas;
    const other = this.untold.canvas(t);
    return canvas.map((value, k) => other[k] + guidance * (value - other[k]));
  }

  get rows() {
    return this.model.rows;
  }

  get columns() {
    return this.model.columns;
  }

  /**
   * Where it reads and writes.
   * @param {number} t from 0
   * @returns {import("./picture.js").Outline[]}
   */
  outlines(t) {
    const { readWindows, writeWindows } = this.frame(t).step;
    return [{ window: readWindows?.[0], kind: "read" }, { window: writeWindows[0], kind: "write" }];
  }

  /** The finished drawing. */
  get last() {
    return this.image(this.length - 1);
  }
}
