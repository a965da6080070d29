/** What the studio shows of a model: drawings side by side, one of them large with its numbers. */

import { bars } from "./bars.js";
import { classes } from "./classes.js";
import { button, el, figure } from "./dom.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Sent, Sheets } from "./sent.js";
import { WINDOWS } from "./windows.js";
import { en } from "./words_en.js";

/** @typedef {import("./sent.js").Show} Show */

const HOLD = 2000; // milliseconds before it is played again

/** @param {number} value */
const number = (value) => value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);

export class Stage {
  /**
   * @param {import("./clock.js").Clock} clock
   * @param {{chosen: (film: Sent, index: number) => void, step: (t: number | null) => void}} told
   *   which drawing is looked at, and at which step it rests before it is finished
   */
  constructor(clock, told) {
    this.clock = clock;
    this.told = told;
    this.element = el("div", {});
    this.sheets = new Sheets();
    this.version = 0;
    this.chosen = 0;
    this.windows = true;
    this.repeats = false;
    this.speed = 1;
    /** @type {Picture[]} */
    this.tiles = [];
    /** @type {Record<string, Picture>} */
    this.large = {};
    /** @type {Player | null} */
    this.player = null;
    this.grid = this.numbers = this.panes = this.extra = this.cost = el("div");
    /** @type {ReturnType<typeof bars> | null} */
    this.chart = null;
    /** @type {ReturnType<typeof classes> | null} */
    this.chances = null;
    /** @type {Sent[]} */
    this.films = [];
    /** @type {Show | null} */
    this.data = null;
    this.rest = 0;
    this.wait = (/** @type {number} */ time) => this.again(time);
  }

  /** Show what a server has sent; parts that come later join those that are there. @param {string} text */
  async show(text) {
    const version = ++this.version;
    if (!text) return this.clear();
    const data = /** @type {Show} */ (JSON.parse(text)), sheets = await this.sheets.load(data);
    if (version !== this.version) return;
    this.sheets.known = sheets;
    const more = this.data?.id === data.id;
    this.data = data;
    this.films = data.parts.flatMap((part) => Array.from({ length: part.count }, (_, row) => new Sent(data, part, row, sheets)));
    if (!more) this.build(data);
    this.fill(data);
    this.told.chosen(this.films[this.chosen], this.chosen);
    if (more && this.player) this.paint(this.player.at);
    else this.player?.begin();
  }

  /** Whether all has come. */
  get complete() {
    return this.data !== null && this.films.length >= this.data.total;
  }

  clear() {
    this.player?.pause();
    this.clock.stop(this.wait);
    this.data = null;
    this.element.replaceChildren();
  }

  /** Lay out what is shown of it. @param {Show} data */
  build(data) {
    const { kind, steps } = data, [film] = this.films, { part } = film;
    this.player?.pause();
    this.clock.stop(this.wait);
    this.chosen = 0;
    const glimpse = kind === "glimpses", noun = glimpse ? "glimpse" : "step";
    // After the last step a drawing is shown without its windows.
    const words = { ...en.player, of: (/** @type {number} */ t) => (t > steps ? "finished" : `${noun} ${t} of ${steps}`) };
    const player = (this.player = new Player(this.clock, words, {
      label: glimpse ? "The glimpses" : "The drawing, step by step", length: glimpse ? steps : steps + 1, speed: this.speed,
      show: (t) => this.paint(t), done: () => { this.rest = 0; if (this.repeats) this.clock.start(this.wait); },
    }));
    this.grid = el("div", { class: "grid", role: "group", "aria-label": "Drawings" });
    this.numbers = el("div", { class: "numbers" });
    this.panes = el("div", { class: "panes" });
    this.extra = el("div", { class: "extra" });
    /** @type {Record<string, Picture>} */
    const large = {}, panes = this.panes;
    this.large = large;
    this.tiles = [];
    const pane = (/** @type {string} */ name, /** @type {string} */ caption) => {
      large[name] = new Picture(caption);
      panes.append(figure(large[name].element, caption, { class: "pane", data: { pane: name } }));
    };
    if (kind === "reconstruction") pane("image", "The image, and where it reads");
    if (glimpse) pane("image", "The image, and where it looks");
    else pane("drawn", kind === "drawings" ? "Drawing 1" : "The canvas, and where it writes");
    if (kind === "reconstruction") pane("error", "Error: what still differs");
    if (part.patches) pane("patch", "What it sees there");
    this.chances = part.probabilities ? classes(data.names) : null;
    if (this.chances) this.extra.append(el("h3", {}, "What it thinks so far"), this.chances.element);
    this.cost = el("p", { class: "cost" });
    this.chart = part.kl ? bars(en.steps.kl, (t) => { player.pause(); player.go(t); }) : null;
    if (this.chart && part.kl) {
      this.chart.show(part.kl);
      this.extra.append(this.chart.element, this.cost);
    }
    const check = (/** @type {string} */ name, /** @type {boolean} */ value, /** @type {(on: boolean) => void} */ change) => {
      const box = el("input", { type: "checkbox", checked: value, on: { change: () => change(box.checked) } });
      return el("label", { class: "check" }, box, " ", name);
    };
    const { read, write } = part, key = (/** @type {string} */ of, /** @type {string} */ says) => el("span", { class: `key ${of}` }, says);
    this.element.replaceChildren(el(
      "div", { class: `stage-of ${kind}`, role: "group", "aria-label": "Player", on: { keydown: (/** @type {KeyboardEvent} */ e) => player.key(e) } },
      player.element,
      el("div", { class: "acts" }, kind === "drawings" ? this.grid : null,
        el("div", { class: "detail" }, this.panes, this.numbers, this.extra)),
      el("div", { class: "options" },
        read ? key("read", glimpse ? "where it looks" : "where it reads") : null,
        write ? key("write", "where it writes") : null,
        read || write ? el("span", {}, "thicker line: blurrier filters (σ)") : null,
        read || write ? check("Windows", this.windows, (on) => { this.windows = on; this.paint(player.at); }) : null,
        check("Repeat", this.repeats, (on) => { this.repeats = on; }))));
  }

