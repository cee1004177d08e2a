// A reminder to take a break: after so many minutes of work, counted here and told to nobody.

import { button, element, keep, kept, say } from "../common.js";

const KEY = "label-break";
const CHOICES = [0, 20, 30, 45, 60, 90]; // minutes; 0: never
const IDLE = 5; // minutes without a key or a click are a break themselves

/** A field to set it; reminders appear in `place`. */
export function reminder(place) {
  const wanted = () => Number(kept(KEY, "45"));
  let begun = performance.now();
  let last = begun;
  const again = () => {
    begun = last = performance.now();
    place.replaceChildren();
  };
  for (const event of ["keydown", "pointerdown"]) {
    document.addEventListener(event, () => {
      const now = performance.now();
      if (now - last > IDLE * 60000) begun = now;
      last = now;
    });
  }
  const look = () => {
    const minutes = (performance.now() - begun) / 60000;
    if (!wanted() || minutes < wanted() || (performance.now() - last) / 60000 > IDLE || place.childNodes.length) return;
    place.append(element("p", { className: "rest" }, say("label.rest.now", { minutes: Math.round(minutes) }), " ", button(say("label.rest.done"), again)));
  };
  setInterval(look, 1000);
  const select = element("select", { id: "break", on: { change: () => (keep(KEY, select.value), again()) } }, CHOICES.map((minutes) => element("option", { value: String(minutes), textContent: minutes ? say("time.minutes", { value: minutes }) : say("label.rest.never") })));
  select.value = String(wanted());
  return element("span", { className: "break" }, element("label", { htmlFor: "break", textContent: say("label.rest") }), select);
}
