/** Section 4: half a digit goes on in five ways; a whole one is read and drawn anew. */

import { sigmoid } from "./algebra.js";
import { bars } from "./bars.js";
import { choose, complete } from "./completion.js";
import { button, choice, el, figure, section } from "./dom.js";
import { Drawing } from "./drawing.js";
import { pad, SIDE } from "./pad.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { noise, uniform } from "./random.js";

const ANSWERS = 5, PARTICLES = 4, ROUNDS = 3;
/** Whether a pixel is known, for each choice. @type {Record<string, (a: number, b: number) => boolean>} */
const KNOWN = {
  left: (a) => a < SIDE / 2, top: (_, b) => b < SIDE / 2, right: (a) => a >= SIDE / 2,
  bottom: (_, b) => b >= SIDE / 2, whole: () => true,
};

/** @param {import("./page.js").Page} page */
export function continuation({ words: all, models, clock, present }) {
  const words = all.continue;
  let part = "left", run = 0, known = mask();
  /** @type {{cancel: () => void} | null} */
  let work = null;
  const sheet = pad(words.pad, all.pad, () => answer());
  const answers = Array.from({ length: ANSWERS }, (_, k) => new Picture(words.answer(k + 1)));
  const said = el("p", { class: "told", role: "status" });
  const five = el("div", { class: "answers" }, ...answers.map((one) => one.element));
  const read = new Picture(words.read), redrawn = new Picture(words.redrawn);
  /** @type {Drawing | null} */
  let drawing = null;
  const player = new Player(clock, all.player, { label: words.redrawn, length: 64, show });
  const chart = bars(all.steps.kl, (t) => { player.pause(); player.go(t); });
  const anew = el(
    "div", { hidden: true },
    el("div", { class: "two" }, figure(read.element, words.read), figure(redrawn.element, words.redrawn)),
    player.element, chart.element,
  );

  function mask() {
    return Uint8Array.from({ length: SIDE * SIDE }, (_, k) => Number(KNOWN[part](k % SIDE, Math.floor(k / SIDE))));
  }

  /** @param {number} t */
  function show(t) {
    if (!drawing) return;
    const { step } = drawing.frame(t), x = /** @type {Float32Array} */ (drawing.plan.x);
    read.show(x, SIDE, SIDE, [{ window: step.readWindows?.[0], kind: "read" }]);
    redrawn.show(drawing.image(t), SIDE, SIDE, drawing.outlines(t).filter(({ kind }) => kind === "write"));
    chart.mark(t, all.steps.klAt((step.kl?.[0] ?? 0).toFixed(2), t + 1));
  }

  async function answer() {
    const mine = ++run, x = sheet.binary, model = await models.load("mnist");
    work?.cancel();
    player.pause();
    five.hidden = part === "whole";
    anew.hidden = !five.hidden;
    others.hidden = five.hidden;
    if (!x.some((value, k) => value && known[k])) return said.replaceChildren(words.empty);
    return part === "whole" ? redraw(model, x, mine) : goOn(model, x, mine);
  }

  /**
   * @param {import("./model.js").Draw} model
   * @param {Float32Array} x
   * @param {number} mine
   */
  async function redraw(model, x, mine) {
    const made = (drawing = new Drawing(model, { noise: noise(mine, model.glimpses, model.latent, 4), x }));
    const job = (work = clock.do((function* all() {
      for (let t = 0; t < made.length; t++) { made.frame(t); yield; }
    })()));
    await job.result;
    const kl = made.frames.map(({ step }) => step.kl?.[0] ?? 0), latent = kl.reduce((sum, nats) => sum + nats, 0);
    const [pixels] = model.reconstructionLoss(made.frames[made.length - 1].state.canvas, x);
    said.replaceChildren(words.bound((pixels + latent).toFixed(1), pixels.toFixed(1), latent.toFixed(1)));
    chart.show(kl);
    player.load(made.length);
    player.begin();
  }

  /**
   * @param {import("./model.js").Draw} model
   * @param {Float32Array} x
   * @param {number} mine
   */
  async function goOn(model, x, mine) {
    const own = known, blank = x.map((value, k) => value * own[k]);
    for (const picture of answers) picture.show(blank, SIDE, SIDE);
    for (let k = 0; k < ANSWERS && mine === run; k++) {
      said.replaceChildren(words.thinking(k + 1, ANSWERS));
      const noiseOf = (/** @type {number} */ pass) =>
        noise(1000 * mine + k, model.glimpses, PARTICLES * model.latent, 10 + pass);
      const job = (work = clock.do(complete(model, x, own, PARTICLES, ROUNDS, noiseOf)));
      const made = await job.result;
      if (mine !== run) return;
      const chosen = choose(made.logWeights, uniform(1000 * mine + k, 9));
      const at = chosen * model.pixels, last = made.images.slice(at, at + model.pixels);
      play(answers[k], made.frames.map(({ canvas, windows }) => (
        { image: canvas.slice(at, at + model.pixels).map(sigmoid), window: windows[chosen] })), last, mine);
    }
    if (mine === run) said.replaceChildren(words.done(ANSWERS));
  }

  /**
   * Show an answer stroke by stroke, once.
   * @param {Picture} picture
   * @param {{image: Float32Array, window: import("./attention.js").Window | null}[]} frames
   * @param {Float32Array} last what is known as it was given, and the rest
   * @param {number} mine
   */
  function play(picture, frames, last, mine) {
    let t = clock.still ? frames.length : 0, start = 0;
    clock.start(function tick(time) {
      start ||= time;
      t = Math.max(t, Math.floor((time - start) / 30));
      if (mine !== run) return clock.stop(tick);
      if (t < frames.length)
        return picture.show(frames[t].image, SIDE, SIDE, [{ window: frames[t].window, kind: "write" }]);
      clock.stop(tick);
      return picture.show(last, SIDE, SIDE);
    });
  }

  /** Begin with the present drawing, so that there is something before anybody draws. */
  async function take() {
    const model = await models.load("mnist"), shown = present();
    const image = shown?.pixels === SIDE * SIDE ? shown.image()
      : new Drawing(model, { noise: noise(1, model.glimpses, model.latent) }).last;
    sheet.put(image.map((value, k) => value * known[k]));
    answer();
  }

  const parts = choice(words.part, Object.entries(words.parts), part, (value) => {
    part = value;
    known = mask();
    sheet.count(known);
    answer();
  });
  const others = button(words.again, answer);
  sheet.count(known);
  const element = section(
    "continue", 4, words,
    el("div", { class: "drawn" },
      el("div", {}, figure(sheet.element, words.pad),
        el("div", { class: "row" }, parts.element,
          button(words.present, take), others)),
      el("div", {}, said, five, anew)),
  );
  return { element, start: take };
}
