/** Section 2: eqs 19-29 in the hand. */

import { controlsOf, filterCentres, readPatch, writePatch } from "./attention.js";
import { button, el, figure, section, slider } from "./dom.js";
import { Drawing } from "./drawing.js";
import { equation, marked } from "./equation.js";
import { hands } from "./hands.js";
import { ink, Picture, shortNumber, showCells } from "./picture.js";
import { noise } from "./random.js";
import { Strip } from "./strip.js";

/** @typedef {import("./attention.js").Window} Window */

/**
 * The least, the most and the step of each number of a window on an image.
 * @param {number} rows
 * @param {number} columns
 * @returns {Record<string, [number, number, number]>}
 */
const ranges = (rows, columns) => ({
  g_x: [-4, columns + 5, 0.1], g_y: [-4, rows + 5, 0.1], delta: [0.05, (2 * Math.max(rows, columns)) / 7, 0.05],
  sigma: [0.15, Math.round((3 * Math.max(rows, columns)) / 14), 0.05], gamma: [0.2, 3, 0.05], size: [1, 12, 1],
});
/** Which fields each part of the window moves. @type {Record<string, string[]>} */
const MOVES = { centre: ["g_x", "g_y"], stride: ["delta"], blur: ["sigma"] };

/**
 * Each equation, and its value for a window on an image.
 * @type {[string, string, (w: Window, rows: number, columns: number, words: Record<string, any>) => string][]}
 */
const EQUATIONS = [
  ["21", "([[g_x|g̃_X]], [[g_y|g̃_Y]], log [[sigma|σ²]], log [[delta|δ̃]], log [[gamma|γ]]) = W(h^{dec})",
    (w, rows, columns) => controlsOf(w, rows, columns).map((value) => value.toFixed(2).replace("-", "−")).join("  ")],
  ["22", "[[g_x|g_X]] = (A + 1)/2 · (g̃_X + 1)", (w, rows, columns) => `g̃_X = ${controlsOf(w, rows, columns)[0].toFixed(2)}`],
  ["23", "[[g_y|g_Y]] = (B + 1)/2 · (g̃_Y + 1)", (w, rows, columns) => `g̃_Y = ${controlsOf(w, rows, columns)[1].toFixed(2)}`],
  ["24", "[[delta|δ]] = (max(A, B) − 1)/([[size|N]] − 1) · δ̃", (w, rows, columns) => `δ̃ = ${Math.exp(controlsOf(w, rows, columns)[3]).toFixed(2)}`],
  ["19", "μ_X^i = [[g_x|g_X]] + (i − [[size|N]]/2 − ½) [[delta|δ]]", (w) => ends(w.g_x, w)],
  ["20", "μ_Y^j = [[g_y|g_Y]] + (j − [[size|N]]/2 − ½) [[delta|δ]]", (w) => ends(w.g_y, w)],
  ["25", "F_X[i, a] = exp(−(a − μ_X^i)² / 2[[sigma|σ]]²) / Z_X", (w) => `2σ² = ${(2 * w.sigma ** 2).toFixed(2)}`],
  ["26", "F_Y[j, b] = exp(−(b − μ_Y^j)² / 2[[sigma|σ]]²) / Z_Y", (w) => `2σ² = ${(2 * w.sigma ** 2).toFixed(2)}`],
  ["27", "read(x) = [[gamma|γ]] F_Y x F_X^T", (w) => `γ = ${w.gamma.toFixed(2)}`],
  ["28", "w = W(h^{dec})", (_, rows, columns, words) => words.same],
  ["29", "write(w) = 1/[[gamma|γ]] · F_Y^T w F_X", (w) => `1/γ = ${(1 / w.gamma).toFixed(2)}`],
];

/**
 * @param {number} g
 * @param {Window} window
 */
function ends(g, { delta, size }) {
  const centres = filterCentres(g, delta, size);
  return centres.length > 1 ? `${shortNumber(centres[0])} … ${shortNumber(centres[size - 1])}` : shortNumber(g);
}

