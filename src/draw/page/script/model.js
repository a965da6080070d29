/** DRAW and the classifier of section 4.1 in plain JavaScript: the steps of `draw.model`. */

import { affine, beside, lstm, makeAffine, makeLstm, repeat, sigmoid, softplus } from "./algebra.js";
import { readPatch, windowOf, writePatch } from "./attention.js";

/** @typedef {import("./attention.js").Window} Window */
/**
 * What is kept between two steps, each of a whole batch; `canvas` is c_t, in logits.
 * @typedef {{canvas: Float32Array, h_enc: Float32Array, c_enc: Float32Array,
 *   h_dec: Float32Array, c_dec: Float32Array}} State
 */
/**
 * What one step computed. Reading and the posterior are there only where an image is looked at.
 * @typedef {{z: Float32Array, writeWindows: (Window | null)[], patch: Float32Array,
 *   x_hat?: Float32Array, r?: Float32Array, readWindows?: (Window | null)[], mu?: Float32Array,
 *   log_sigma?: Float32Array, kl?: Float64Array}} Step
 */
/**
 * A hand in the drawing: another z than the model's, or another place of the write window.
 * @typedef {{z?: (z: Float32Array) => Float32Array, window?: (window: Window) => Window}} Hand
 */

/** A value that an option may have, where the page knows more than the paper's. */
const KNOWN = {
  attention: ["gaussian", "rotated", "none"], prior: ["standard"], condition: ["none", "class"],
  likelihood: ["bernoulli"], read_heads: [1], write_heads: [1],
};

export class Draw {
  /**
   * @param {Record<string, any>} config fields of DRAWConfig
   * @param {import("./weights.js").Tensors} tensors
   */
  constructor(config, tensors) {
    for (const [field, values] of Object.entries(KNOWN))
      if (!(/** @type {any[]} */ (values).includes(config[field])))
        throw new Error(`expected ${field} to be one of ${values.join(", ")}, got ${config[field]}`);
    this.config = config;
    this.rows = config.rows;
    this.columns = config.columns;
    this.pixels = config.channels * config.rows * config.columns;
    this.glimpses = config.glimpses;
    this.latent = config.latent_size;
    this.tensors = tensors;
    const map = (/** @type {string} */ name) =>
      makeAffine(tensors[`${name}.weight`], tensors[`${name}.bias`]);
    this.lstmDec = makeLstm(tensors, "lstm_dec");
    this.content = map("attention.write_content");
    this.attends = config.attention !== "none";
    if (this.attends) this.writeWindow = map("attention.write_window");
    /** Whether the weights of the encoder came too. */
    this.encodes = "mu.weight" in tensors;
    if (this.encodes) {
      this.lstmEnc = makeLstm(tensors, "lstm_enc");
      this.mu = map("mu");
      this.logSigma = map("log_sigma");
      if (this.attends) this.readWindow = map("attention.read_window");
    }
  }

  /**
   * The learned state before the first step.
   * @param {number} batch
   * @returns {State}
   */
  start(batch = 1) {
    const first = (/** @type {string} */ name) => {
      const found = this.tensors[name]?.data ?? new Float32Array(this.config.hidden_size);
      return repeat(found, batch);
    };
    return {
      canvas: first("canvas_0"), h_enc: first("h_enc_0"), c_enc: first("c_enc_0"),
      h_dec: first("h_dec_0"), c_dec: first("c_dec_0"),
    };
  }

  /** The class of a drawing for which none is asked: none, unless the model cannot draw without. */
  get usualLabel() {
    const { condition, label_dropout: dropout } = this.config;
    return condition === "class" && !dropout ? 0 : null;
  }

  /**
   * What a class adds to the gates of one LSTM.
   * @param {"enc" | "dec"} side
   * @param {number | null} label null where none is told
   */
  addend(side, label) {
    const table = this.tensors[`condition.${side}.weight`];
    if (!table || label === null) return undefined;
    const width = table.shape[1];
    return table.data.subarray(label * width, (label + 1) * width);
  }