  /** A tile for each drawing that has none. @param {Show} data */
  fill({ kind, captions, total }) {
    if (kind !== "drawings") return;
    for (let k = this.tiles.length; k < this.films.length; k++) {
      const picture = new Picture(`Drawing ${k + 1}`), caption = captions[k], says = `Drawing ${k + 1}${caption ? `, ${caption}` : ""}: show it large`;
      const tile = button("", () => { this.choose(k); }, { class: "tile", title: "Show it large with its numbers", "aria-label": says });
      tile.append(picture.element, ...(caption ? [el("span", {}, caption)] : []));
      this.grid.append(tile);
      this.tiles.push(picture);
    }
    const across = Math.ceil(Math.sqrt(Math.max(this.films.length, total)));
    this.grid.style.setProperty("--across", Math.max(2, Math.min(across, 8)));
  }

  /** @param {number} index */
  choose(index) {
    this.chosen = index;
    this.told.chosen(this.films[index], index);
    if (this.player) this.paint(this.player.at);
  }

  /** Play it again after a while. @param {number} time */
  again(time) {
    this.rest ||= time;
    const { player } = this;
    if (!player || !this.repeats || player.playing || player.at < player.length - 1) return this.clock.stop(this.wait);
    if (time - this.rest < HOLD) return undefined;
    this.clock.stop(this.wait);
    return player.play();
  }

  /** @param {number} at of the player, from 0 */
  paint(at) {
    const { data, films, large } = this, film = films[this.chosen];
    if (!data || !film || !this.player) return;
    this.speed = this.player.speed;
    const t = Math.min(at, data.steps - 1), done = at >= data.steps, shown = this.windows && !done;
    const outlines = (/** @type {Sent} */ of, /** @type {"read" | "write"} */ kind, ways = true) => (shown ? of.outlines(t, [kind], ways) : []);
    if (data.kind === "drawings") {
      this.tiles.forEach((tile, k) => {
        tile.show(films[k].image(t), data.rows, data.columns, outlines(films[k], "write", false));
        tile.element.parentElement.setAttribute("aria-pressed", String(k === this.chosen));
      });
      const caption = data.captions[this.chosen] || `Drawing ${this.chosen + 1}`;
      this.panes.querySelector("figcaption").textContent = caption;
      large.drawn.name(caption);
    }
    large.drawn?.show(film.image(t), data.rows, data.columns, outlines(film, "write"));
    large.image?.show(film.original, data.rows, data.columns, outlines(film, "read"));
    large.error?.show(film.error(t), data.rows, data.columns);
    const { size = 1 } = film.part;
    large.patch?.show(film.cut("patches", t, size, size), size, size);
    this.tell(film, t);
    this.told.step(this.player.playing || done ? null : t);
  }

  /**
   * The numbers of a step.
   * @param {Sent} film
   * @param {number} t from 0
   */
  tell({ part, row }, t) {
    const { kl, costs, probabilities } = part;
    this.numbers.replaceChildren(...(/** @type {const} */ (["read", "write"])).flatMap((which) => {
      const places = part[which];
      if (!places) return [];
      const centres = places.centres[row][t].map(([x, y]) => `${number(x)}, ${number(y)} px`).join("; ");
      const line = (/** @type {string} */ name, /** @type {string} */ symbol, /** @type {string} */ value, /** @type {string} */ hint) =>
        el("div", { title: hint }, el("dt", {}, name, " ", el("i", {}, symbol)), el("dd", {}, value));
      return [el(
        "dl", { class: `places ${which}`, "aria-label": `${which} window` },
        el("div", { class: "head" }, el("dt", {}, which === "read" ? "Reading window" : "Writing window"), el("dd", {}, which === "read" ? "green" : "red")),
        line("centre", "g", centres, "x and y in pixels, counted from 1 at the upper left"),
        ...Object.entries(places.numbers).filter(([name]) => !["g_x", "g_y"].includes(name)).map(([name, values]) => {
          const { word, symbol, hint, say } = WINDOWS[name] ?? { word: name, symbol: "", hint: name, say: String };
          return line(word, symbol, say([values[row][t]].flat(Infinity).map(number).join(", ")), hint);
        }),
      )];
    }));
    if (this.chart && kl && costs) {
      this.chart.mark(t, en.steps.klAt(number(kl[t]), t + 1));
      const told = kl.slice(0, t + 1).reduce((sum, nats) => sum + nats, 0);
      this.cost.replaceChildren(
        el("b", {}, costs[t].toFixed(1)), " to correct the picture + ",
        el("b", {}, told.toFixed(1)), " told so far = ", el("strong", {}, `${(costs[t] + told).toFixed(1)} nats`));
    }
    if (this.chances && probabilities) this.chances.show(probabilities[t], part.label ?? null);
  }
}
