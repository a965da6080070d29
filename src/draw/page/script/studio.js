/** The parts of the page that the studio is made of, as `gr.HTML` asks for them. */

import { Clock } from "./clock.js";
import { el } from "./dom.js";
import { pad } from "./pad.js";
import { Stage } from "./stage.js";
import { en } from "./words_en.js";

/** @typedef {{value: any}} Props */
/** @typedef {(name: string, call: () => void) => void} Watch */

const SHEET = 140; // pixels along a side of the page to draw on
const clock = new Clock();
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
 * Plays what the server sends.
 * @param {HTMLElement} element
 * @param {Props} props
 * @param {Watch} watch
 */
function player(element, props, watch) {
  const stage = new Stage(clock);
  mount(element, stage.element);
  const show = () => stage.show(props.value).catch((error) => console.error(error));
  watch("value", show);
  show();
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

Object.assign(/** @type {any} */ (window).DrawStudio ??= {}, { node: el, player, pad: sheet });
