/** "How it works" of the studio: the page's sections of the model that is chosen there. */

import { busy, el } from "./dom.js";
import { hold } from "./hold.js";
import { interfere } from "./interfere.js";
import { Classifier, Draw } from "./model.js";
import { steps } from "./steps.js";
import { readMetadata, readSafetensors } from "./weights.js";
import { en } from "./words_en.js";

/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./page.js").Present} Present */
/** @typedef {import("./sent.js").Sent} Sent */

/** Models of the server, each fetched when it is first needed. */
export class Fetched {
  constructor() {
    /** @type {Map<string, Promise<any>>} */
    this.loaded = new Map();
  }

  /** No model but those that are asked for by name. */
  has() {
    return false;
  }

  /** @param {string} name */
  load(name) {
    let found = this.loaded.get(name);
    if (!found) {
      this.loaded.set(name, (found = read(name)));
      // A run in training may have weights later.
      found.catch(() => this.loaded.delete(name));
    }
    return found;
  }
}

/** @param {string} name */
async function read(name) {
  const buffer = await answer("weights", { model: name }), config = JSON.parse(readMetadata(buffer).config);
  return new (config.kind === "draw" ? Draw : Classifier)(config, readSafetensors(buffer));
}

/**
 * What the server of the studio has; an error with its words where it has none.
 * @param {string} what
 * @param {Record<string, string>} query
 */
async function answer(what, query) {
  const got = await fetch(`draw/${what}?${new URLSearchParams(query)}`);
  if (!got.ok) throw new Error(await got.text());
  return got.arrayBuffer();
}

/**
 * The drawing that was looked at last in the studio, for a model.
 * @param {{film: Sent, index: number} | null} looked
 * @param {string} name
 * @param {Draw} model
 * @returns {Promise<Present | null>}
 */
async function presentOf(looked, name, model) {
  if (!looked || looked.film.rows !== model.rows || looked.film.columns !== model.columns) return null;
  const { film, index } = looked, { origin } = film.show;
  if (film.part.probabilities) return null;
  const { data } = film.pixels(film.part.originals ? film.original : film.image(film.length - 1));
  const image = Float32Array.from({ length: model.pixels }, (_, k) => data[4 * k] / 255);
  const told = origin?.labels?.[index] ?? film.part.label ?? null, label = told !== null && told < model.config.classes ? told : null;
  const found = { pixels: model.pixels, image: () => image, seed: origin?.seed ?? 1, label };
  if (film.show.kind !== "drawings" || origin?.model !== name) return found;
  const query = { model: name, seed: String(origin.seed), index: String(index) };
  const all = new Float32Array(await answer("noise", query)), size = model.latent;
  const noise = Array.from({ length: model.glimpses }, (_, t) => all.slice(t * size, (t + 1) * size));
  return { ...found, plan: { noise, temperature: origin.temperature, label, guidance: origin.guidance } };
}

/**
 * @param {{state: import("./state.js").State, clock: import("./clock.js").Clock, looked: () => {film: Sent, index: number} | null}} studio
 */
export function insight({ state, clock, looked }) {
  const element = el("div", { class: "insight" }), models = new Fetched();
  let version = 0, shown = "";

  /** Explain a model, with the drawing that was looked at last. @param {string} name */
  async function explain(name) {
    const last = looked(), key = `${name} ${last?.film.show.id} ${last?.index}`;
    if (!name || key === shown) return;
    const mine = ++version;
    shown = key;
    if (!element.childElementCount) element.replaceChildren(el("p", { class: "told", role: "status" }, en.loading));
    try {
      const model = await models.load(name), drawn = await presentOf(last, name, model);
      if (mine !== version) return;
      const { rows, columns } = model;
      /** @type {Page} */
      const page = { words: en, state, models, clock, subject: name, fixed: true, size: { rows, columns }, present: () => drawn };
      const made = [steps, ...(model.attends ? [hold] : []), interfere].map((make) => make(page));
      element.replaceChildren(...made.map((one) => one.element));
      for (const one of made) if (mine === version) await busy(one.element, one.start());
    } catch (error) {
      if (mine !== version) return;
      shown = "";
      element.replaceChildren(el("p", { class: "told", role: "status" }, /** @type {Error} */ (error).message));
    }
  }

  return { element, explain };
}
