/** Taking something on a picture with the mouse, a pen or a finger. */

/**
 * Listen for one pointer that takes something and moves it. A finger that takes nothing scrolls the
 * page, a second one while something is held does nothing.
 * @param {HTMLElement | SVGElement} element
 * @param {number} rows of the picture in the element
 * @param {number} columns
 * @param {{take: (x: number, y: number, finger: boolean) => boolean,
 *   move: (x: number, y: number) => void, drop: () => void}} calls
 *   with places in pixels of the picture from its upper left corner; `take` says whether there is
 *   something to hold, `drop` comes when it is let go
 */
export function drag(element, rows, columns, { take, move, drop }) {
  /** @type {number | null} */
  let pointer = null;
  /** @param {PointerEvent} event @returns {[number, number]} */
  const at = ({ clientX, clientY }) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return [((clientX - left) / width) * columns, ((clientY - top) / height) * rows];
  };
  /** @param {string} type @param {(event: any) => void} call */
  const on = (type, call) => element.addEventListener(type, call, { passive: false });
  on("pointerdown", (/** @type {PointerEvent} */ event) => {
    if (pointer !== null || event.button !== 0 || !take(...at(event), event.pointerType === "touch")) return;
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
  });
  // What is held is not scrolled: the browser asks here, after it has told of the pointer.
  on("touchstart", (/** @type {TouchEvent} */ event) => { if (pointer !== null) event.preventDefault(); });
  on("pointermove", (/** @type {PointerEvent} */ event) => { if (event.pointerId === pointer) move(...at(event)); });
  for (const end of ["pointerup", "pointercancel"])
    on(end, (/** @type {PointerEvent} */ event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      drop();
    });
}
