/** Section 6: the same noise with attention and without it. */

import { button, el, figure, section, slider } from "./dom.js";
import { Drawing } from "./drawing.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { noise } from "./random.js";

const STEPS = [1, 4, 16, 64];

/** @param {import("./page.js").Page} page */
export function compare({ words: all, state, models, clock }) {
  const words = all.compare;
  if (!models.has("mnist-no-attention")) return null;
  let seed = state.whole("seed", 0, 2 ** 31, 1);
  /** @type {Drawing[]} */
  let drawings = [];
  const pictures = [new Picture(words.with), new Picture(words.without)];
  const player = new Player(clock, all.player, { label: words.player, length: 64, show });

  /** @param {number} t */
  function show(t) {
    drawings.forEach((drawing, k) => {
      const { model } = drawing, [window] = drawing.frame(t).step.writeWindows;
      pictures[k].show(drawing.image(t), model.rows, model.columns, [{ window, kind: "write" }]);
    });
  }

  async function start() {
    const both = await Promise.all(["mnist", "mnist-no-attention"].map((name) => models.load(name)));
    drawings = both.map((model) => new Drawing(model, { noise: noise(seed, model.glimpses, model.latent) }));
    player.begin();
  }

  const stop = slider(
    words.steps, { min: 0, max: STEPS.length - 1, step: 1, value: 3, say: (k) => `T = ${STEPS[k]}` },
    (k) => {
      player.load(STEPS[k]);
      player.pause();
      player.go(STEPS[k] - 1);
    },
  );
  const element = section(
    "compare", 6, words,
    el("div", { class: "two" }, ...pictures.map((one, k) => figure(one.element, [words.with, words.without][k]))),
    player.element,
    el("div", { class: "row" }, stop.element, button(words.next, () => { seed += 1; start(); }, { class: "primary" })),
  );
  return { element, start };
}