  /**
   * One step of a new drawing: eqs 13-15.
   * @param {Float32Array} noise of the paper's prior N(0, 1), times the temperature, [batch, latent]
   * @param {State} state
   * @param {number | null} label
   * @param {Hand} hand
   * @returns {[State, Step]}
   */
  generateStep(noise, state, label = null, hand = {}) {
    return this.decode(noise, state, label, hand); // (13)
  }

  /**
   * One step of drawing an image anew: eqs 1-8.
   * @param {Float32Array} x [batch, channels, rows, columns] in [0, 1]
   * @param {Float32Array} noise [batch, latent]
   * @param {State} state
   * @param {number | null} label
   * @param {Hand} hand
   * @returns {[State, Step]}
   */
  step(x, noise, state, label = null, hand = {}) {
    if (!this.lstmEnc || !this.mu || !this.logSigma)
      throw new Error("expected the weights of the encoder, got those of the decoder alone");
    const batch = x.length / this.pixels;
    const x_hat = x.map((value, k) => value - sigmoid(state.canvas[k])); // (3)
    const { r, readWindows } = this.read(x, x_hat, state.h_dec); // (4)
    const seen = beside(r, state.h_dec, batch);
    const [h_enc, c_enc] = lstm( // (5)
      this.lstmEnc, seen, state.h_enc, state.c_enc, this.addend("enc", label),
    );
    const mu = affine(this.mu, h_enc); // (1)
    const log_sigma = affine(this.logSigma, h_enc); // (2)
    const z = mu.map((value, k) => value + Math.exp(log_sigma[k]) * noise[k]); // (6)
    const [next, step] = this.decode(z, { ...state, h_enc, c_enc }, label, hand);
    const kl = divergence(mu, log_sigma, batch); // (10)
    return [next, { ...step, x_hat, r, readWindows, mu, log_sigma, kl }];
  }

  /**
   * Eqs 7-8.
   * @param {Float32Array} code [batch, latent]
   * @param {State} state
   * @param {number | null} label
   * @param {Hand} hand
   * @returns {[State, Step]}
   */
  decode(code, state, label, hand) {
    const z = hand.z ? hand.z(code) : code;
    const [h_dec, c_dec] = lstm( // (7)
      this.lstmDec, z, state.h_dec, state.c_dec, this.addend("dec", label),
    );
    const { written, patch, writeWindows } = this.write(h_dec, hand);
    const canvas = state.canvas.map((value, k) => value + written[k]); // (8)
    return [{ ...state, canvas, h_dec, c_dec }, { z, patch, writeWindows }];
  }

  /**
   * Eqs 17 and 27: the image and the error image through the same window.
   * @param {Float32Array} x
   * @param {Float32Array} x_hat
   * @param {Float32Array} h_dec
   * @returns {{r: Float32Array, readWindows: (Window | null)[]}}
   */
  read(x, x_hat, h_dec) {
    const batch = x.length / this.pixels, { rows, columns, pixels } = this;
    if (!this.readWindow) return { r: beside(x, x_hat, batch), readWindows: Array(batch).fill(null) };
    const controls = affine(this.readWindow, h_dec); // (21)
    const windows = [], patches = [];
    for (let b = 0; b < batch; b++) {
      const window = windowOf(part(controls, b, batch), rows, columns, this.config.read_size);
      windows.push(window);
      for (const image of [x, x_hat])
        patches.push(readPatch(image.subarray(b * pixels, (b + 1) * pixels), window, rows, columns));
    }
    return { r: joined(patches), readWindows: windows };
  }

