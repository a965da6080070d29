/** Section 7: a classifier looks for a digit among pieces of others. */

import { classes } from "./classes.js";
import { button, el, figure, section, slider } from "./dom.js";
import { drag } from "./drag.js";
import { Drawing } from "./drawing.js";
import { ink, Picture, showCells } from "./picture.js";
import { Player } from "./player.js";
import { noise, uniform } from "./random.js";

const SIDE = 100, DIGIT = 28, PIECE = 8, MOST = 16;

/** @typedef {{x: number, y: number, side: number, pixels: Float32Array}} Thing */

/** @param {import("./page.js").Page} page */
export function search({ words: all, models, clock }) {
  const words = all.search;
  if (!models.has("cluttered")) return null;
  let classifier = /** @type {import("./model.js").Classifier | null} */ (null);
  let model = /** @type {import("./model.js").Draw | null} */ (null);
  /** @type {Float32Array[]} */
  let digits = [];
  let seed = 3, clutter = 8;
  /** @type {Thing[]} */
  let things = [];
  let scene = new Float32Array(SIDE * SIDE);
  /** @type {ReturnType<import("./model.js").Classifier["look"]>} */
  let looks = [];
  const picture = new Picture(words.scene), seen = new Picture(words.seen);
  const player = new Player(clock, all.player, { label: words.player, length: 8, show });
  const chances = classes(Array.from("0123456789"));
  const said = el("p", { class: "told", role: "status" });

  /** @param {number} t */
  function show(t) {
    const look = looks[t];
    if (!look) return;
    const way = looks.slice(0, t + 1).map(({ window: { g_x, g_y } }) => /** @type {[number, number]} */ ([g_x, g_y]));
    picture.show(scene, SIDE, SIDE, [{ ways: [way], kind: "other" }, { window: look.window, kind: "read" }]);
    showCells(seen, look.patch.map((value) => value / look.window.gamma), look.window.size, ink, "read");
    const best = chances.show(look.probabilities);
    said.textContent = words.says(best, (100 * look.probabilities[best]).toFixed(0));
  }

  /** Lay all things on black, added and clipped, and look. */
  function look() {
    if (!classifier) return;
    scene = new Float32Array(SIDE * SIDE);
    for (const { x, y, side, pixels } of things)
      for (let k = 0; k < side * side; k++) {
        const at = (Math.round(y) + Math.floor(k / side)) * SIDE + Math.round(x) + (k % side);
        scene[at] = Math.min(1, scene[at] + pixels[k]);
      }
    looks = classifier.look(scene);
    show(player.at);
    place.forEach(({ set }, k) => set(Math.round([things[0].x, things[0].y][k])));
  }

  /** The digit to be found and those that the scraps are of, by the model's hand. */
  function draw() {
    const own = model;
    if (own) digits = [0, 1, 2, 3].map((k) => (
      new Drawing(own, { noise: noise(seed + 100 * k, own.glimpses, own.latent), temperature: 0.8 }).last));
  }

  function scatter() {
    const random = uniform(seed, 7), [whole, ...others] = digits;
    if (!whole) return; // it comes with the weights
    const free = (/** @type {number} */ side) => Math.floor(random() * (SIDE - side + 1));
    things = [{ x: free(DIGIT), y: free(DIGIT), side: DIGIT, pixels: whole }];
    for (let k = 0; k < MOST; k++) {
      const from = others[k % others.length], x = 6 + Math.floor(random() * 9), y = 6 + Math.floor(random() * 9);
      const pixels = Float32Array.from({ length: PIECE * PIECE }, (_, p) =>
        from[(y + Math.floor(p / PIECE)) * DIGIT + x + (p % PIECE)]);
      const thing = { x: free(PIECE), y: free(PIECE), side: PIECE, pixels };
      if (k < clutter) things.push(thing);
    }
    look();
    player.begin();
  }

  async function start() {
    [classifier, model] = await Promise.all([models.load("cluttered"), models.load("mnist")]);
    draw();
    scatter();
  }

  const table = el("div", { class: "over table" }, picture.element);
  /** @type {{thing: Thing, x: number, y: number} | null} */
  let held = null;
  const inside = (/** @type {number} */ value, /** @type {number} */ side) => Math.min(Math.max(value, 0), SIDE - side);
  drag(table, SIDE, SIDE, {
    take: (x, y) => {
      const thing = things.filter((one) => x >= one.x && y >= one.y && x < one.x + one.side && y < one.y + one.side)
        .sort((a, b) => a.side - b.side)[0];
      if (!thing) return false;
      held = { thing, x: x - thing.x, y: y - thing.y };
      player.pause();
      player.go(looks.length - 1);
      return true;
    },
    move: (x, y) => {
      if (!held) return;
      const { thing } = held;
      [thing.x, thing.y] = [inside(x - held.x, thing.side), inside(y - held.y, thing.side)];
      look();
    },
    drop: () => {
      held = null;
      player.begin();
    },
  });

  const place = words.place.map((label, k) => slider(
    label, { min: 0, max: SIDE - DIGIT, step: 1, value: 0 }, (value) => {
      if (!things.length) return;
      if (k) things[0].y = value;
      else things[0].x = value;
      player.pause();
      player.go(looks.length - 1);
      look();
    },
  ));
  const amount = slider(
    words.clutter, { min: 0, max: MOST, step: 1, value: clutter }, (value) => { clutter = value; scatter(); },
  );
  const element = section(
    "search", 7, words,
    el("div", { class: "hunt" },
      el("div", {}, figure(table, words.scene), player.element),
      el("div", {}, said, chances.element,
        figure(seen.element, words.seen, { class: "seen" }))),
    el("div", { class: "row" }, ...place.map((one) => one.element), amount.element,
      button(words.next, () => { seed += 1; draw(); scatter(); }, { class: "primary" })),
  );
  return { element, start };
}
