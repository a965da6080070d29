/** How the numbers of windows are called, the paper's and others; those of other names by their names. */

/** @type {Record<string, {word: string, symbol: string, hint: string, say: (value: string) => string}>} */
export const WINDOWS = {
  delta: { word: "stride", symbol: "δ", say: (value) => `${value} px`, hint: "pixels from one filter to the next: large is a wide view" },
  sigma: { word: "blur", symbol: "σ", say: (value) => `${value} px`, hint: "width of each filter in pixels" },
  angle: { word: "turned", symbol: "θ", say: (value) => `${value} rad`, hint: "radians from x to y" },
  width: { word: "width", symbol: "", say: (value) => `${value} px`, hint: "of the window in pixels" },
  height: { word: "height", symbol: "", say: (value) => `${value} px`, hint: "of the window in pixels" },
  shear: { word: "shear", symbol: "k", say: (value) => value, hint: "how far the window leans" },
  gamma: { word: "intensity", symbol: "γ", say: (value) => `× ${value}`, hint: "a factor on what goes through the window" },
};
