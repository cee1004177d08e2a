// Answers dragged into an order, with a mouse, a pen or a finger: an extra beside keys and buttons. A strip shows the
// order; what is dropped on a group is tied with it, between two groups it gets a place of its own.

import { element, say } from "../common.js";

const NEAR = 90; // pixels around the strip in which a drop still counts: a finger covers what it points at
const BEGINS = 4; // pixels from which on a press is a drag

export class Strip {
  /**
   * @param order what is dragged about in
   * @param moved is called when it has changed
   */
  constructor(order, moved) {
    this.order = order;
    this.moved = moved;
    this.row = element("div", { className: "row" });
    // What it shows, the cards say in words, and what it does, keys and buttons do too.
    this.node = element("div", { className: "strip", ariaHidden: "true", title: say("label.drag.help") }, element("span", { className: "dim", textContent: say("label.drag") }), this.row);
    this.draw();
  }

  draw() {
    const { groups, count } = this.order;
    const placed = new Set(groups.flat());
    const left = Array.from({ length: count }, (_, answer) => answer).filter((answer) => !placed.has(answer));
    const gap = (place) => element("span", { className: "gap", data: { between: place } });
    const group = (answers, place) => element("span", { className: "group", data: { into: place } }, answers.map((answer) => this.chip(answer)));
    this.row.replaceChildren(
      element("span", { className: "left", data: { out: "" } }, left.map((answer) => this.chip(answer))),
      gap(0),
      ...groups.flatMap((answers, place) => [group(answers, place), gap(place + 1)]),
    );
    this.row.classList.toggle("empty", !groups.length);
  }

  chip(answer) {
    const made = element("span", { className: "chip", textContent: String(answer + 1), data: { answer } });
    this.grip(made, answer);
    return made;
  }

  /** Have an element drag an answer. */
  grip(handle, answer) {
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      event.preventDefault(); // no text is selected on the way
      new Drag(this, handle, answer, event);
    });
  }

  /** The place nearest to a point, if it is near enough. */
  target(x, y) {
    const away = (node) => {
      const { left, right, top, bottom } = node.getBoundingClientRect();
      return Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom));
    };
    const places = [...this.row.children].map((node) => [away(node), node]);
    const [distance, node] = places.reduce((best, each) => (each[0] < best[0] ? each : best));
    return distance <= NEAR ? node : null;
  }

  drop(answer, { between, into, out }) {
    if (out !== undefined) this.order.remove(answer);
    else if (into !== undefined) this.order.into(answer, Number(into));
    else this.order.between(answer, Number(between));
    this.moved();
  }
}

/** One way of an answer, from the press to the drop. */
class Drag {
  constructor(strip, handle, answer, { pointerId, clientX, clientY }) {
    Object.assign(this, { strip, handle, answer, pointerId, from: [clientX, clientY], ghost: null, over: null });
    this.listening = new AbortController();
    const { signal } = this.listening;
    handle.setPointerCapture(pointerId);
    handle.addEventListener("pointermove", (event) => this.move(event), { signal });
    handle.addEventListener("pointerup", () => this.end(true), { signal });
    handle.addEventListener("pointercancel", () => this.end(false), { signal });
    document.addEventListener("keydown", (event) => {
      event.preventDefault();
      event.stopPropagation(); // keys would change the order under the hand
      if (event.key === "Escape") this.end(false);
    }, { signal, capture: true });
  }

  move({ clientX, clientY }) {
    if (!this.ghost) {
      if (Math.hypot(clientX - this.from[0], clientY - this.from[1]) < BEGINS) return;
      this.ghost = element("span", { className: "chip ghost", ariaHidden: "true", textContent: String(this.answer + 1) });
      document.body.append(this.ghost);
      this.strip.node.classList.add("dragging");
    }
    this.ghost.style.translate = `${clientX}px ${clientY}px`;
    this.over?.classList.remove("over");
    this.over = this.strip.target(clientX, clientY);
    this.over?.classList.add("over");
  }

  end(isDropped) {
    this.listening.abort();
    if (this.handle.hasPointerCapture(this.pointerId)) this.handle.releasePointerCapture(this.pointerId);
    this.ghost?.remove();
    this.over?.classList.remove("over");
    this.strip.node.classList.remove("dragging");
    if (isDropped && this.over) this.strip.drop(this.answer, this.over.dataset);
  }
}
