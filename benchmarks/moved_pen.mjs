/**
 * Does a network mend its drawing when a hand has moved its pen, where its encoder sees the damage?
 *
 *     node benchmarks/moved_pen.mjs            # half a minute
 *
 * The shipped mnist, 12 seeds: the write window is moved by 6 pixels across and 3 down for 8 steps, of
 * a new drawing and of the same digit drawn anew with its encoder. Printed: how much of the ink is
 * elsewhere at the end, in percent of the ink of the drawing that was left alone.
 */

import { readFileSync } from "node:fs";
import { Drawing } from "../src/draw/page/script/drawing.js";
import { Draw } from "../src/draw/page/script/model.js";
import { noise } from "../src/draw/page/script/random.js";
import { readSafetensors } from "../src/draw/page/script/weights.js";

const FOLDER = new URL("../src/draw/weights/mnist/", import.meta.url), HELD = 8;
const config = {
  ...JSON.parse(readFileSync(new URL("config.json", FOLDER))),
  prior: "standard", condition: "none", read_heads: 1, write_heads: 1,
};
const file = readFileSync(new URL("model.safetensors", FOLDER));
const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
const model = new Draw(config, readSafetensors(bytes));

const elsewhere = (own, t) => {
  const moved = (w) => ({ ...w, g_x: w.g_x + 6, g_y: w.g_y + 3 });
  const hand = (k) => (k >= t && k < t + HELD ? { window: moved } : {});
  const other = own.fork(t, { ...own.plan, hand }).last;
  const ink = own.last.reduce((sum, value) => sum + value, 0);
  return (100 * own.last.reduce((sum, value, k) => sum + Math.abs(value - other[k]), 0)) / ink;
};

for (const t of [2, 8, 16, 24, 40]) {
  const sums = [0, 0];
  for (let seed = 1; seed <= 12; seed++) {
    const blind = new Drawing(model, { noise: noise(seed, 64, 100) });
    const x = blind.last.map((value) => Number(value > 0.5));
    const looks = new Drawing(model, { noise: noise(seed, 64, 100, 5), x });
    sums[0] += elsewhere(blind, t) / 12;
    sums[1] += elsewhere(looks, t) / 12;
  }
  console.log(`from step ${t + 1}: ${sums.map((s) => s.toFixed(0)).join(" without, ")} with a picture`);
}
