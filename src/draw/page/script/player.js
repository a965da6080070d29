/** The one player of the page: play, step, back, a slider, and the keyboard. */

import { button, el, newId } from "./dom.js";

/** @typedef {Record<string, any>} Words */

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const SECONDS = 3; // that a drawing takes at speed 1

export class Player {
  /**
   * @param {import("./clock.js").Clock} clock
   * @param {Words} words the player's own
   * @param {{label: string, length: number, speed?: number, show: (t: number) => void, done?: () => void}} what
   *   `show` is called with the step, from 0; `done` when playing has come to the end
   */
  constructor(clock, words, { label, length, speed: first = 1, show, done }) {
    this.clock = clock;
    this.words = words;
    this.length = length;
    this.show = show;
    this.done = done;
    this.at = 0;
    this.speed = first;
    this.last = 0;
    this.tick = (/** @type {number} */ time) => this.advance(time);
    const id = newId();
    this.toggle = button("", () => (this.playing ? this.pause() : this.play()), { class: "play" });
    this.range = el("input", {
      type: "range", id, min: 1, max: length, step: 1, value: 1, "aria-label": words.step,
      on: { input: () => { this.pause(); this.go(Number(this.range.value) - 1); } },
    });
    this.said = el("output", { for: id, class: "said" });
    const speeds = el(
      "select", { "aria-label": words.speed, on: { change: () => (this.speed = Number(speeds.value)) } },
      ...SPEEDS.map((speed) => el("option", { value: speed, selected: speed === first }, `${speed}×`)),
    );
    const move = (/** @type {number} */ by) => () => { this.pause(); this.go(this.at + by); };
    this.element = el(
      "div", { class: "player", role: "group", "aria-label": label, on: { keydown: (/** @type {KeyboardEvent} */ e) => this.key(e) } },
      button("‹", move(-1), { "aria-label": words.back, title: words.back }),
      this.toggle,
      button("›", move(1), { "aria-label": words.forward, title: words.forward }),
      this.range, this.said, speeds,
    );
    this.sayPlaying();
  }

  get playing() {
    return this.clock.ticking.has(this.tick);
  }

  /** Begin anew with something of another length. @param {number} length */
  load(length) {
    this.length = length;
    this.range.max = String(length);
  }

  /** Show a step. @param {number} t from 0 */
  go(t) {
    this.at = Math.min(Math.max(t, 0), this.length - 1);
    this.range.value = String(this.at + 1);
    const said = this.words.of(this.at + 1, this.length);
    this.said.textContent = said;
    this.range.setAttribute("aria-valuetext", said);
    this.show(this.at);
  }

  play() {
    if (this.at >= this.length - 1) this.go(0);
    this.last = 0;
    this.clock.start(this.tick);
    this.sayPlaying();
  }

  /** Play from here to the end; where less motion is asked for, be there at once. */
  finish() {
    if (!this.clock.still) return this.play();
    this.go(this.length - 1);
    return this.done?.();
  }

  pause() {
    this.clock.stop(this.tick);
    this.sayPlaying();
  }

  /** Play from the beginning; where less motion is asked for, show the end. */
  begin() {
    this.go(this.clock.still ? this.length - 1 : 0);
    if (!this.clock.still) this.play();
  }

  sayPlaying() {
    const says = this.playing ? this.words.pause : this.words.play;
    this.toggle.textContent = this.playing ? "❚❚" : "▶";
    this.toggle.setAttribute("aria-label", says);
    this.toggle.title = says;
  }

  /** @param {number} time */
  advance(time) {
    const wait = (1000 * SECONDS) / (this.speed * this.length);
    if (!this.last) this.last = time;
    const steps = Math.floor((time - this.last) / wait);
    if (!steps) return;
    this.last = Math.max(this.last + steps * wait, time - wait);
    this.go(this.at + Math.min(steps, 4));
    if (this.at < this.length - 1) return;
    this.pause();
    this.done?.();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.defaultPrevented || target.tagName === "SELECT" || target.tagName === "INPUT") return;
    const to = { ArrowLeft: this.at - 1, ArrowRight: this.at + 1, Home: 0, End: this.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.pause();
    this.go(to);
  }
}
