/** The N Gaussians of one side of a window as curves, along the image. */

import { el } from "./dom.js";

export class Strip {
  /**
   * @param {"across" | "down"} way
   * @param {string} label
   */
  constructor(way, label) {
    this.way = way;
    this.element = el("canvas", { class: `strip ${way}`, role: "img", "aria-label": label });
    /** @type {(() => void) | null} */
    this.again = null;
    new ResizeObserver(() => this.again?.()).observe(this.element);
  }

  /**
   * @param {number[]} centres of the filters in pixels counted from 1
   * @param {number} sigma
   * @param {number} length pixels of the image along the strip
   */
  show(centres, sigma, length) {
    this.again = () => this.paint(centres, sigma, length);
    this.again();
  }

  /**
   * @param {number[]} centres
   * @param {number} sigma
   * @param {number} length
   */
  paint(centres, sigma, length) {
    const { element, way } = this, scale = Math.min(window.devicePixelRatio || 1, 2);
    const wide = Math.round(element.clientWidth * scale), high = Math.round(element.clientHeight * scale);
    if (!wide || !high) return;
    if (element.width !== wide || element.height !== high) [element.width, element.height] = [wide, high];
    const context = /** @type {CanvasRenderingContext2D} */ (element.getContext("2d"));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, wide, high);
    const [long, short] = way === "across" ? [wide, high] : [high, wide];
    // A strip that goes down is one that goes across, mirrored: its curves stand to the right.
    if (way === "down") context.setTransform(0, 1, 1, 0, 0, 0);
    const unit = long / length, peak = Math.min(1, 0.9 / Math.max(sigma, 0.35)) * short * 0.92;
    centres.forEach((centre, i) => {
      const hue = 205 + (110 * i) / Math.max(centres.length - 1, 1);
      context.beginPath();
      for (let p = 0; p <= long; p += Math.max(scale, long / 300)) {
        const distance = (p / unit + 0.5 - centre) / sigma;
        const height = peak * Math.exp((-distance * distance) / 2);
        if (p) context.lineTo(p, height + 1);
        else context.moveTo(p, height + 1);
      }
      context.strokeStyle = `hsl(${hue} 75% 58%)`;
      context.lineWidth = 1.4 * scale;
      context.stroke();
      context.fillStyle = `hsl(${hue} 75% 58% / 0.12)`;
      context.lineTo(long, 0);
      context.lineTo(0, 0);
      context.fill();
    });
  }
}
