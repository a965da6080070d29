/** The whole page: its sections in order, in the language of the visitor. */

import { Clock } from "./clock.js";
import { compare } from "./compare.js";
import { continuation } from "./continue.js";
import { busy, el, rich } from "./dom.js";
import { exercises } from "./exercises.js";
import { hold } from "./hold.js";
import { interfere } from "./interfere.js";
import { Models } from "./models.js";
import { search } from "./search.js";
import { State } from "./state.js";
import { steps } from "./steps.js";
import { watch } from "./watch.js";
import { WORDS } from "./words.js";

/** @typedef {import("./drawing.js").Drawing} Drawing */
/**
 * The drawing that the sections speak of: its image, the class that was told, and, where another than this page has drawn
 * it, how.
 * @typedef {{pixels: number, image: () => Float32Array, seed: number, label?: number | null, plan?: import("./drawing.js").Plan}} Present
 */
/**
 * What the sections share: the last drawing of section 1 is `present` to the others, which explain
 * the model `subject`, whose images are of `size`; `fixed` where no other drawing can come to be present.
 * @typedef {{words: typeof WORDS.en, state: State, models: {load: (name: string) => Promise<any>, has: (name: string) => boolean},
 *   clock: Clock, subject: string, fixed?: boolean, size: {rows: number, columns: number}, present: () => Present | null}} Page
 */

const SECTIONS = [hold, steps, continuation, interfere, compare, search, exercises];

const state = new State(), models = new Models(), clock = new Clock();

function build() {
  clock.ticking.clear();
  clock.queue = [];
  const language = state.get("lang") in WORDS ? state.get("lang") : "en", words = WORDS[language];
  /** @type {{drawing: Drawing, seed: number} | null} */
  let drawn = null;
  const page = {
    words, state, models, clock, subject: "mnist", size: { rows: 28, columns: 28 },
    present: () => drawn && present(drawn.drawing, drawn.seed),
  };
  document.documentElement.lang = language;
  document.title = `DRAW: ${words.title}`;
  const first = watch({ ...page, models }, (drawing, seed) => { drawn = { drawing, seed }; }), rest = SECTIONS.flatMap((make) => make(page) ?? []);
  const languages = el("nav", { class: "languages", "aria-label": "Language" }, ...Object.entries(WORDS).map(([code, one]) =>
    el("button", {
      type: "button", lang: code, "aria-pressed": String(code === language),
      on: { click: () => { state.set({ lang: code }); state.write(); build(); } },
    }, one.language)));
  document.body.replaceChildren(...document.querySelectorAll("body > script"));
  document.body.prepend(
    el("a", { class: "skip", href: "#watch-seed" }, words.skip),
    el("header", {}, el("div", { class: "top" }, el("h1", {}, words.title), languages), rich("p", words.lead, { class: "lead" })),
    el("main", {}, first.element, ...rest.map(({ element }) => element)),
    el("footer", {}, rich("p", words.footer), links(words)),
  );
  // A section begins when it comes near, and only after the first drawing has.
  const failed = (/** @type {HTMLElement} */ element) => (/** @type {Error} */ error) =>
    element.append(el("p", { class: "failed", role: "alert" }, `${words.failed}${error.message}`));
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const found = rest.find(({ element }) => element === target);
      if (!isIntersecting || !found) continue;
      near.unobserve(target);
      busy(found.element, first.ready.then(() => found.start())).catch(failed(found.element));
    }
  }, { rootMargin: "400px" });
  busy(first.element, first.ready).catch(failed(first.element));
  for (const { element } of rest) near.observe(element);
}

/**
 * Links to what this page was written with, where it was told where that is.
 * @param {typeof WORDS.en} words
 */
function links({ links: words }) {
  const found = Object.entries(words).flatMap(([name, text]) => {
    const link = /** @type {HTMLLinkElement | null} */ (document.querySelector(`head > link[data-link="${name}"]`));
    return link ? [el("li", {}, el("a", { href: link.href }, text))] : [];
  });
  return found.length ? el("ul", { class: "links" }, ...found) : null;
}

// A link within the page leads to its section and leaves what the address says of the view.
addEventListener("click", (event) => {
  const link = /** @type {HTMLElement} */ (event.target).closest("a"), place = link?.getAttribute("href") ?? "";
  const there = /^#./.test(place) && document.getElementById(place.slice(1));
  if (!there) return;
  event.preventDefault();
  there.scrollIntoView();
  if (there.tabIndex < 0) there.tabIndex = -1;
  there.focus({ preventScroll: true });
});
// Another link to this page, opened where it is open already.
addEventListener("hashchange", () => { if (state.read()) build(); });

/**
 * @param {Drawing} drawing
 * @param {number} seed
 * @returns {Present}
 */
const present = (drawing, seed) => ({ pixels: drawing.model.pixels, image: () => drawing.last, seed });

build();