  /**
   * Eqs 18 and 28-29.
   * @param {Float32Array} h_dec
   * @param {Hand} hand
   * @returns {{written: Float32Array, patch: Float32Array, writeWindows: (Window | null)[]}}
   */
  write(h_dec, hand = {}) {
    const { rows, columns } = this, patch = affine(this.content, h_dec); // (28)
    const batch = h_dec.length / this.content.inputs;
    if (!this.writeWindow)
      return { written: patch, patch, writeWindows: Array(batch).fill(null) };
    const controls = affine(this.writeWindow, h_dec); // (21)
    const windows = [], images = [];
    for (let b = 0; b < batch; b++) {
      const own = windowOf(part(controls, b, batch), rows, columns, this.config.write_size);
      const window = hand.window ? hand.window(own) : own;
      windows.push(window);
      images.push(writePatch(part(patch, b, batch), window, rows, columns)); // (29)
    }
    return { written: joined(images), patch, writeWindows: windows };
  }

  /**
   * Eq 9: L^x in nats, of each image or of some of its pixels.
   * @param {Float32Array} canvas c_T [batch, pixels]
   * @param {Float32Array} x
   * @param {Uint8Array} [known] 1 at each pixel that counts, [pixels]
   * @returns {Float64Array} [batch]
   */
  reconstructionLoss(canvas, x, known) {
    const losses = new Float64Array(canvas.length / this.pixels);
    for (let k = 0; k < canvas.length; k++)
      if (!known || known[k % this.pixels])
        losses[Math.floor(k / this.pixels)] += softplus(canvas[k]) - x[k] * canvas[k];
    return losses;
  }
}

export class Classifier {
  /**
   * @param {Record<string, any>} config fields of ClassifierConfig
   * @param {import("./weights.js").Tensors} tensors
   */
  constructor(config, tensors) {
    this.config = config;
    this.rows = config.rows;
    this.columns = config.columns;
    this.tensors = tensors;
    this.lstm = makeLstm(tensors, "lstm");
    this.readWindow = makeAffine(tensors["read_window.weight"], tensors["read_window.bias"]);
    this.logits = makeAffine(tensors["logits.weight"], tensors["logits.bias"]);
  }

  /**
   * Look at one image, and say after every glimpse which class it would be.
   * @param {Float32Array} image [channels, rows, columns] in [0, 1]
   * @returns {{window: Window, patch: Float32Array, probabilities: Float32Array}[]}
   */
  look(image) {
    const { rows, columns } = this, looks = [];
    let h = this.tensors.h_0.data, c = this.tensors.c_0.data;
    for (let t = 0; t < this.config.glimpses; t++) {
      const window = windowOf(affine(this.readWindow, h), rows, columns, this.config.read_size);
      const patch = readPatch(image, window, rows, columns); // (27)
      [h, c] = lstm(this.lstm, patch, h, c);
      looks.push({ window, patch, probabilities: softmax(affine(this.logits, h)) });
    }
    return looks;
  }
}

/**
 * Eq 10: KL of each image's posterior from N(0, 1), in nats.
 * @param {Float32Array} mu
 * @param {Float32Array} log_sigma
 * @param {number} batch
 */
function divergence(mu, log_sigma, batch) {
  const kl = new Float64Array(batch), n = mu.length / batch;
  for (let k = 0; k < mu.length; k++)
    kl[Math.floor(k / n)] += (mu[k] ** 2 + Math.exp(2 * log_sigma[k])) / 2 - log_sigma[k] - 0.5;
  return kl;
}

/**
 * The numbers of one of a batch.
 * @param {Float32Array} values
 * @param {number} b
 * @param {number} batch
 */
function part(values, b, batch) {
  const length = values.length / batch;
  return values.subarray(b * length, (b + 1) * length);
}

/** @param {Float32Array} values */
function softmax(values) {
  const most = Math.max(...values), powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((all, value) => all + value, 0);
  return powers.map((value) => value / sum);
}

/** @param {Float32Array[]} parts */
function joined(parts) {
  if (parts.length === 1) return parts[0];
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
