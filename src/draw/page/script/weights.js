/** Weights as safetensors keep them, in 16 or 32 bits, from base64 in the page or a file beside it. */

/** @typedef {{shape: number[], data: Float32Array}} Tensor */
/** @typedef {Record<string, Tensor>} Tensors */

/** @type {Float32Array | undefined} */
let halves;

/**
 * The value of each of the 65,536 numbers of 16 bits that IEEE 754 calls binary16.
 * @returns {Float32Array}
 */
export function halfValues() {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
    if (exponent === 31) halves[bits] = fraction ? NaN : sign * Infinity;
    else if (exponent === 0) halves[bits] = sign * fraction * 2 ** -24;
    else halves[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return halves;
}

/** @param {ArrayBuffer} buffer a whole safetensors file */
function headerOf(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  return { length, header: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length))) };
}

/**
 * What a safetensors file says besides its tensors.
 * @param {ArrayBuffer} buffer the whole file
 * @returns {Record<string, string>}
 */
export const readMetadata = (buffer) => headerOf(buffer).header.__metadata__ ?? {};

/**
 * The tensors of a safetensors file, as numbers of 32 bits.
 * @param {ArrayBuffer} buffer the whole file
 * @returns {Tensors}
 */
export function readSafetensors(buffer) {
  const { length, header } = headerOf(buffer);
  /** @type {Tensors} */
  const tensors = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [start, end] = entry.data_offsets;
    const bytes = buffer.slice(8 + length + start, 8 + length + end);
    if (entry.dtype === "F32") tensors[name] = { shape: entry.shape, data: new Float32Array(bytes) };
    else if (entry.dtype === "F16") {
      const values = halfValues();
      const bits = new Uint16Array(bytes), data = new Float32Array(bits.length);
      for (let k = 0; k < bits.length; k++) data[k] = values[bits[k]];
      tensors[name] = { shape: entry.shape, data };
    } else throw new Error(`expected ${name} to be F16 or F32, got ${entry.dtype}`);
  }
  return tensors;
}

/**
 * The bytes that a text in base64 stands for.
 * @param {string} text
 * @returns {ArrayBuffer}
 */
export function fromBase64(text) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}
