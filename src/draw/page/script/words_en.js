/** All words of the page, in English. To translate, copy this file and name it in words.js. */

export const en = {
  language: "English",
  title: "A network that draws",
  lead:
    "DRAW is a neural network from 2015 that does not make a picture all at once. It looks through a small window, writes through another, and moves them step by step, as an eye and a pen do. Everything on this page is that network, running in your browser: nothing is sent anywhere.",
  skip: "To the first drawing",
  loading: "Loading the weights …",
  failed: "This part could not be loaded: ",
  footer:
    "From the paper [DRAW: A Recurrent Neural Network For Image Generation](https://arxiv.org/abs/1502.04623) by Karol Gregor, Ivo Danihelka, Alex Graves, Danilo Jimenez Rezende and Daan Wierstra. Equation numbers are the paper's. The code that trained these models, and this page, is the Python package *draw*; draw page writes this page anew.",
  models: {
    "mnist": "digits, 64 steps",
    "mnist-class": "digits by class",
    "mnist-no-attention": "digits, no attention",
    "two-digits": "two digits, 24 steps",
  },
  player: {
    play: "Play", pause: "Pause", back: "One step back", forward: "One step on", step: "Step of the drawing",
    speed: "Speed", of: (/** @type {number} */ t, /** @type {number} */ all) => `step ${t} of ${all}`,
  },
  watch: {
    title: "It draws before you click",
    text: [
      "No picture goes in. At every step the network is given a handful of random numbers, thinks, and adds a little to the canvas through its *pen window*, the red frame. A thick frame writes a broad, blurred stroke; a thin one a sharp line.",
      "Watch how it works: first a vague blot about where a digit might be, then strokes along its line, and at last corrections. Nobody taught it the order.",
    ],
    picture: "A digit being drawn, with the pen window in red",
    player: "The present drawing",
    earlier: "Other drawings: choose one to see it drawn",
    again: (/** @type {number} */ seed) => `Drawing of seed ${seed}: draw it again`,
    seed: "Seed", temperature: "Temperature", model: "Model", next: "Draw another", keep: "New ones as long as I look",
    digit: "Draw a", any: "any digit",
    temperatureSays: "At 0 it draws its most ordinary digit; above 1 it dares too much.",
  },
  hold: {
    title: "Take it in the hand",
    text: [
      "A window is a grid of N × N soft points, each a Gaussian. Five numbers place it: its centre, the distance between its points (the *stride* δ), their blur σ and their strength γ. All of them can be learned, because a small move changes what is seen only a little.",
      "Drag the *dot* to move the window, the *corner* to stretch it, and the *diamond* on its border to blur it. On the left is what it reads, on the right what it would write back.",
    ],
    read: "What it reads: N × N numbers", picture: "The image and the window", wrote: "What it writes back",
    label: "Window on the image. Drag its parts, or use the sliders below.",
    strips: "Each curve is one Gaussian of the grid: F_X below the image, F_Y beside it.",
    present: "Take the present drawing",
    names: { g_x: "centre across, g_X", g_y: "centre down, g_Y", delta: "stride δ", sigma: "blur σ", gamma: "strength γ", size: "points along a side, N" },
    equations: "The equations, with the present numbers",
  },
  steps: {
    title: "Step through it",
    text: [
      "Now it looks at a picture and draws it anew. One half of the network, the *encoder*, looks: at the picture x and at x̂, what is still missing from the canvas. It turns what it read into a short message z, with a spread σ: what it is unsure about, it leaves to chance.",
      "The other half, the *decoder*, sees only the message. It decides what to write, where to write, and where to look next. Hover over any box, or tab to it, to see what it is.",
    ],
    player: "The drawing, step by step", point: "Point at a box: it says what it is.",
    kl: "What each step tells, in nats (KL). Click a bar to go to its step.",
    klAt: (/** @type {string} */ nats, /** @type {number} */ t) => `step ${t} tells ${nats} nats`,
    present: "Take the present drawing",
    nodes: {
      x: ["x", "The picture to be drawn: numbers between 0 and 1.", "", "the picture"],
      x_hat: ["x̂_t", "The error image: what the canvas still lacks (orange) or has too much of (blue).", "(3)  x̂_t = x − σ(c_{t−1})", "what is missing"],
      r: ["r_t", "What is read through the green window: a patch of x and one of x̂.", "(4)  r_t = read(x, x̂_t, h^{dec}_{t−1})", "what is read"],
      h_enc: ["h^{enc}_t", "The encoder's memory of all it has read: 256 numbers between −1 and 1.", "(5)  h^{enc}_t = LSTM(h^{enc}_{t−1}, [r_t, h^{dec}_{t−1}])", "encoder"],
      mu: ["μ_t", "The middle of the message: 100 numbers. Where they are dark, there is nothing to tell.", "(1)  μ_t = W(h^{enc}_t)", "message: middle"],
      sigma: ["σ_t", "Its spread. White is 1, nothing but chance; dark is certain.", "(2)  σ_t = exp(W(h^{enc}_t))", "message: spread"],
      z: ["z_t", "The message itself: a sample around μ with the spread σ. It is all that the decoder gets.", "(6)  z_t ∼ N(μ_t, σ_t²)", "message"],
      h_dec: ["h^{dec}_t", "The decoder's memory. From it follow both windows and what is written.", "(7)  h^{dec}_t = LSTM(h^{dec}_{t−1}, z_t)", "decoder"],
      w: ["w_t", "The patch that is written through the red window: orange adds ink, blue takes it away.", "(28)  w_t = W(h^{dec}_t)", "what is written"],
      c: ["c_t", "The canvas after the step. The sum of all patches, squeezed between 0 and 1 by σ(·), is the picture.", "(8)  c_t = c_{t−1} + write(h^{dec}_t)", "canvas"],
    },
  },
};
