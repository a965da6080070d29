/** The paper's window, eqs 19-29, and one that turns. Pixels are counted from 1, as there. */

/**
 * A window of size x size Gaussian filters: centre, stride and width in pixels, and an intensity;
 * and of a window that turns its angle in radians, from x to y.
 * @typedef {{g_x: number, g_y: number, delta: number, sigma: number, gamma: number, size: number,
 *   angle?: number}} Window
 */

/** Bounds on the five numbers, the same as in PyTorch: far outside any window that can matter. */
const MAX_LOG = 20, MAX_CENTRE = 1e4;

/**
 * @param {number} value
 * @param {number} most
 */
const within = (value, most) => Math.min(Math.max(value, -most), most);

/**
 * Eqs 21-24: the window that five unbounded numbers stand for, or one that turns, of six.
 * @param {ArrayLike<number>} controls (g~_X, g~_Y, log sigma^2, log delta~, log gamma), and the angle
 * @param {number} rows B
 * @param {number} columns A
 * @param {number} size N
 * @returns {Window}
 */
export function windowOf(controls, rows, columns, size) {
  const [x, y] = [0, 1].map((k) => within(controls[k], MAX_CENTRE));
  const [logSigma2, logDelta, logGamma] = [2, 3, 4].map((k) => within(controls[k], MAX_LOG));
  return {
    g_x: ((columns + 1) / 2) * (x + 1), // (22)
    g_y: ((rows + 1) / 2) * (y + 1), // (23)
    delta: ((Math.max(columns, rows) - 1) / Math.max(size - 1, 1)) * Math.exp(logDelta), // (24)
    sigma: Math.exp(logSigma2 / 2),
    gamma: Math.exp(logGamma),
    size,
    ...(controls.length > 5 && { angle: within(controls[5], MAX_CENTRE) }),
  };
}

/**
 * The other way round: the five numbers of eq 21 that stand for a window.
 * @param {Window} window
 * @param {number} rows B
 * @param {number} columns A
 * @returns {[number, number, number, number, number]} (g~_X, g~_Y, log sigma^2, log delta~, log gamma)
 */
export function controlsOf({ g_x, g_y, delta, sigma, gamma, size }, rows, columns) {
  return [
    (2 * g_x) / (columns + 1) - 1, (2 * g_y) / (rows + 1) - 1, 2 * Math.log(sigma),
    Math.log((delta * Math.max(size - 1, 1)) / (Math.max(columns, rows) - 1)), Math.log(gamma),
  ];
}

/**
 * Eqs 19-20: the centres of the filters along one side.
 * @param {number} g
 * @param {number} delta
 * @param {number} size
 * @returns {number[]}
 */
export const filterCentres = (g, delta, size) =>
  Array.from({ length: size }, (_, i) => g + (i + 1 - size / 2 - 0.5) * delta);

/**
 * Eqs 25-26: the filters along one side, each with the sum 1.
 * @param {number} g
 * @param {number} delta
 * @param {number} sigma
 * @param {number} size N
 * @param {number} length pixels along the side
 * @returns {Float32Array} [size, length]
 */
export function filterbank(g, delta, sigma, size, length) {
  const filters = new Float32Array(size * length);
  filterCentres(g, delta, size).forEach((centre, i) => {
    const at = i * length;
    const nearest = Math.min(Math.max(Math.round(centre), 1), length);
    const highest = ((nearest - centre) / sigma) ** 2 / 2;
    let sum = 0;
    for (let a = 0; a < length; a++) {
      const value = Math.exp(highest - ((a + 1 - centre) / sigma) ** 2 / 2);
      filters[at + a] = value;
      sum += value;
    }
    for (let a = 0; a < length; a++) filters[at + a] /= sum;
  });
  return filters;
}

/**
 * The filters of a window over columns (F_X) and rows (F_Y).
 * @param {Window} window
 * @param {number} rows
 * @param {number} columns
 */
