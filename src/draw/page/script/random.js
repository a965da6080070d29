/** Noise by seed: the same seed gives the same drawing, on every computer. */

/**
 * Numbers between 0 and 1 from a seed and a stream of it (sfc32 of Chris Doty-Humphrey).
 * @param {number} seed
 * @param {number} stream
 * @returns {() => number}
 */
export function uniform(seed, stream = 0) {
  let a = seed | 0, b = (seed / 2 ** 32) | 0, c = stream | 0, d = 1;
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t | 0;
    return ((t >>> 0) + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

/**
 * Standard normal noise of every step (Box and Muller).
 * @param {number} seed
 * @param {number} steps
 * @param {number} size numbers a step
 * @param {number} stream
 * @returns {Float32Array[]}
 */
export function noise(seed, steps, size, stream = 0) {
  const random = uniform(seed, stream);
  return Array.from({ length: steps }, () => {
    const row = new Float32Array(size);
    for (let k = 0; k < size; k += 2) {
      const radius = Math.sqrt(-2 * Math.log(random())), angle = 2 * Math.PI * random();
      row[k] = radius * Math.cos(angle);
      if (k + 1 < size) row[k + 1] = radius * Math.sin(angle);
    }
    return row;
  });
}

/**
 * Noise on the arc between two: standard normal wherever on it one stands.
 * @param {Float32Array[]} one
 * @param {Float32Array[]} other
 * @param {number} share 0 for one, 1 for the other
 */
export function between(one, other, share) {
  const angle = (share * Math.PI) / 2, p = Math.cos(angle), q = Math.sin(angle);
  return one.map((row, t) => row.map((value, k) => p * value + q * other[t][k]));
}
