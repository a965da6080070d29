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
  links: { documents: "Its documents", code: "Its code" },
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
  pad: {
    undo: "Undo", clear: "Clear", pen: "Width of the pen",
    keys: "With keys: arrows move the pen, space puts it down or lifts it.",
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
    same: "here: what was read",
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
  continue: {
    title: "Begin, and it goes on",
    text: [
      "Draw half a digit; the shaded half is yours to leave open. The network proposes what the rest may be, five times. It looks at a picture it has filled in itself, redraws it, looks again, and keeps what agrees best with your strokes. One beginning has many ends: that is what a *generative* model knows.",
      "Or choose the whole page and draw a digit. Then it reads (green), redraws (red), and you see what your digit costs in nats: how surprising it is to someone who expects handwritten digits. A digit of MNIST costs about 81.",
    ],
    pad: "Draw here. The dashed square is where MNIST's digits lie.", part: "What you draw", again: "Five others",
    present: "Take the present drawing",
    parts: { left: "the left half", top: "the upper half", right: "the right half", bottom: "the lower half", whole: "the whole digit" },
    answer: (/** @type {number} */ k) => `Answer ${k}`, empty: "The page is empty: draw something.",
    thinking: (/** @type {number} */ k, /** @type {number} */ all) => `Thinking of answer ${k} of ${all} …`,
    done: (/** @type {number} */ all) => `${all} ends of one beginning.`,
    read: "What it reads, in green", redrawn: "Drawn anew, in red",
    bound: (/** @type {string} */ all, /** @type {string} */ pixels, /** @type {string} */ codes) =>
      `At most ${all} nats: ${codes} for the messages (KL of all steps), ${pixels} for the pixels they leave open.`,
  },
  interfere: {
    title: "Interfere",
    text: [
      "Take the red window of the right drawing by its dot and put it elsewhere: for eight steps the pen stays away by as much. Or turn the message z of the present step into another one, from 0° (as it was) to 90° (quite another).",
      "When it draws from nothing, a moved pen changes nothing else: the decoder never sees its canvas and writes on as if nothing had happened. A changed message is remembered, and all that follows changes. Now let it *look at a picture*: the encoder sees what went wrong, and yet it hardly repairs it. While it learned nobody ever moved its pen, and what it has not met it has not learned to mend.",
    ],
    own: "Left alone", other: "With your hand in it", player: "Both drawings", turn: "Turn z of this step", move: ["Pen, to the right", "Pen, down"], forget: "Take my hand away",
    present: "Take the present drawing",
    kind: "It draws", kinds: { blind: "from nothing", looks: "with a picture to look at" },
    touch: "Drag the dot of the red window, or change z.",
    numbers: (/** @type {number} */ t, /** @type {number} */ from, /** @type {number} */ to, /** @type {number} */ all) =>
      `The message of step ${t}: numbers ${from} to ${to} of the ${all} of z, those first that the decoder hears most`,
    dozen: "Which numbers",
    apart: (/** @type {number} */ t, /** @type {string} */ share) => `Your hand came in at step ${t}. At the end ${share} % of the ink is elsewhere.`,
    path: "Between two digits: the path",
    stop: (/** @type {number} */ k, /** @type {number} */ all) => `Drawing ${k} of ${all} on the path`,
    ends: ["From seed", "To seed"],
  },
  compare: {
    title: "Why attention",
    text: [
      "The same random numbers go into two networks. The left one writes through its window, the right one changes the whole canvas at every step. Both draw digits, but the right one blurs everything and slowly sharpens it, while the left one follows the line. On test digits the left one needs 80.9 nats, the right one 85.4.",
      "Stop them after T steps: at 1 and 4 neither has a digit. What attention buys is the work in between, where each step has one small thing to do.",
    ],
    with: "With attention", without: "Without attention", player: "Both drawings", steps: "Stop after", next: "Another seed",
  },
  search: {
    title: "Looking for it",
    text: [
      "Another network, with eyes only. On a page of 100 × 100 it has eight glimpses of 12 × 12 numbers to find a digit among scraps of others and to name it. It begins with a wide, blurred glance, then goes where the digit may be.",
      "Drag the digit, or a scrap, and watch the eye hunt; on the right is what it believes after each glimpse. All digits here were drawn by the network above: it has never seen them before.",
    ],
    scene: "The page: drag the digit or a scrap", seen: "What the eye sees at this glimpse", player: "Its glimpses",
    place: ["Digit, across", "Digit, down"], clutter: "Scraps", next: "Another digit",
    says: (/** @type {number} */ digit, /** @type {string} */ sure) => `By now it says ${digit}, ${sure} % sure.`,
  },
  exercises: {
    title: "Three exercises for a class",
    answer: "One answer",
    tasks: [
      ["In [section 2](#hold) set N = 3 and make the window cover the whole digit. How large must the blur be so that no stroke falls between the points? Where in the picture is a number read?", "About half of the stride: then neighbouring Gaussians overlap. Each number is a mean of the pixels round one point, weighted by F_X and F_Y."],
      ["In [section 3](#steps) find the three steps that tell most. What do they have in common? Why are so many of the 100 numbers of μ dark?", "They begin a stroke: early ones say which digit and where, a later high bar is a turn that could have gone another way. A number that stays at μ = 0 and σ = 1 costs nothing, so the network uses only what it needs."],
      ["In [section 5](#interfere) move the pen of five drawings, first drawing from nothing, then with a picture to look at, and note how much ink is elsewhere. Does looking help? Why not more? How would you train a network that mends its drawing?", "It hardly helps. Only the encoder sees the canvas, and in training the canvas never held a stroke that the network had not meant. One could move the pen now and then while it learns."],
    ],
  },
};
