// Plays drawings in the browser: one sheet of pictures a part, a row an image, a column a step.
// Whatever it shows came at once, so that play, slider and speed ask the server nothing.
(() => {
  "use strict";
  const studio = (window.DrawStudio = window.DrawStudio || {});
  const WRITE = "rgb(255, 70, 40)", READ = "rgb(0, 200, 150)";
  const TILE = 168, LARGE = 560, HOLD = 2000;
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  studio.node = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") made.className = value;
      else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child != null));
    return made;
  };
  const node = studio.node;

  const picture = (url) => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = url;
  });

  const number = (value) =>
    Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);

  const nats = (value) => value.toFixed(1);

  // How a window's numbers are told; others than these are told by their names.
  const CENTRE = ["g_x", "g_y"];
  const NUMBERS = {
    delta: { word: "stride", symbol: "δ", say: (value) => `${value} px`, hint: "pixels from one filter to the next: large is a wide view" },
    sigma: { word: "blur", symbol: "σ", say: (value) => `${value} px`, hint: "width of each filter in pixels" },
    angle: { word: "turned", symbol: "θ", say: (value) => `${value} rad`, hint: "radians from x to y" },
    width: { word: "width", symbol: "", say: (value) => `${value} px`, hint: "of the window in pixels" },
    height: { word: "height", symbol: "", say: (value) => `${value} px`, hint: "of the window in pixels" },
    shear: { word: "shear", symbol: "k", say: (value) => value, hint: "how far the window leans" },
    gamma: { word: "intensity", symbol: "γ", say: (value) => `× ${value}`, hint: "a factor on what goes through the window" },
  };

  class Player {
    constructor(element) {
      this.element = element;
      this.sheets = new Map();
      this.position = 1;
      this.speed = 1;
      this.windows = true;
      this.looping = false;
      this.chosen = 0;
      this.playing = false;
      this.version = 0;
    }

    async show(text) {
      const version = ++this.version;
      if (!text) return this.clear();
      const data = JSON.parse(text);
      const urls = data.parts.flatMap((part) => [part.sheet, part.originals, part.patches]).filter(Boolean);
      const known = new Map();
      for (const url of urls) known.set(url, this.sheets.get(url) || await picture(url));
      if (version !== this.version) return;
      this.sheets = known;
      const more = this.data && this.data.id === data.id;
      const before = more ? this.count : 0;
      this.data = data;
      this.count = data.parts.reduce((sum, part) => sum + part.count, 0);
      if (!more) {
        this.chosen = 0;
        this.build();
        this.position = calm() ? this.end : 1;
      }
      this.tiles(before);
      this.paint();
      if (more) return;
      if (this.element.getBoundingClientRect().top > innerHeight * 0.7) {
        this.element.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
      }
      if (!calm()) this.play();
    }

    clear() {
      this.pause();
      this.data = null;
      this.element.replaceChildren();
    }

    get end() { return this.data.steps + (this.data.kind === "glimpses" ? 0 : 1); }

    part(index) {
      for (const part of this.data.parts) {
        if (index < part.count) return [part, index];
        index -= part.count;
      }
      throw new Error("no such image");
    }

    build() {
      const { kind, steps } = this.data;
      const single = kind !== "drawings";
      this.grid = node("div", { class: "ds-grid", role: "group", "aria-label": "Drawings" });
      this.panes = node("div", { class: "ds-panes" });
      this.numbers = node("div", { class: "ds-numbers" });
      this.extra = node("div", { class: "ds-extra" });
      this.detail = node("div", { class: "ds-detail" }, this.panes, this.numbers, this.extra);
      this.button = node("button", { class: "ds-play", type: "button", onclick: () => this.toggle() });
      this.range = node("input", {
        type: "range", min: 1, max: this.end, step: 1, "aria-label": "Step of the drawing",
        oninput: () => { const wanted = Number(this.range.value); this.pause(); this.go(wanted); },
      });
      this.said = node("output", { class: "ds-said" });
      const speed = node("select", { "aria-label": "Speed", onchange: () => { this.speed = Number(speed.value); } });
      for (const rate of [0.25, 0.5, 1, 2, 4]) {
        speed.append(node("option", { value: rate, selected: rate === this.speed }, `${rate}×`));
      }
      const check = (words, value, change) => {
        const box = node("input", { type: "checkbox", onchange: () => change(box.checked) });
        box.checked = value;
        return node("label", { class: "ds-check" }, box, words);
      };
      const bar = node("div", { class: "ds-bar" },
        this.button, this.range, this.said,
        node("label", { class: "ds-speed" }, "Speed ", speed),
        this.hasWindows() ? check("Windows", this.windows, (on) => { this.windows = on; this.paint(); }) : null,
        check("Repeat", this.looping, (on) => { this.looping = on; }));
      const body = node("div", {
        class: `ds-player ds-${kind}`, tabindex: 0, role: "group",
        "aria-label": "Player. Space plays and pauses, arrow keys go from step to step.",
        onkeydown: (event) => this.key(event),
      }, bar, node("div", { class: "ds-stage" }, single ? null : this.grid, this.detail), this.legend());
      this.element.replaceChildren(body);
      this.range.style.setProperty("--steps", steps);
      this.buildPanes();
    }

    hasWindows() { return this.data.parts.some((part) => part.write || part.read); }

    legend() {
      const [part] = this.data.parts;
      const key = (colour, words) => node("span", { class: `ds-key ds-key-${colour}` }, words);
      const keys = [];
      if (part.read) keys.push(key("read", this.data.kind === "glimpses" ? "where it looks" : "where it reads"));
      if (part.write) keys.push(key("write", "where it writes"));
      if (keys.length) keys.push(node("span", { class: "ds-key-words" }, "thicker line: blurrier filters (σ)"));
      return node("div", { class: "ds-legend" }, ...keys);
    }

    canvas(target, columns, rows, label) {
      const scale = Math.max(1, Math.ceil(target / Math.max(rows, columns)));
      const made = node("canvas", { width: columns * scale, height: rows * scale, role: "img", "aria-label": label });
      made.scale = scale;
      return made;
    }

    tiles(from) {
      const { rows, columns, kind } = this.data;
      if (kind !== "drawings") return;
      for (let i = from; i < this.count; i++) {
        const canvas = this.canvas(TILE, columns, rows, `Drawing ${i + 1}`);
        const caption = this.data.captions?.[i];
        this.grid.append(node("button", {
          class: "ds-tile", type: "button", title: "Show it large with its numbers",
          "aria-label": `Drawing ${i + 1}${caption ? `, ${caption}` : ""}: show it large`,
          "aria-pressed": "false",
          onclick: () => { this.chosen = i; this.paint(); },
        }, canvas, caption ? node("span", {}, caption) : null));
      }
      const whole = Math.max(this.count, this.data.total || 0);
      this.grid.style.setProperty("--across", Math.max(2, Math.min(Math.ceil(Math.sqrt(whole)), 8)));
    }

    buildPanes() {
      const { kind, rows, columns } = this.data;
      const pane = (name, words, width = columns, height = rows) => {
        const canvas = this.canvas(LARGE, width, height, words);
        this.panes.append(node("figure", { class: `ds-pane ds-pane-${name}` }, canvas, node("figcaption", {}, words)));
        return canvas;
      };
      this.large = {};
      const [part] = this.data.parts;
      if (kind === "reconstruction") this.large.image = pane("image", "The image, and where it reads");
      if (kind === "glimpses") this.large.image = pane("image", "The image, and where it looks");
      if (kind !== "glimpses") {
        this.large.drawn = pane("drawn", kind === "drawings" ? "Drawing 1" : "The canvas, and where it writes");
      }
      if (kind === "reconstruction") this.large.error = pane("error", "Error: what still differs");
      if (part.patches) this.large.patch = pane("patch", "What it sees there", part.size, part.size);
      if (kind === "glimpses") this.buildClasses();
      if (part.kl) this.buildBars(part);
    }

    buildClasses() {
      const [part] = this.data.parts;
      this.classes = part.probabilities[0].map((_, k) => {
        const fill = node("i"), share = node("b");
        const row = node("div", { class: "ds-class" }, node("span", {}, this.data.names[k]), node("div", {}, fill), share);
        return { row, fill, share };
      });
      this.extra.append(node("h3", {}, "What it thinks so far"),
        node("div", { class: "ds-classes", role: "group", "aria-label": "Probability of each class" },
          ...this.classes.map((one) => one.row)));
    }

    buildBars(part) {
      const most = Math.max(...part.kl, 1e-6);
      this.bars = part.kl.map((kl, t) => node("button", {
        type: "button", class: "ds-kl", tabindex: -1, "aria-label": `Step ${t + 1}: ${number(kl)} nats`,
        title: `step ${t + 1}: ${number(kl)} nats`, onclick: () => { this.pause(); this.go(t + 1); },
      }, node("i", { style: `height: ${Math.max(1, 100 * kl / most)}%` })));
      this.cost = node("p", { class: "ds-cost" });
      this.extra.append(
        node("h3", {}, "What each step tells (KL, nats)"),
        node("div", { class: "ds-kls", role: "group", "aria-label": "KL of each step in nats" }, ...this.bars),
        this.cost);
    }

    key(event) {
      const tag = event.target.tagName;
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === " " && !["BUTTON", "SELECT"].includes(tag) && event.target.type !== "checkbox") this.toggle();
      else if (step && tag !== "SELECT" && event.target.type !== "range") { this.pause(); this.go(this.position + step); }
      else if (event.key === "Home" && event.target.type !== "range") { this.pause(); this.go(1); }
      else if (event.key === "End" && event.target.type !== "range") { this.pause(); this.go(this.end); }
      else return;
      event.preventDefault();
    }

    go(position) {
      this.position = Math.min(Math.max(position, 1), this.end);
      this.paint();
    }

    toggle() { this.playing ? this.pause() : this.play(); }

    play() {
      if (!this.data) return;
      if (this.position >= this.end) this.position = 1;
      this.playing = true;
      this.last = performance.now();
      this.paint();
      const tick = (now) => {
        if (!this.playing || !this.element.isConnected) { this.playing = false; return; }
        const rate = Math.min(Math.max(this.data.steps / 5, this.data.kind === "glimpses" ? 1.2 : 4), 12) * this.speed;
        const wait = this.position >= this.end ? HOLD : 1000 / rate;
        if (now - this.last >= wait) {
          this.last = now;
          if (this.position < this.end) this.go(this.position + 1);
          else if (this.looping) this.go(1);
          if (this.position >= this.end && !this.looping) return this.pause();
        }
        requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    }

    pause() {
      this.playing = false;
      if (this.data) this.paint();
    }

    paint() {
      if (!this.data || !this.button) return;
      const { steps, kind } = this.data;
      const done = this.position > steps, t = Math.min(this.position, steps) - 1;
      this.button.textContent = this.playing ? "❚❚" : "►";
      this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
      this.range.value = this.position;
      const words = done ? "finished" : `${kind === "glimpses" ? "glimpse" : "step"} ${t + 1} of ${steps}`;
      this.range.setAttribute("aria-valuetext", words);
      this.said.textContent = words;
      const windows = this.windows && !done;
      if (kind === "drawings") {
        [...this.grid.children].forEach((tile, i) => {
          this.draw(tile.firstChild, i, t, "sheet", windows ? ["write"] : [], false);
          tile.setAttribute("aria-pressed", String(i === this.chosen));
        });
        const words = this.data.captions?.[this.chosen] || `Drawing ${this.chosen + 1}`;
        this.panes.querySelector(".ds-pane-drawn figcaption").textContent = words;
        this.large.drawn.setAttribute("aria-label", words);
      }
      if (this.large.drawn) this.draw(this.large.drawn, this.chosen, t, "sheet", windows ? ["write"] : [], true);
      if (this.large.image) this.draw(this.large.image, this.chosen, 0, "originals", windows ? ["read"] : [], true, t);
      if (this.large.patch) this.draw(this.large.patch, this.chosen, t, "patches", [], false);
      if (this.large.error) this.drawError(t);
      this.tell(t, done);
    }

    draw(canvas, index, t, sheet, windows, path, at = t) {
      const [part, row] = this.part(index);
      const { width, height } = canvas, context = canvas.getContext("2d");
      const columns = width / canvas.scale, rows = height / canvas.scale;
      context.imageSmoothingEnabled = false;
      context.drawImage(this.sheets.get(part[sheet]), t * columns, row * rows, columns, rows, 0, 0, width, height);
      for (const which of windows) {
        const window = part[which];
        if (!window) continue;
        const colour = which === "read" ? READ : WRITE;
        if (path) this.drawPath(context, window.centres[row], at, canvas.scale, colour);
        const outline = window.outlines[row][at];
        if (!outline) continue;
        context.strokeStyle = colour;
        for (const [index, corners] of outline.frames.entries()) {
          context.lineWidth = Math.max(outline.lines[index] * canvas.scale, width / 110);
          context.beginPath();
          for (const [k, [x, y]] of corners.entries()) {
            context[k ? "lineTo" : "moveTo"](x * canvas.scale, y * canvas.scale);
          }
          context.closePath();
          context.stroke();
        }
      }
    }

    drawPath(context, centres, at, scale, colour) {
      context.save();
      context.globalAlpha = 0.55;
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 1.5;
      for (let window = 0; window < centres[0].length; window++) {
        const place = (k) => centres[k][window].map((value) => (value - 0.5) * scale);
        context.beginPath();
        for (let k = 0; k <= at; k++) context.lineTo(...place(k));
        context.stroke();
        for (let k = 0; k <= at; k++) {
          context.beginPath();
          context.arc(...place(k), 3, 0, 7);
          context.fill();
        }
      }
      context.restore();
    }

    drawError(t) {
      const { rows, columns } = this.data;
      const [part, row] = this.part(this.chosen);
      const small = node("canvas", { width: columns, height: rows });
      const context = small.getContext("2d", { willReadFrequently: true });
      const pixels = (sheet, column) => {
        context.drawImage(this.sheets.get(sheet), column * columns, row * rows, columns, rows, 0, 0, columns, rows);
        return context.getImageData(0, 0, columns, rows);
      };
      const wanted = pixels(part.originals, 0), drawn = pixels(part.sheet, t);
      for (let k = 0; k < drawn.data.length; k++) {
        drawn.data[k] = k % 4 === 3 ? 255 : Math.abs(drawn.data[k] - wanted.data[k]);
      }
      context.putImageData(drawn, 0, 0);
      const to = this.large.error.getContext("2d");
      to.imageSmoothingEnabled = false;
      to.drawImage(small, 0, 0, this.large.error.width, this.large.error.height);
    }

    tell(t, done) {
      const [part, row] = this.part(this.chosen);
      const tables = [["read", part.read], ["write", part.write]].filter(([, window]) => window);
      this.numbers.replaceChildren(...tables.map(([which, window]) => {
        const centres = window.centres[row][t].map(([x, y]) => `${number(x)}, ${number(y)} px`);
        const line = (name, symbol, value, hint) =>
          node("div", { title: hint }, node("dt", {}, name, node("i", {}, symbol)), node("dd", {}, value));
        return node("dl", { class: `ds-window ds-window-${which}`, "aria-label": `${which} window` },
          node("div", { class: "ds-head" }, node("dt", {}, which === "read" ? "Reading window" : "Writing window"), node("dd", {}, which === "read" ? "green" : "red")),
          line("centre", "g", centres.join("; "), "x and y in pixels, counted from 1 at the upper left"),
          ...Object.keys(window.numbers).filter((name) => !CENTRE.includes(name)).map((name) => {
            const { word, symbol, hint, say } = NUMBERS[name] || { word: name, symbol: "", hint: name };
            const value = [window.numbers[name][row][t]].flat(Infinity).map(number).join(", ");
            return line(word, symbol, say ? say(value) : value, hint);
          }));
      }));
      if (part.kl) {
        this.bars.forEach((bar, k) => bar.classList.toggle("ds-now", k === t && !done));
        const told = part.kl.slice(0, t + 1).reduce((sum, kl) => sum + kl, 0);
        this.cost.replaceChildren(
          node("span", {}, node("b", {}, nats(part.costs[t])), " to correct the picture"), " + ",
          node("span", {}, node("b", {}, nats(told)), " told so far"), " = ",
          node("strong", {}, `${nats(part.costs[t] + told)} nats`));
      }
      if (part.probabilities) {
        const now = part.probabilities[t], best = now.indexOf(Math.max(...now));
        this.classes.forEach((one, k) => {
          one.fill.style.width = `${100 * now[k]}%`;
          one.share.textContent = `${Math.round(100 * now[k])} %`;
          one.row.className = "ds-class" + (k === best ? (part.label == null || part.label === k ? " ds-right" : " ds-wrong") : "");
        });
      }
    }
  }

  studio.player = (element, props, watch) => {
    const player = new Player(element);
    element.player = player;
    const show = () => player.show(props.value).catch((error) => console.error(error));
    watch("value", show);
    show();
  };
})();
