/** What happens frame by frame, and work that takes several frames: one loop for all of it. */

const BUDGET = 9; // milliseconds of a frame for work: the rest is the browser's, at 60 a second

export class Clock {
  constructor() {
    /** @type {Set<(time: number) => void>} */
    this.ticking = new Set();
    /** @type {{work: Generator<any, any, void>, done: (result: any) => void}[]} */
    this.queue = [];
    this.running = false;
    /** Whether something is held: then frames are for the hand alone. */
    this.held = false;
    const hold = (/** @type {boolean} */ held) => () => { this.held = held; };
    addEventListener("pointerdown", hold(true), true);
    for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, hold(false), true);
    this.motion = matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Whether less motion is asked for. */
  get still() {
    return this.motion.matches;
  }

  /** Call a function at every frame, until it is stopped. @param {(time: number) => void} call */
  start(call) {
    this.ticking.add(call);
    this.wake();
  }

  /** @param {(time: number) => void} call */
  stop(call) {
    this.ticking.delete(call);
  }

  /**
   * Do work a few milliseconds a frame.
   * @template T
   * @param {Generator<any, T, void>} work
   * @returns {{result: Promise<T>, cancel: () => void}}
   */
  do(work) {
    /** @type {any} */
    let job;
    const result = new Promise((done) => {
      job = { work, done };
      this.queue.push(job);
    });
    this.wake();
    return { result, cancel: () => { this.queue = this.queue.filter((other) => other !== job); } };
  }

  wake() {
    if (this.running) return;
    this.running = true;
    requestAnimationFrame((time) => this.tick(time));
  }

  /** @param {number} time */
  tick(time) {
    for (const call of [...this.ticking]) call(time);
    const until = performance.now() + BUDGET;
    while (!this.held && this.queue.length && performance.now() < until) {
      // In turns, so that short work does not wait for long work.
      const job = /** @type {any} */ (this.queue.shift()), next = job.work.next();
      if (next.done) job.done(next.value);
      else this.queue.push(job);
    }
    this.running = this.ticking.size > 0 || this.queue.length > 0;
    if (this.running) requestAnimationFrame((later) => this.tick(later));
  }
}
