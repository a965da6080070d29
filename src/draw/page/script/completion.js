/** The rest of an image of which a part is known: `draw.model.completion`, a step at a time. */

import { sigmoid } from "./algebra.js";

/**
 * The particles of one answer, when all rounds are done.
 * @typedef {{particles: number, logWeights: Float64Array, frames: {canvas: Float32Array,
 *   windows: (import("./attention.js").Window | null)[]}[], images: Float32Array}} Particles
 */

/**
 * Propose what is not known by the encoder, and weigh the proposals by what is known.
 *
 * It pauses after every step, so that whoever runs it can draw in between. The weights are those
 * of importance sampling: w = P(x_known | z) P(z) / Q(z | x~), where x~ is what the rounds before
 * have made of the unknown pixels.
 * @param {import("./model.js").Draw} model with its encoder
 * @param {Float32Array} x image in [0, 1]
 * @param {Uint8Array} known 1 at each pixel that is known
 * @param {number} particles K
 * @param {number} rounds rounds of the chain before the particles are weighed
 * @param {(sample: number) => Float32Array[]} noiseOf noise of each pass: T rows [K latent]
 * @returns {Generator<void, Particles, void>}
 */
export function* complete(model, x, known, particles, rounds, noiseOf) {
  const { pixels } = model;
  let state = model.start(particles);
  for (const noise of noiseOf(0)) {
    [state] = model.generateStep(noise, state);
    yield;
  }
  let y = state.canvas.map(sigmoid);
  let filled = y, frames = [], logRatio = new Float64Array(particles);
  for (let turn = 0; turn <= rounds; turn++) {
    filled = y.map((value, k) => (known[k % pixels] ? x[k % pixels] : value));
    state = model.start(particles);
    frames = [];
    logRatio = new Float64Array(particles);
    for (const noise of noiseOf(turn + 1)) {
      const [next, step] = model.step(filled, noise, state);
      state = next;
      addLogRatio(logRatio, step, noise);
      frames.push({ canvas: state.canvas, windows: step.writeWindows });
      yield;
    }
    y = state.canvas.map(sigmoid);
  }
  const costs = model.reconstructionLoss(state.canvas, filled, known);
  return {
    particles, frames,
    logWeights: logRatio.map((value, b) => value - costs[b]),
    images: y.map((value, k) => (known[k % pixels] ? x[k % pixels] : value)),
  };
}

/**
 * Add log P(z_t) - log Q(z_t | x) of one step.
 * @param {Float64Array} sums [batch]
 * @param {import("./model.js").Step} step
 * @param {Float32Array} noise
 */
function addLogRatio(sums, { z, log_sigma }, noise) {
  const latent = z.length / sums.length;
  if (!log_sigma) return;
  for (let k = 0; k < z.length; k++)
    sums[Math.floor(k / latent)] += (noise[k] ** 2 - z[k] ** 2) / 2 + log_sigma[k];
}

/**
 * One of several, by chances in proportion to the weights (the Gumbel trick).
 * @param {ArrayLike<number>} logWeights
 * @param {() => number} uniform numbers between 0 and 1
 * @returns {number}
 */
export function choose(logWeights, uniform) {
  let best = 0, most = -Infinity;
  for (let k = 0; k < logWeights.length; k++) {
    const value = logWeights[k] - Math.log(-Math.log(uniform()));
    if (value > most) [best, most] = [k, value];
  }
  return best;
}
