/** The parts of the page that the studio is made of, as `gr.HTML` asks for them. */

import { Clock } from "./clock.js";
import { el } from "./dom.js";
import { insight } from "./insight.js";
import { pad } from "./pad.js";
import { Stage } from "./stage.js";
import { State } from "./state.js";
import { en } from "./words_en.js";

/** @typedef {{value: any}} Props */
/** @typedef {(name: string, call: () => void) => void} Watch */

const SHEET = 140; // pixels along a side of the page to draw on
const PAUSE = 300; // milliseconds without a change before the server is asked
/** What the address has; those that are as here are the studio's own. */
const FIRST = {
  tab: "", model: "", number: "", seed: "", temperature: "", label: "each in turn", guidance: "", drawing: "", step: "",
  window: "", size: "12",
};
const clock = new Clock(), state = new State(FIRST);
/** How an answer is asked of the server, and whether it is seen. @typedef {{visible: boolean, waits: boolean, ask: () => void}} Asker */
/** @type {Map<string, Asker>} */
const askers = new Map();
/** @type {Map<string, ReturnType<typeof setTimeout>>} */
const timers = new Map();
/** The last question for each answer. @type {Map<string, string>} */
const questions = new Map();
let begun = false;
/** The drawing that was looked at last. @type {{film: import("./sent.js").Sent, index: number} | null} */
let looked = null;
/** @type {CSSStyleSheet | undefined} */
let style;

/**
 * Put a part in an element of the studio, with the page's styles round it and none of Gradio's.
 * @param {HTMLElement} element
 * @param {HTMLElement} part
 */
function mount(element, part) {
  if (!style) {
    style = new CSSStyleSheet();
    style.replaceSync(document.getElementById("ds-parts-style")?.textContent ?? "");
  }
  const host = el("div", {}), root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [style];
  root.append(part);
  element.replaceChildren(host);
}

/**
 * Plays what the server sends. The first player of the studio begins where a link says.
 * @param {HTMLElement} element
 * @param {Props} props
 * @param {Watch} watch
 * @param {(event: string) => void} trigger asks the server to draw: "submit"
 */
function player(element, props, watch, trigger) {
  const first = element.closest("#generate-player") !== null;
  let linked = first && (state.get("step") !== "" || state.get("drawing") !== "");
  const stage = new Stage(clock, {
    chosen: (film, index) => {
      looked = { film, index };
      if (first && !linked) state.set({ drawing: index + 1 });
    },
    step: (t) => { if (first && !linked) state.set({ step: t === null ? "" : t + 1 }); },
  });
  mount(element, stage.element);
  live(element, trigger, !first);
  const show = async () => {
    await stage.show(props.value);
    if (!linked || !stage.complete) return;
    const drawing = state.whole("drawing", 1, stage.films.length, 1), step = state.whole("step", 1, Infinity, 0);
    linked = false;
    stage.choose(drawing - 1);
    if (!step) return;
    stage.player?.pause();
    stage.player?.go(step - 1);
  };
  const shown = () => show().catch((error) => console.error(error));
  watch("value", shown);
  shown();
}

/**
 * Let an element ask the server for its answer, whenever `ask` says so.
 * @param {HTMLElement} element
 * @param {(event: string) => void} trigger asks the server: "submit"
 * @param {boolean} waits whether it asks when it is first seen
 */
function live(element, trigger, waits = true) {
  const asker = { visible: false, waits, ask: () => trigger("submit") };
  askers.set(element.closest("[id]:not([id^=html-])")?.id ?? "", asker);
  // Far away is visible too; only what is in another tab is not.
  new IntersectionObserver(([{ isIntersecting }]) => {
    asker.visible = isIntersecting;
    if (isIntersecting && asker.waits) attend(asker);
  }, { rootMargin: "100000px" }).observe(element);
}

/** Ask for an answer, now or when it is seen and the studio has begun. @param {Asker} asker */
function attend(asker) {
  asker.waits = !(asker.visible && begun);
  if (!asker.waits) asker.ask();
}

/**
 * The same, once nothing has been changed for a moment.
 * @param {string} name of the element that shows the answer
 * @param {string} [question] what is asked, which is not asked twice in a row
 */
function ask(name, question) {
  if (question !== undefined && questions.get(name) === question) return;
  if (question !== undefined) questions.set(name, question);
  clearTimeout(timers.get(name));
  timers.set(name, setTimeout(() => {
    const asker = askers.get(name);
    if (asker) attend(asker);
  }, PAUSE));
}

/**
 * Keep what has been chosen in the address.
 * @param {Record<string, string | number | null>} values
 */
function remember(values) {
  if (!begun) return;
  state.set(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value ?? ""])));
}

/** Draw, now that the fields have what a link says: what they had before is not asked for. @param {string} name of the first player */
function begin(name) {
  begun = true;
  for (const [each, { waits }] of askers) if (each === name || waits) ask(each);
}

/**
 * The page's explanation of the model that is its value.
 * @param {HTMLElement} element
 * @param {Props} props
 * @param {Watch} watch
 */
function explanation(element, props, watch) {
  const made = insight({ state, clock, looked: () => looked });
  mount(element, made.element);
  let seen = false;
  const explain = () => seen && made.explain(props.value);
  new IntersectionObserver(([{ isIntersecting }]) => { seen = isIntersecting; explain(); }).observe(element);
  watch("value", explain);
}

/**
 * A page to draw on; its value is a PNG as a data address, empty if nothing was drawn.
 * @param {HTMLElement} element
 * @param {Props} props
 */
function sheet(element, props) {
  const made = pad("A page to draw on.", en.pad, () => { props.value = made.empty ? "" : made.address; }, {
    side: SHEET, pens: true, guide: false,
  });
  mount(element, made.element);
}

Object.assign(/** @type {any} */ (window).DrawStudio ??= {}, { node: el, player, live, pad: sheet, explanation, ask, remember, begin });
