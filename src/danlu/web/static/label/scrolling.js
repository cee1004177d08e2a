// Long answers side by side: of one height, and scrolled in step, so that what is compared stands beside each other.

import { keep, kept } from "../common.js";

const KEY = "label-in-step";

export class InStep {
  /** @param boxes hold the answers; @param grid they lie in it. */
  constructor(boxes, grid) {
    this.boxes = boxes;
    this.grid = grid;
    this.led = new Set(); // boxes that are about to tell of a scrolling that was ours
    for (const box of boxes) box.addEventListener("scroll", () => this.follow(box));
    this.turn(kept(KEY, "off") === "on");
  }

  turn(isOn) {
    this.isOn = isOn;
    keep(KEY, isOn ? "on" : "off");
    this.grid.dataset.step = isOn ? "on" : "off"; // the layout is a class of its own
    for (const box of this.boxes) {
      box.tabIndex = isOn ? 0 : -1;
      if (!isOn) box.removeAttribute("tabindex");
    }
  }

  /** Bring the others as far as one is: the same share of the way, for they are of different lengths. */
  follow(box) {
    if (!this.isOn || this.led.delete(box)) return;
    const way = (each) => each.scrollHeight - each.clientHeight;
    const share = way(box) > 0 ? box.scrollTop / way(box) : 0;
    for (const other of this.boxes) {
      if (other === box) continue;
      const before = other.scrollTop;
      other.scrollTop = Math.round(share * way(other));
      if (other.scrollTop !== before) this.led.add(other);
    }
  }

  /** Scroll all by so many lines. */
  by(lines) {
    if (this.isOn) this.boxes.reduce((a, b) => (b.scrollHeight > a.scrollHeight ? b : a)).scrollBy(0, lines * 24);
  }
}