/** @param {import("./page.js").Page} page */
export function hold({ words: all, state, models, subject, size: { rows, columns }, fixed, present }) {
  const words = all.hold;
  /** @type {Float32Array} */
  let image = new Float32Array(rows * columns);
  let place = fromState();
  const read = new Picture(words.read, "cells"), whole = new Picture(words.label), wrote = new Picture(words.wrote);
  const across = new Strip("across", words.strips), down = new Strip("down", words.strips);
  const light = (/** @type {string[]} */ fields) => {
    for (const term of element.querySelectorAll("[data-term]"))
      term.classList.toggle("lit", fields.includes(/** @type {HTMLElement} */ (term).dataset.term ?? ""));
    for (const row of lines) row.element.classList.toggle("lit", !!row.element.querySelector(".lit"));
  };
  const grip = hands(rows, columns, {
    parts: ["centre", "stride", "blur"],
    take: (part) => light(part ? MOVES[part] : []),
    move: (window) => set(window),
  });
  const sliders = Object.fromEntries(Object.entries(ranges(rows, columns)).map(([field, [min, max, step]]) => {
    const made = slider(
      /** @type {any} */ (words.names)[field],
      { min, max, step, value: /** @type {any} */ (place)[field], say: (v) => (field === "size" ? String(v) : v.toFixed(2)) },
      (value) => set({ ...place, [field]: value }),
    );
    made.input.addEventListener("focus", () => light([field]));
    made.input.addEventListener("blur", () => light([]));
    return [field, made];
  }));
  const lines = EQUATIONS.map(([number, text, value]) => {
    const out = el("span", { class: "value" });
    const row = el("li", {}, el("span", { class: "eq-number" }, `(${number})`), equation(text), out);
    return { element: row, say: (/** @type {Window} */ w) => out.replaceChildren(...marked(value(w, rows, columns, words))) };
  });

  function fromState() {
    const [g_x, g_y, delta, sigma, gamma] = state.get("window").split(",").map(Number);
    const size = Math.round(state.number("size", 1, 12, 12));
    const good = [g_x, g_y, delta, sigma, gamma].every(Number.isFinite) && delta > 0 && sigma > 0 && gamma > 0;
    return good ? { g_x, g_y, delta, sigma, gamma, size } : { g_x: (columns + 1) / 2, g_y: (rows - 1) / 2, delta: Math.max(rows, columns) / 20, sigma: 0.6, gamma: 1, size };
  }

  /** @param {Window} window */
  function set(window) {
    place = window;
    const { g_x, g_y, delta, sigma, gamma, size } = window;
    state.set({ window: [g_x, g_y, delta, sigma, gamma].map((v) => Number(v.toFixed(2))).join(","), size });
    show();
  }

  function show() {
    const { size } = place, patch = readPatch(image, place, rows, columns);
    showCells(read, patch, size, ink, "read");
    whole.show(image, rows, columns, [{ window: place, kind: "read" }]);
    const back = writePatch(patch, place, rows, columns);
    let most = 1e-6;
    for (const value of back) most = Math.max(most, value);
    wrote.show(back, rows, columns, [{ window: place, kind: "write" }], (value) => ink(value / most));
    across.show(filterCentres(place.g_x, place.delta, size), place.sigma, columns);
    down.show(filterCentres(place.g_y, place.delta, size), place.sigma, rows);
    grip.show(place);
    for (const line of lines) line.say(place);
    for (const [field, { set: say }] of Object.entries(sliders)) say(/** @type {any} */ (place)[field]);
  }

  /** The image of the present drawing, where it has this section's size. */
  async function take() {
    const shown = present();
    if (shown?.pixels === rows * columns) image = shown.image();
    else {
      const model = await models.load(subject);
      image = new Drawing(model, { noise: noise(1, model.glimpses, model.latent) }).last;
    }
    show();
  }

  const element = section(
    "hold", 2, words,
    el("div", { class: "bench" },
      figure(read.element, words.read),
      figure(el("div", { class: "ruled" },
        el("div", { class: "over" }, whole.element, grip.element), down.element, across.element), words.picture, { class: "middle" }),
      figure(wrote.element, words.wrote)),
    el("p", { class: "hint" }, ...marked(words.strips)),
    el("div", { class: "sliders" }, ...Object.values(sliders).map((one) => one.element)),
    el("h3", {}, words.equations),
    el("ol", { class: "equations" }, ...lines.map((line) => line.element)),
    fixed ? null : button(words.present, take),
  );
  return { element, start: take };
}