export function filterbanks({ g_x, g_y, delta, sigma, size }, rows, columns) {
  return {
    F_x: filterbank(g_x, delta, sigma, size, columns),
    F_y: filterbank(g_y, delta, sigma, size, rows),
  };
}

/**
 * Each filter of a window that turns, row by row of its grid: the window of it alone. One Gaussian
 * filter is round, so it is the same at any angle.
 * @param {Window} window
 * @returns {Window[]}
 */
function filtersOf(window) {
  const { g_x, g_y, delta, size, angle = 0 } = window, d = filterCentres(0, delta, size);
  const cos = Math.cos(angle), sin = Math.sin(angle);
  return d.flatMap((d_j) => d.map((d_i) => (
    { ...window, g_x: g_x + cos * d_i - sin * d_j, g_y: g_y + sin * d_i + cos * d_j, size: 1, angle: undefined }
  )));
}

/**
 * Eq 27: gamma F_Y x F_X^T of each channel.
 * @param {Float32Array} image [channels, rows, columns]
 * @param {Window} window
 * @param {number} rows
 * @param {number} columns
 * @returns {Float32Array} [channels, size, size]
 */
export function readPatch(image, window, rows, columns) {
  if (window.angle !== undefined) {
    const seen = filtersOf(window).map((filter) => readPatch(image, filter, rows, columns));
    return Float32Array.from([...seen[0].keys()].flatMap((channel) => seen.map((of) => of[channel])));
  }
  const { F_x, F_y } = filterbanks(window, rows, columns);
  const { size, gamma } = window, channels = image.length / (rows * columns);
  const patch = new Float32Array(channels * size * size);
  const row = new Float64Array(columns);
  for (let channel = 0; channel < channels; channel++)
    for (let j = 0; j < size; j++) {
      row.fill(0);
      for (let b = 0; b < rows; b++) {
        const factor = F_y[j * rows + b], at = (channel * rows + b) * columns;
        if (factor > 1e-12) for (let a = 0; a < columns; a++) row[a] += factor * image[at + a];
      }
      for (let i = 0; i < size; i++) {
        let sum = 0;
        for (let a = 0; a < columns; a++) sum += row[a] * F_x[i * columns + a];
        patch[(channel * size + j) * size + i] = gamma * sum;
      }
    }
  return patch;
}

/**
 * Eq 29: (1 / gamma) F_Y^T w F_X of each channel.
 * @param {Float32Array} patch [channels, size, size]
 * @param {Window} window
 * @param {number} rows
 * @param {number} columns
 * @returns {Float32Array} [channels, rows, columns]
 */
export function writePatch(patch, window, rows, columns) {
  if (window.angle !== undefined) {
    const filters = filtersOf(window), channels = patch.length / filters.length;
    const written = new Float32Array(channels * rows * columns);
    filters.forEach((filter, k) => {
      const ink = Float32Array.from({ length: channels }, (_, channel) => patch[channel * filters.length + k]);
      writePatch(ink, filter, rows, columns).forEach((value, at) => { written[at] += value; });
    });
    return written;
  }
  const { F_x, F_y } = filterbanks(window, rows, columns);
  const { size, gamma } = window, channels = patch.length / (size * size);
  const image = new Float32Array(channels * rows * columns);
  const row = new Float64Array(columns);
  for (let channel = 0; channel < channels; channel++)
    for (let j = 0; j < size; j++) {
      row.fill(0);
      for (let i = 0; i < size; i++) {
        const w = patch[(channel * size + j) * size + i] / gamma;
        for (let a = 0; a < columns; a++) row[a] += w * F_x[i * columns + a];
      }
      for (let b = 0; b < rows; b++) {
        const factor = F_y[j * rows + b], at = (channel * rows + b) * columns;
        if (factor > 1e-12) for (let a = 0; a < columns; a++) image[at + a] += factor * row[a];
      }
    }
  return image;
}
