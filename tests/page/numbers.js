/** Reads a model and its noise from files, computes as the page does, and prints the numbers. */
import { readFileSync } from "node:fs";
import { readSafetensors } from "../../src/draw/page/script/weights.js";
import { Classifier, Draw } from "../../src/draw/page/script/model.js";
import { Drawing } from "../../src/draw/page/script/drawing.js";
import { complete } from "../../src/draw/page/script/completion.js";
import { polygonOf } from "../../src/draw/page/script/picture.js";

const [, , folder] = process.argv;
const { config, noise, images, label, known, completion, guidance } = JSON.parse(readFileSync(`${folder}/case.json`));
const file = readFileSync(`${folder}/weights.safetensors`);
const tensors = readSafetensors(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
const list = (values) => Array.from(values ?? []);

const framed = (window) => window && { ...window, ...polygonOf(window) };

const x = Float32Array.from(images ?? []);
const said = {};
if (config.kind === "classifier") {
  said.looks = new Classifier(config, tensors).look(x).map(({ window, patch, probabilities }) => (
    { window: framed(window), patch: list(patch), probabilities: list(probabilities) }));
} else {
  const model = new Draw(config, tensors);
  const run = (advance) => {
    let state = model.start(), step;
    const steps = [];
    for (const row of noise) {
      [state, step] = advance(Float32Array.from(row), state);
      const writeWindow = framed(step.writeWindows[0]), readWindow = framed(step.readWindows?.[0]);
      steps.push({
        canvas: list(state.canvas), writeWindow, readWindow, z: list(step.z), kl: list(step.kl),
        r: list(step.r),
      });
    }
    return { steps, loss: list(model.reconstructionLoss(state.canvas, x)) };
  };
  said.generation = run((row, state) => model.generateStep(row, state, label));
  if (model.encodes) said.reconstruction = run((row, state) => model.step(x, row, state, label));
  if (guidance !== undefined) {
    const plan = { noise: noise.map((row) => Float32Array.from(row)), label, guidance };
    const whole = new Drawing(model, plan), half = whole.fork(Math.floor(noise.length / 2), plan);
    said.guided = [whole, half].map((drawing) => noise.map((_, t) => list(drawing.canvas(t))));
  }
  if (known) {
    const { particles, passes } = completion;
    const noiseOf = (sample) => passes[sample].map((row) => Float32Array.from(row));
    const made = complete(
      model, x, Uint8Array.from(known), particles, passes.length - 2, noiseOf,
    );
    let next = made.next();
    while (!next.done) next = made.next();
    said.completion = { images: list(next.value.images), logWeights: list(next.value.logWeights) };
  }
}
process.stdout.write(JSON.stringify(said));
