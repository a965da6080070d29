/** Three exercises for a class, with answers to open, and where to read on. */

import { el, rich } from "./dom.js";

/** @param {import("./page.js").Page} page */
export function exercises({ words: all }) {
  const words = all.exercises;
  const element = el(
    "section", { id: "exercises", "aria-labelledby": "exercises-title" },
    el("h2", { id: "exercises-title" }, words.title),
    el("ol", { class: "tasks" }, ...words.tasks.map(([task, answer]) =>
      el("li", {}, rich("p", task), el("details", {}, el("summary", {}, words.answer), rich("p", answer))))),
  );
  return { element, start: async () => {} };
}
