/** Section 1: digits appear stroke by stroke, new ones as long as somebody looks. */

import { Drawing } from "./drawing.js";
import { button, choice, el, figure, rich, section, slider } from "./dom.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { noise } from "./random.js";

const REST = 1100; // milliseconds between two drawings
const EARLIER = 12; // drawings kept in sight

/**
 * @param {import("./page.js").Page & {models: import("./models.js").Models}} page
 * @param {(drawing: Drawing, seed: number) => void} present told what is drawn
 */
export function watch({ words: all, state, models, clock }, present) {
  const words = all.watch;
  let seed = state.number("seed", 0, 2 ** 31, 1), temperature = state.number("temperature", 0, 1.5, 1);
  let model = /** @type {any} */ (null), drawing = /** @type {Drawing | null} */ (null);
  let keep = !clock.still, rest = 0, seen = true;
  const told = models.drawing.find(({ config }) => config.condition === "class")?.name;
  const name = () => (models.has(state.get("model")) ? state.get("model") : "mnist");
  /** The class that a drawing is told: the one asked for, or each in turn. @param {number} of its seed */
  const label = (of) => {
    if (model.config.condition !== "class") return null;
    return state.number("label", 0, model.config.classes - 1, of % model.config.classes);
  };

  const picture = new Picture(words.picture, "large");
  const earlier = el("div", { class: "earlier", role: "group", "aria-label": words.earlier });
  const player = new Player(clock, all.player, {
    label: words.player, length: 64, show, done: () => { remember(); later(); },
  });

  /** @param {number} t */
  function show(t) {
    if (!drawing) return;
    picture.frame(drawing, t);
    state.set({ step: player.playing ? "" : t + 1 });
  }

  /** @param {number} [step] from 0, to begin there and wait */
  function begin(step) {
    const rows = noise(seed, model.glimpses, model.latent);
    drawing = new Drawing(model, { noise: rows, temperature, label: label(seed) });
    present(drawing, seed);
    state.set({ seed });
    fields.seed.value = String(seed);
    player.load(drawing.length);
    if (step === undefined) return player.begin();
    player.pause();
    return player.go(step);
  }

  /**
   * Show a finished drawing among the others.
   * @param {Drawing | null} made
   * @param {number} of its seed
   */
  function remember(made = drawing, of = seed) {
    if (!made || earlier.querySelector(`[data-seed="${of}"]`)) return;
    const small = new Picture("");
    small.element.setAttribute("aria-hidden", "true");
    small.element.removeAttribute("role");
    const again = button("", () => { seed = of; begin(); }, { "aria-label": words.again(of), data: { seed: of } });
    again.append(small.element);
    earlier.prepend(again);
    small.show(made.last, model.rows, model.columns);
    while (earlier.childElementCount > EARLIER) earlier.lastChild?.remove();
  }

  /** Make the drawings of the seeds before, between frames, so that there is something to choose. */
  function* recall() {
    const own = model;
    for (let back = EARLIER - 1; back > 0 && own === model; back--) {
      const of = seed + 2 ** 31 - back, rows = noise(of % 2 ** 31, model.glimpses, model.latent);
      const made = new Drawing(model, { noise: rows, temperature, label: label(of % 2 ** 31) });
      for (let t = 0; t < made.length && own === model; t++) { made.frame(t); yield; }
      if (own === model) remember(made, of % 2 ** 31);
    }
  }

  /** Wait for the next drawing; while nobody looks, for somebody. */
  function later() {
    rest = 0;
    if (seen) clock.start(wait);
  }

  /** @param {number} time */
  function wait(time) {
    rest ||= time;
    if (!seen || !keep || player.playing || player.at < player.length - 1) return clock.stop(wait);
    if (time - rest < REST || document.hidden) return undefined;
    clock.stop(wait);
    return next();
  }

  function next() {
    seed = (seed + 1) % 2 ** 31;
    begin();
    if (clock.still) remember();
  }

  async function change() {
    model = await models.load(name());
    kind.select.value = name();
    earlier.replaceChildren();
  }

  /**
   * Draw a digit that is asked for: by the model that is told one.
   * @param {string} digit
   */
  async function ask(digit) {
    const other = digit !== "" && model.config.condition !== "class";
    state.set({ label: digit, ...(other ? { model: told ?? name() } : {}) });
    if (other) await change();
    begin();
    if (other) clock.do(recall());
  }

  const fields = {
    seed: el("input", {
      type: "number", min: 0, max: 2 ** 31, value: seed, id: "watch-seed",
      on: { change: () => { seed = Math.floor(Math.abs(Number(fields.seed.value))) || 0; begin(); } },
    }),
    digits: choice(
      words.digit, [["", words.any], ...Array.from("0123456789", (d) => /** @type {[string, string]} */ ([d, d]))],
      state.get("label"), ask,
    ).element,
  };
  const warmth = slider(
    words.temperature, { min: 0, max: 1.5, step: 0.05, value: temperature, say: (v) => v.toFixed(2) },
    (value) => { temperature = value; state.set({ temperature }); begin(); },
  );
  const choices = models.drawing.map(
    (entry) => /** @type {[string, string]} */ ([entry.name, /** @type {any} */ (all.models)[entry.name] ?? entry.name]),
  );
  const kind = choice(words.model, choices, name(), async (value) => {
    state.set({ model: value });
    await change();
    begin();
    clock.do(recall());
  });
  const going = el("input", { type: "checkbox", id: "watch-keep", checked: keep, on: { change: () => {
    keep = going.checked;
    if (keep && !player.playing) next();
  } } });
  const ready = change().then(() => {
    const step = state.number("step", 1, model.glimpses, 0);
    begin(step ? step - 1 : undefined);
    clock.do(recall());
    if (step || clock.still) remember();
  });
  const stage = el("div", { class: "stage" }, figure(picture.element, words.player, { class: "bare" }), player.element);
  new IntersectionObserver(([{ isIntersecting }]) => {
    seen = isIntersecting;
    if (!player.playing) later();
  }).observe(stage);
  const element = section(
    "watch", 1, { ...words, text: [] },
    el("div", { class: "hero" },
      stage,
      el("div", { class: "side" },
        el("div", { class: "words" }, ...words.text.map((paragraph) => rich("p", paragraph))),
        el("p", { class: "label" }, words.earlier), earlier,
        el("div", { class: "controls" },
          el("div", { class: "field" }, el("label", { for: "watch-seed" }, words.seed), fields.seed),
          kind.element, told ? fields.digits : null, warmth.element,
          el("p", { class: "hint" }, words.temperatureSays),
          button(words.next, next, { class: "primary" }),
          el("label", { class: "check" }, going, " ", words.keep)))),
  );
  return { element, ready };
}
