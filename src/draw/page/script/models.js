/** The models that this page came with, each loaded when it is first needed. */

import { Classifier, Draw } from "./model.js";
import { fromBase64, readSafetensors } from "./weights.js";

/** @typedef {{name: string, config: Record<string, any>, encodes: boolean}} Entry */

export class Models {
  constructor() {
    const list = /** @type {HTMLElement} */ (document.getElementById("models"));
    /** @type {Entry[]} */
    this.entries = JSON.parse(list.textContent ?? "[]");
    /** @type {Map<string, Promise<any>>} */
    this.loaded = new Map();
  }

  /** @param {string} name */
  has(name) {
    return this.entries.some((entry) => entry.name === name);
  }

  /** Models that draw. */
  get drawing() {
    return this.entries.filter(({ config }) => config.kind === "draw");
  }

  /**
   * A model by name; an error where this page came without it.
   * @param {string} name
   * @returns {Promise<any>}
   */
  load(name) {
    let found = this.loaded.get(name);
    if (!found) {
      this.loaded.set(name, (found = this.read(name)));
      found.catch(() => this.loaded.delete(name)); // it may be had later
    }
    return found;
  }

  /** @param {string} name */
  async read(name) {
    const entry = this.entries.find((one) => one.name === name);
    if (!entry) throw new Error(`expected a model of this page, got ${name}`);
    const inside = document.getElementById(`weights-${name}`);
    let buffer;
    if (inside) {
      buffer = fromBase64(inside.textContent ?? "");
      inside.remove();
    } else {
      const answer = await fetch(`weights/${name}.safetensors`);
      if (!answer.ok) throw new Error(`weights/${name}.safetensors: ${answer.status}`);
      buffer = await answer.arrayBuffer();
    }
    const kind = entry.config.kind === "draw" ? Draw : Classifier;
    return new kind(entry.config, readSafetensors(buffer));
  }
}
