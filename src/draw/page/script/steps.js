/** Section 3: the paper's figure 2 with the numbers of a drawing. */

import { Drawing } from "./drawing.js";
import { busy, button, el, section } from "./dom.js";
import { equation } from "./equation.js";
import { bars } from "./bars.js";
import { ink, Picture, showCells, signed, signedUpTo } from "./picture.js";
import { Player } from "./player.js";
import { noise } from "./random.js";

const ORDER = ["x", "x_hat", "r", "h_enc", "mu", "sigma", "z", "h_dec", "w", "c"];

/** @param {import("./page.js").Page} page */
export function steps({ words: all, models, clock, subject, fixed, present }) {
  const words = all.steps;
  /** @type {Drawing | null} */
  let drawing = null;
  const said = el("div", { class: "explained", "aria-live": "polite" }, words.point);
  /** @type {Record<string, Picture>} */
  const pictures = {};
  const second = new Picture("");
  const nodes = ORDER.map((name) => {
    const [symbol, meaning, formula, short] = /** @type {any} */ (words.nodes)[name];
    const explain = () => said.replaceChildren(
      el("strong", {}, equation(symbol)), " ", meaning, " ", formula ? equation(formula) : "",
    );
    const shown = (pictures[name] = new Picture(meaning));
    shown.element.setAttribute("aria-hidden", "true");
    second.element.setAttribute("aria-hidden", "true");
    const inside = name === "r" ? el("span", { class: "pair" }, shown.element, second.element) : shown.element;
    return el(
      "button", { type: "button", class: "node", data: { node: name }, on: { focus: explain, pointerenter: explain, click: explain } },
      inside, el("span", { class: "symbol" }, equation(symbol), el("small", {}, short)),
    );
  });
  const flow = el("div", { class: "flow" }, ...nodes);
  const player = new Player(clock, all.player, { label: words.player, length: 64, show });
  const chart = bars(words.kl, (t) => { player.pause(); player.go(t); });
  const again = fixed ? null : button(words.present, () => busy(element, take(true)));

  /** @param {number} t */
  function show(t) {
    if (!drawing) return;
    const { model } = drawing, { rows, columns } = model, { step, state } = drawing.frame(t);
    const x = /** @type {Float32Array} */ (drawing.plan.x), read = step.readWindows?.[0], write = step.writeWindows[0];
    pictures.x.show(x, rows, columns, [{ window: read, kind: "read" }]);
    pictures.x_hat.show(step.x_hat ?? x, rows, columns, [{ window: read, kind: "read" }], signed);
    const r = /** @type {Float32Array} */ (step.r), brightest = signedUpTo(r);
    cells(pictures.r, r.subarray(0, r.length / 2), model, "read_size", brightest);
    cells(second, r.subarray(r.length / 2), model, "read_size", brightest);
    square(pictures.h_enc, state.h_enc, signed);
    square(pictures.mu, /** @type {Float32Array} */ (step.mu), (v) => signed(v / 3));
    square(pictures.sigma, /** @type {Float32Array} */ (step.log_sigma).map(Math.exp), ink);
    square(pictures.z, step.z, (v) => signed(v / 3));
    square(pictures.h_dec, state.h_dec, signed);
    cells(pictures.w, step.patch, model, "write_size", signedUpTo(step.patch));
    pictures.c.show(drawing.image(t), rows, columns, [{ window: write, kind: "write" }]);
    const nats = step.kl?.[0] ?? 0;
    chart.mark(t, words.klAt(nats.toFixed(2), t + 1));
  }

  /** @param {boolean} play */
  async function take(play) {
    const model = await models.load(subject), shown = present();
    const x = shown && shown.pixels === model.pixels
      ? shown.image()
      : new Drawing(model, { noise: noise(1, model.glimpses, model.latent) }).last;
    const seed = shown?.seed ?? 1, label = shown?.label ?? null;
    drawing = new Drawing(model, { noise: noise(seed, model.glimpses, model.latent, 3), x, label });
    const made = drawing;
    player.load(made.length);
    player.go(0);
    await clock.do((function* run() {
      for (let t = 0; t < made.length; t++) { made.frame(t); yield; }
    })()).result;
    if (made !== drawing) return;
    chart.show(made.frames.map(({ step }) => step.kl?.[0] ?? 0));
    if (play) player.begin();
    else player.go(mostTold(made));
  }

  const element = section("steps", 3, words, flow, said, player.element, chart.element, again);
  return { element, start: () => take(false) };
}

/**
 * The step that tells most.
 * @param {Drawing} drawing
 */
function mostTold({ frames }) {
  const nats = frames.map(({ step }) => step.kl?.[0] ?? 0);
  return nats.indexOf(Math.max(...nats));
}

/**
 * What goes through a window, as a grid of numbers; without one the whole image does.
 * @param {Picture} picture
 * @param {Float32Array} values
 * @param {import("./model.js").Draw} model
 * @param {"read_size" | "write_size"} side
 * @param {import("./picture.js").Palette} palette
 */
function cells(picture, values, model, side, palette) {
  if (model.attends) showCells(picture, values, model.config[side], palette);
  else picture.show(values, model.rows, model.columns, [], palette);
}

/**
 * Numbers in rows of a square.
 * @param {Picture} picture
 * @param {Float32Array} values
 * @param {import("./picture.js").Palette} palette
 */
function square(picture, values, palette) {
  const side = Math.ceil(Math.sqrt(values.length)), rows = Math.ceil(values.length / side);
  const cells = new Float32Array(side * rows);
  cells.set(values);
  picture.show(cells, rows, side, [], palette);
}
