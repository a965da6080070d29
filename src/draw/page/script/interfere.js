/** Section 5: another hand in the drawing, and the path between two drawings. */

import { busy, button, choice, el, figure, section, slider } from "./dom.js";
import { Drawing } from "./drawing.js";
import { hands } from "./hands.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { between, noise } from "./random.js";

const HELD = 8; // steps that a moved window stays moved
const PATH = 9; // drawings on the path
const NUMBERS = 12; // of z that have a slider at a time

/** @param {import("./page.js").Page} page */
export function interfere({ words: all, models, clock, subject, size: { rows, columns }, fixed, present }) {
  const words = all.interfere;
  let model = /** @type {import("./model.js").Draw | null} */ (null), looks = false, seed = 1;
  let own = /** @type {Drawing | null} */ (null), other = /** @type {Drawing | null} */ (null);
  /** @type {{t: number, x: number, y: number, turn: number, numbers: Map<number, number>}} */
  let hand = { t: 0, x: 0, y: 0, turn: 0, numbers: new Map() };
  const left = new Picture(words.own), right = new Picture(words.other);
  const said = el("p", { class: "told", role: "status" });
  const player = new Player(clock, all.player, { label: words.player, length: 64, show, done: tell });
  /** @type {{x: number, y: number} | null} */
  let from = null;
  const grip = hands(rows, columns, {
    parts: ["centre"],
    take: (part) => {
      player.pause();
      if (!part) { from = null; player.finish(); }
    },
    move: (window) => {
      const natural = own?.frame(player.at).step.writeWindows[0];
      if (!natural) return;
      if (!from) begin(player.at);
      from = { x: window.g_x - natural.g_x, y: window.g_y - natural.g_y };
      change({ ...hand, ...from });
    },
  });
  /**
   * A slider for a part of the hand, which comes in at the present step if it is not there yet.
   * @param {string} label
   * @param {{min: number, max: number, step: number, say?: (v: number) => string}} range
   * @param {"x" | "y" | "turn"} part
   */
  function reach(label, range, part) {
    const made = slider(label, { ...range, value: 0 }, (value) => {
      player.pause();
      if (!touched()) begin(player.at);
      change({ ...hand, [part]: value });
    });
    made.input.addEventListener("change", () => player.finish());
    return made;
  }
  const reaches = {
    x: reach(words.move[0], { min: -20, max: 20, step: 1 }, "x"),
    y: reach(words.move[1], { min: -20, max: 20, step: 1 }, "y"),
    turn: reach(words.turn, { min: 0, max: 90, step: 5, say: (v) => `${v}°` }, "turn"),
  };
  const touched = () => hand.x || hand.y || hand.turn || hand.numbers.size;
  const message = el("div", { class: "sliders" }), which = el("h3", {}), dozens = el("div", {});
  /** Sliders of the numbers of z. @type {{k: number, set: (value: number) => void}[]} */
  let numbers = [];
  let first = 0; // of the numbers that have a slider

  /** Offer the numbers of z, those first that the decoder hears most. @param {import("./model.js").Draw} of */
  function list(of) {
    const order = heard(of);
    const starts = Array.from({ length: Math.ceil(order.length / NUMBERS) }, (_, k) => NUMBERS * k);
    const offer = choice(
      words.dozen, starts.map((start) => [String(start), `${start + 1} … ${Math.min(start + NUMBERS, order.length)}`]),
      "0", (value) => { reveal(order, Number(value)); read(); },
    );
    dozens.replaceChildren(...(starts.length > 1 ? [offer.element] : []));
    for (const part of /** @type {const} */ (["x", "y"])) reaches[part].element.hidden = !of.attends;
    reveal(order, 0);
  }

  /**
   * A slider for each of a dozen numbers of z.
   * @param {number[]} order of all numbers
   * @param {number} start
   */
  function reveal(order, start) {
    first = start;
    const made = order.slice(start, start + NUMBERS).map((k) => ({ k, ...slider(
      `z_{${k + 1}}`, { min: -4, max: 4, step: 0.05, value: 0, say: (v) => v.toFixed(2) },
      (value) => {
        player.pause();
        if (!touched()) begin(player.at);
        change({ ...hand, numbers: new Map(hand.numbers).set(k, value) });
        player.go(player.length - 1);
        tell();
      },
    ) }));
    message.replaceChildren(...made.map(({ element }) => element));
    numbers = made;
  }

  /** Let the sliders say what z is at the step where the hand is, or at the one that is shown. */
  function read() {
    if (!other) return;
    const t = touched() ? hand.t : player.at, { z } = other.frame(t).step;
    which.textContent = words.numbers(t + 1, first + 1, first + numbers.length, z.length);
    for (const { k, set } of numbers) set(z[k]);
  }

  /** A new hand from a step on. @param {number} t */
  function begin(t) {
    hand = { t, x: 0, y: 0, turn: 0, numbers: new Map() };
    sayHand();
  }

  function sayHand() {
    for (const part of /** @type {const} */ (["x", "y", "turn"])) reaches[part].set(Math.round(hand[part]));
  }

  /** @param {typeof hand} next */
  function change(next) {
    if (!own || !model) return;
    hand = next;
    sayHand();
    const [fresh] = noise(seed, 1, model.latent, 77), angle = (hand.turn * Math.PI) / 180;
    other = own.fork(hand.t, { ...own.plan, hand: (t) => ({
      z: t === hand.t && (hand.turn || hand.numbers.size)
        ? (z) => z.map((value, k) => hand.numbers.get(k) ?? Math.cos(angle) * value + Math.sin(angle) * fresh[k]) : undefined,
      window: t >= hand.t && t < hand.t + HELD && (hand.x || hand.y)
        ? (w) => ({ ...w, g_x: w.g_x + hand.x, g_y: w.g_y + hand.y }) : undefined,
    }) });
    show(player.at);
  }

  /** @param {number} t */
  function show(t) {
    if (!own || !other) return;
    for (const [picture, drawing] of /** @type {[Picture, Drawing][]} */ ([[left, own], [right, other]])) {
      picture.frame(drawing, t);
      const [pen] = drawing.frame(t).step.writeWindows;
      if (drawing === other && pen) grip.show(pen);
    }
    read();
  }

  /** How far the two have come apart, when they are finished. */
  function tell() {
    if (!own || !other) return;
    const a = own.last, b = other.last;
    let sum = 0, all = 0;
    a.forEach((value, k) => { sum += Math.abs(value - b[k]); all += value; });
    said.textContent = touched() ? words.apart(hand.t + 1, ((100 * sum) / Math.max(all, 1)).toFixed(0)) : words.touch;
  }

  function forget() {
    if (!own) return;
    begin(0);
    other = own.fork(own.length, own.plan);
    said.textContent = words.touch;
  }

  async function start() {
    const found = /** @type {import("./model.js").Draw} */ (await models.load(subject)), shown = present();
    if (found !== model) list(found);
    model = found;
    seed = shown?.seed ?? 1;
    const drawn = new Drawing(found, shown?.plan ?? { noise: noise(seed, found.glimpses, found.latent), label: shown?.label });
    own = looks
      ? new Drawing(found, { ...drawn.plan, noise: noise(seed, drawn.length, found.latent, 5), x: drawn.last })
      : drawn;
    const made = own;
    player.pause();
    await clock.do((function* run() {
      for (let t = 0; t < made.length; t++) { made.frame(t); yield; }
    })()).result;
    if (made !== own) return;
    player.load(own.length);
    forget();
    player.go(Math.floor(own.length / 3));
    path();
  }

  const stops = Array.from({ length: PATH }, (_, k) => new Picture(words.stop(k + 1, PATH)));
  const ends = [1, 6].map((value, k) => el("input", {
    type: "number", min: 0, max: 2 ** 31, value, id: `interfere-${k}`, on: { change: () => path() },
  }));
  let paths = 0;
  async function path() {
    const mine = ++paths, of = model, label = own?.plan.label;
    if (!of) return;
    const [a, b] = ends.map(({ value }) => noise(Math.floor(Math.abs(Number(value))) || 0, of.glimpses, of.latent));
    await clock.do((function* run() {
      for (let k = 0; k < PATH && mine === paths; k++) {
        const drawing = new Drawing(of, { noise: between(a, b, k / (PATH - 1)), label });
        for (let t = 0; t < drawing.length; t++) { drawing.frame(t); yield; }
        if (mine === paths) stops[k].show(drawing.last, of.rows, of.columns);
      }
    })()).result;
  }

  const kind = choice(words.kind, Object.entries(words.kinds), "blind", (value) => {
    looks = value === "looks";
    busy(element, start());
  });
  const element = section(
    "interfere", 5, words,
    el("div", { class: "two" },
      figure(left.element, words.own),
      figure(el("div", { class: "over" }, right.element, grip.element), words.other)),
    player.element, said,
    el("div", { class: "row" }, ...Object.values(reaches).map(({ element }) => element)),
    el("div", { class: "row" }, kind.element,
      button(words.forget, () => { forget(); show(player.at); }), fixed ? null : button(words.present, () => busy(element, start()))),
    which, dozens, message,
    el("h3", {}, words.path),
    el("div", { class: "stops" }, ...stops.map((one) => one.element)),
    el("div", { class: "row" }, ...ends.map((input, k) =>
      el("div", { class: "field" }, el("label", { for: input.id }, words.ends[k]), input))),
  );
  return { element, start };
}

/**
 * The numbers of z, those first to which the decoder listens most: by the length of their weights.
 * @param {import("./model.js").Draw} model
 */
function heard({ tensors, latent }) {
  const { data, shape: [gates, width] } = tensors["lstm_dec.weight_ih"], squares = new Float64Array(latent);
  for (let row = 0; row < gates; row++)
    for (let k = 0; k < latent; k++) squares[k] += data[row * width + k] ** 2;
  return Array.from(squares.keys()).sort((a, b) => squares[b] - squares[a]);
}
