/** A drawing whose steps are computed when they are first looked at. */

import { sigmoid } from "./algebra.js";

/** @typedef {import("./model.js").State} State */
/** @typedef {import("./model.js").Step} Step */
/** @typedef {import("./model.js").Hand} Hand */
/**
 * @typedef {{noise: Float32Array[], temperature?: number, label?: number | null,
 *   x?: Float32Array | null, hand?: (t: number) => Hand}} Plan
 */

export class Drawing {
  /**
   * @param {import("./model.js").Draw} model
   * @param {Plan} plan noise of all steps, and an image `x` where one is drawn anew
   */
  constructor(model, plan) {
    this.model = model;
    this.plan = plan;
    /** @type {{state: State, step: Step}[]} */
    this.frames = [];
    /** @type {Float32Array[]} */
    this.images = [];
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
    return (this.images[t] ??= this.frame(t).state.canvas.map(sigmoid));
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
