/** The affine map and the LSTM cell, for a batch of rows that lie one after another. */

/** @typedef {import("./weights.js").Tensor} Tensor */
/** @typedef {{weight: Float32Array, bias: Float32Array, inputs: number, outputs: number}} Affine */
/** @typedef {{input: Affine, hidden: Affine, size: number}} Lstm */

/** @param {number} x */
export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/**
 * log(1 + exp(x)), without overflow.
 * @param {number} x
 */
export const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/**
 * The map L(.) of the paper from its weights.
 * @param {Tensor} weight [outputs, inputs]
 * @param {Tensor} bias [outputs]
 * @returns {Affine}
 */
export function makeAffine(weight, bias) {
  const [outputs, inputs] = weight.shape;
  return { weight: weight.data, bias: bias.data, inputs, outputs };
}

/**
 * W x + b of each row of a batch, added to what `out` holds where it is given.
 * @param {Affine} map
 * @param {Float32Array} x [batch, inputs]
 * @param {Float32Array} [out] [batch, outputs]
 * @returns {Float32Array} [batch, outputs]
 */
export function affine({ weight, bias, inputs, outputs }, x, out) {
  const batch = x.length / inputs;
  const result = out ?? new Float32Array(batch * outputs);
  // Numbers of 64 bits, which the products are made of: converted once, not at every use. Four sums
  // at a time, which do not wait for one another: of four rows, or of one.
  const wide = new Float64Array(x), fours = batch - (batch % 4);
  for (let o = 0; o < outputs; o++) {
    const row = o * inputs;
    for (let b = 0; b < fours; b += 4) {
      const p = b * inputs, q = p + inputs, r = q + inputs, t = r + inputs;
      let s0 = bias[o], s1 = s0, s2 = s0, s3 = s0;
      for (let i = 0; i < inputs; i++) {
        const w = weight[row + i];
        s0 += w * wide[p + i];
        s1 += w * wide[q + i];
        s2 += w * wide[r + i];
        s3 += w * wide[t + i];
      }
      result[b * outputs + o] += s0;
      result[(b + 1) * outputs + o] += s1;
      result[(b + 2) * outputs + o] += s2;
      result[(b + 3) * outputs + o] += s3;
    }
    for (let b = fours; b < batch; b++) {
      const at = b * inputs;
      let s0 = bias[o], s1 = 0, s2 = 0, s3 = 0, i = 0;
      for (; i + 3 < inputs; i += 4) {
        s0 += weight[row + i] * wide[at + i];
        s1 += weight[row + i + 1] * wide[at + i + 1];
        s2 += weight[row + i + 2] * wide[at + i + 2];
        s3 += weight[row + i + 3] * wide[at + i + 3];
      }
      for (; i < inputs; i++) s0 += weight[row + i] * wide[at + i];
      result[b * outputs + o] += s0 + s1 + s2 + s3;
    }
  }
  return result;
}

/**
 * The LSTM cell of PyTorch under a name in the weights.
 * @param {import("./weights.js").Tensors} tensors
 * @param {string} name
 * @returns {Lstm}
 */
export function makeLstm(tensors, name) {
  const input = makeAffine(tensors[`${name}.weight_ih`], tensors[`${name}.bias_ih`]);
  const hidden = makeAffine(tensors[`${name}.weight_hh`], tensors[`${name}.bias_hh`]);
  return { input, hidden, size: hidden.inputs };
}

/**
 * One step of an LSTM.
 * @param {Lstm} cell
 * @param {Float32Array} x [batch, inputs]
 * @param {Float32Array} h [batch, size]
 * @param {Float32Array} c [batch, size]
 * @param {Float32Array} [addend] to the four gates of every row, [4 size]
 * @returns {[Float32Array, Float32Array]} h and c of the step
 */
export function lstm({ input, hidden, size }, x, h, c, addend) {
  const gates = affine(hidden, h, affine(input, x));
  const nextH = new Float32Array(h.length), nextC = new Float32Array(c.length);
  for (let b = 0; b < h.length / size; b++) {
    const at = 4 * size * b;
    if (addend) for (let k = 0; k < 4 * size; k++) gates[at + k] += addend[k];
    for (let k = 0; k < size; k++) {
      const i = sigmoid(gates[at + k]), f = sigmoid(gates[at + size + k]);
      const g = Math.tanh(gates[at + 2 * size + k]), o = sigmoid(gates[at + 3 * size + k]);
      const kept = (nextC[b * size + k] = f * c[b * size + k] + i * g);
      nextH[b * size + k] = o * Math.tanh(kept);
    }
  }
  return [nextH, nextC];
}

/**
 * One tensor's row for each of a batch.
 * @param {Float32Array} row
 * @param {number} batch
 */
export function repeat(row, batch) {
  const all = new Float32Array(row.length * batch);
  for (let b = 0; b < batch; b++) all.set(row, b * row.length);
  return all;
}

/**
 * Two batches side by side: [batch, n + m] of [batch, n] and [batch, m].
 * @param {Float32Array} one
 * @param {Float32Array} other
 * @param {number} batch
 */
export function beside(one, other, batch) {
  const n = one.length / batch, m = other.length / batch;
  const all = new Float32Array(one.length + other.length);
  for (let b = 0; b < batch; b++) {
    all.set(one.subarray(b * n, (b + 1) * n), b * (n + m));
    all.set(other.subarray(b * m, (b + 1) * m), b * (n + m) + n);
  }
  return all;
}
