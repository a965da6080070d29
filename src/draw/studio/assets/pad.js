// A black page to draw on with white ink: mouse, finger or pen. Its value is a PNG as a data URL.
(() => {
  "use strict";
  const studio = (window.DrawStudio = window.DrawStudio || {});
  const SIDE = 280, UNDO = 30;

  studio.pad = (element, props, watch) => {
    const node = studio.node;
    const canvas = node("canvas", {
      width: SIDE, height: SIDE, tabindex: 0, role: "img",
      "aria-label": "Page to draw on with mouse or finger. With keys: arrows move the pen, space puts it down or lifts it.",
    });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const before = [];
    let drawing = false, sent = "", pen = { x: SIDE / 2, y: SIDE / 2, down: false };

    const blank = () => { context.fillStyle = "#000"; context.fillRect(0, 0, SIDE, SIDE); };
    const remember = () => {
      before.push(context.getImageData(0, 0, SIDE, SIDE));
      if (before.length > UNDO) before.shift();
    };
    const send = () => { sent = canvas.toDataURL("image/png"); props.value = sent; };
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
    };
    const stroke = (from, to) => {
      context.strokeStyle = "#fff";
      context.lineWidth = Number(width.value);
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    };
    const width = node("input", { type: "range", min: 6, max: 60, value: 22, step: 2, "aria-label": "Width of the pen" });
    let at = [0, 0];
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      remember();
      drawing = true;
      at = place(event);
      stroke(at, at);
      event.preventDefault();
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawing) return;
      for (const part of event.getCoalescedEvents?.() || [event]) {
        const next = place(part);
        stroke(at, next);
        at = next;
      }
    });
    const stop = () => { if (drawing) { drawing = false; send(); } };
    canvas.addEventListener("pointerup", stop);
    canvas.addEventListener("pointercancel", stop);
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
      if (event.key === " ") {
        pen.down = !pen.down;
        if (pen.down) { remember(); stroke([pen.x, pen.y], [pen.x, pen.y]); send(); }
      } else if (move) {
        const from = [pen.x, pen.y];
        pen.x = Math.min(Math.max(pen.x + move[0], 0), SIDE);
        pen.y = Math.min(Math.max(pen.y + move[1], 0), SIDE);
        if (pen.down) { stroke(from, [pen.x, pen.y]); send(); }
      } else return;
      event.preventDefault();
    });
    const undo = node("button", { type: "button", onclick: () => {
      const last = before.pop();
      if (last) { context.putImageData(last, 0, 0); send(); }
    } }, "Undo");
    const clear = node("button", { type: "button", onclick: () => { remember(); blank(); sent = ""; props.value = ""; } }, "Clear");
    blank();
    element.replaceChildren(node("div", { class: "ds-pad" }, canvas,
      node("div", { class: "ds-pad-tools" }, node("label", {}, "Pen ", width), undo, clear)));
    watch("value", () => { if (!props.value && sent) { blank(); sent = ""; } });
  };
})();
