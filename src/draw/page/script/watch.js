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
  let seed = state.whole("seed", 0, 2 ** 31, 1), temperature = state.number("temperature", 0, 1.5, 1);
  let model = /** @type {any} */ (null), drawing = /** @type {Drawing | null} */ (null);
  let drawn = ""; // name of the present model
  let keep = !clock.still, rest = 0, seen = true;
  /** @type {{cancel: () => void} | null} */
  let recalling = null;
  const told = models.drawing.find(({ config }) => config.condition === "class")?.name;
  const name = () => (models.has(state.get("model")) ? state.get("model") : "mnist");
  /**
   * A drawing by the present model.
   * @param {number} of its seed
   * @param {number} heat its temperature
   * @param {string} digit class that is asked for; none where each is drawn in turn
   */
  function make(of, heat, digit) {
    const { condition, classes } = model.config;
    const label = condition === "class" ? (digit === "" ? of : Number(digit)) % classes : null;
    return new Drawing(model, { noise: noise(of, model.glimpses, model.latent), temperature: heat, label });
  }

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

  /** The digit that is asked for; none where each is drawn in turn. */
  const asked = () => (state.whole("label", 0, 9, -1) < 0 ? "" : state.get("label"));

  /** @param {number} [step] from 0, to begin there and wait */
  function begin(step) {
    if (!model) return undefined; // it comes, and begins with what is asked for by then
    drawing = make(seed, temperature, asked());
    present(drawing, seed);
    state.set({ seed });
    number.value = String(seed);
    player.load(drawing.length);
    if (step === undefined) return player.begin();
    player.pause();
    return player.go(step);
  }

  /**
   * Show a finished drawing among the others, the latest first; to choose it draws the very same.
   * @param {Drawing | null} made
   * @param {number} of its seed
   * @param {string} digit that was asked for
   * @param {(one: HTMLElement) => void} put
   */
  function remember(made = drawing, of = seed, digit = asked(), put = (one) => earlier.prepend(one)) {
    if (!made) return;
    const heat = made.plan.temperature ?? 1, key = [of, heat, digit].join(" ");
    if (earlier.querySelector(`[data-drawing="${key}"]`)) return;
    const small = new Picture("");
    small.element.setAttribute("aria-hidden", "true");
    small.element.removeAttribute("role");
    const again = button("", () => {
      [seed, temperature] = [of, heat];
      state.set({ temperature, label: digit });
      warmth.set(heat);
      digits.select.value = digit;
      begin();
    }, { "aria-label": words.again(of), data: { drawing: key } });
    again.append(small.element);
    put(again);
    small.show(made.last, made.rows, made.columns);
    while (earlier.childElementCount > EARLIER) earlier.lastChild?.remove();
  }

  /** Make the drawings of the seeds before, between frames, so that there is something to choose. */
  function recall() {
    const last = seed, heat = temperature, digit = asked();
    recalling?.cancel();
    recalling = clock.do((function* run() {
      for (let back = 1; back < EARLIER && earlier.childElementCount < EARLIER; back++) {
        const of = (last + 2 ** 31 - back) % 2 ** 31, made = make(of, heat, digit);
        for (let t = 0; t < made.length; t++) { made.frame(t); yield; }
        remember(made, of, digit, (one) => earlier.append(one));
      }
    })());
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

  /**
   * Draw by the model that is chosen, once it is there.
   * @param {number} [step] from 0, to begin there and wait
   */
  async function change(step) {
    const wanted = name(), found = await models.load(wanted);
    if (wanted !== name()) return; // another one has been chosen meanwhile
    model = found;
    drawn = kind.select.value = wanted;
    trouble.replaceChildren();
    if (model.config.condition !== "class") state.set({ label: (digits.select.value = "") });
    earlier.replaceChildren();
    begin(step);
    if (step !== undefined || clock.still) remember();
    recall();
  }

  /** The same for a visitor, who is told what could not be loaded; the present model draws on. */
  async function choose() {
    const wanted = name();
    try {
      await change();
    } catch (error) {
      if (wanted !== name()) return;
      state.set({ model: (kind.select.value = drawn) });
      if (model?.config.condition !== "class") state.set({ label: (digits.select.value = "") });
      trouble.replaceChildren(el("p", { class: "failed" }, `${all.failed}${/** @type {Error} */ (error).message}`));
    }
  }

  /**
   * Draw a digit that is asked for: by the model that is told one.
   * @param {string} digit
   */
  function ask(digit) {
    const other = digit !== "" && told !== undefined && told !== name();
    state.set({ label: digit, ...(other ? { model: told } : null) });
    return other ? choose() : begin();
  }

  const number = el("input", {
    type: "number", min: 0, max: 2 ** 31, value: seed, id: "watch-seed",
    on: { change: () => { seed = Math.floor(Math.abs(Number(number.value))) || 0; begin(); } },
  });
  const digits = choice(
    words.digit, [["", words.any], ...Array.from("0123456789", (d) => /** @type {[string, string]} */ ([d, d]))],
    asked(), ask,
  );
  const warmth = slider(
    words.temperature, { min: 0, max: 1.5, step: 0.05, value: temperature, say: (v) => v.toFixed(2) },
    (value) => { temperature = value; state.set({ temperature }); begin(); },
  );
  const choices = models.drawing.map(
    (entry) => /** @type {[string, string]} */ ([entry.name, /** @type {any} */ (all.models)[entry.name] ?? entry.name]),
  );
  const kind = choice(words.model, choices, name(), (value) => {
    state.set({ model: value });
    choose();
  });
  const going = el("input", { type: "checkbox", id: "watch-keep", checked: keep, on: { change: () => {
    keep = going.checked;
    if (keep && !player.playing) next();
  } } });
  const trouble = el("div", { role: "alert" });
  const step = state.whole("step", 1, Infinity, 0), ready = change(step ? step - 1 : undefined);
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
          el("div", { class: "field" }, el("label", { for: "watch-seed" }, words.seed), number),
          kind.element, trouble, told ? digits.element : null, warmth.element,
          el("p", { class: "hint" }, words.temperatureSays),
          button(words.next, next, { class: "primary" }),
          el("label", { class: "check" }, going, " ", words.keep)))),
  );
  return { element, ready };
}
