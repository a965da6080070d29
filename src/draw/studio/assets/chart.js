// Curves of runs: small charts side by side, drawn as SVG in the colours of the page.
(() => {
  "use strict";
  const studio = (window.DrawStudio = window.DrawStudio || {});
  const NS = "http://www.w3.org/2000/svg";
  const WIDTH = 360, HEIGHT = 210, LEFT = 46, RIGHT = 10, TOP = 10, BOTTOM = 34;

  const svg = (tag, attributes = {}, text) => {
    const made = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    return `${+value.toPrecision(4)}`;
  };
  const ticks = (low, high, count) => {
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(value);
    return found;
  };

  const panel = (data) => {
    const node = studio.node;
    const lines = data.lines;
    const bars = lines.some((line) => line.kind === "bars");
    const most = Math.max(1, ...lines.flatMap((line) => line.x));
    const [low, high] = data.limits, space = 0.06 * (high - low) || 1;
    const bottom = bars ? 0 : low - space, top = high + space;
    const x0 = bars ? 0.4 : 0, x1 = bars ? most + 0.6 : most;
    const x = (value) => LEFT + (value - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM);
    const last = lines.filter((line) => !["training", "bars", "outline"].includes(line.kind))
      .map((line) => `${line.run}, ${line.kind}: ${short(line.y.at(-1))} ${data.unit}`).join("; ");
    const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${data.title}. ${last || data.note || ""}` });
    for (const value of ticks(bottom, top, 4)) {
      chart.append(svg("line", { class: "ds-rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
      chart.append(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
    }
    for (const value of ticks(bars ? 1 : x0, bars ? most : x1, 4)) {
      if (bars && value !== Math.round(value)) continue;
      chart.append(svg("text", { x: x(value), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, short(value)));
    }
    chart.append(svg("text", { class: "ds-across", x: WIDTH - RIGHT, y: HEIGHT - 3, "text-anchor": "end" }, data.across));
    const clip = `ds-clip-${Math.random().toString(36).slice(2)}`;
    const path = svg("clipPath", { id: clip });
    path.append(svg("rect", { x: LEFT, y: TOP - 6, width: WIDTH - LEFT - RIGHT + 8, height: HEIGHT - TOP - BOTTOM + 8 }));
    const inner = svg("g", { "clip-path": `url(#${clip})` });
    chart.append(path, inner);
    const groups = new Set(lines.map((line) => line.colour)).size;
    for (const line of lines) {
      const colour = `ds-run-${line.colour}`;
      if (line.kind === "bars") {
        const wide = 0.8 * (x(1) - x(0)) / groups;
        line.x.forEach((at, k) => {
          const bar = svg("rect", {
            class: `ds-bar-of ${colour}`, x: x(at) - wide * groups / 2 + wide * line.colour, width: Math.max(wide - 0.5, 0.8),
            y: y(line.y[k]), height: Math.max(0, y(0) - y(line.y[k])),
          });
          bar.append(svg("title", {}, `${line.run}, ${data.across} ${at}: ${short(line.y[k])} ${data.unit}`));
          inner.append(bar);
        });
        continue;
      }
      if (line.kind === "outline") {  // one step a bar, over those of the same run
        const wide = 0.8 * (x(1) - x(0)) / groups;
        line.x.forEach((at, k) => {
          const left = x(at) - wide * groups / 2 + wide * line.colour;
          const step = svg("path", {
            class: `ds-outline ${colour}`, d: `M${left} ${y(0)}V${y(line.y[k])}H${left + wide}V${y(0)}`,
          });
          const bar = lines.find((one) => one.kind === "bars" && one.run === line.run);
          const more = `${short(line.y[k] - bar.y[k])} ${data.unit} above the bar`;
          step.append(svg("title", {}, `${line.run}, ${data.across} ${at}: ${short(line.y[k])} ${data.unit}, ${more}`));
          inner.append(step);
        });
        continue;
      }
      if (line.kind !== "test") {
        inner.append(svg("polyline", {
          class: `ds-line ds-${line.kind} ${colour}`,
          points: line.x.map((at, k) => `${x(at).toFixed(1)},${y(line.y[k]).toFixed(1)}`).join(" "),
        }));
      }
      if (line.kind === "training") continue;
      line.x.forEach((at, k) => {
        const dot = svg("circle", { class: `ds-dot ds-${line.kind} ${colour}`, cx: x(at), cy: y(line.y[k]), r: line.kind === "test" ? 5 : 3.2 });
        dot.append(svg("title", {}, `${line.run}, ${line.kind}, ${short(at)} images: ${short(line.y[k])} ${data.unit}`));
        inner.append(dot);
      });
    }
    const now = lines.filter((line) => line.kind === "validation" || line.kind === "test").map((line) =>
      node("span", { class: `ds-now-of ds-text-${line.colour}` }, `${line.kind} ${short(line.y.at(-1))} ${data.unit}`));
    const empty = lines.length ? null : node("p", { class: "ds-none" }, "nothing measured yet");
    return node("figure", { class: "ds-chart" },
      node("figcaption", {}, node("b", {}, data.title), node("span", {}, data.unit)), empty || chart,
      node("div", { class: "ds-nows" }, ...now), data.note ? node("p", { class: "ds-chart-note" }, data.note) : "");
  };

  studio.chart = (element, props, watch) => {
    const show = () => {
      const node = studio.node;
      if (!props.value) return element.replaceChildren();
      const data = JSON.parse(props.value);
      const keys = data.runs.map((run, k) => node("span", { class: `ds-text-${k}` }, node("i", { class: `ds-swatch-${k}` }), run));
      element.replaceChildren(node("div", { class: "ds-charts" },
        keys.length ? node("p", { class: "ds-charts-key" }, ...keys,
          node("span", { class: "ds-key-words" }, "thin: training; dots: validation; ring: test")) : "",
        node("div", { class: "ds-panels" }, ...data.panels.map(panel))));
    };
    watch("value", show);
    show();
  };
})();
