// The keyboard of the annotation page. Keys are dead where text is written, and while an input method composes.

import { composing, say } from "../common.js";

export const KEYS = ["digit", "shift", "backspace", "enter", "left", "strength", "equal", "zero", "begin", "step", "scroll", "flag", "note", "skip", "undo", "help"];

/** @param actions has the functions named below; @param view gives the task on the screen, or null. */
export function listen(actions, view) {
  document.addEventListener("keydown", (event) => {
    if (composing(event)) return;
    const field = event.target.closest?.("textarea, select, input:not([type=checkbox])");
    if (field) {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) act(event, actions.submit);
      else if (event.key === "Escape") field.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") return act(event, actions.undo);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") return act(event, actions.help);
    if (event.key === "z") return act(event, actions.undo);
    const shown = view();
    if (!shown) return;
    const simple = { s: actions.skip, f: actions.flag, n: actions.note, m: () => shown.begin(), h: () => shown.step() };
    if (simple[event.key]) return act(event, simple[event.key]);
    const onControl = event.target.closest?.("button, a, summary, input");
    if (event.key === "Enter" && !onControl) return act(event, actions.submit);
    const lines = { ArrowUp: -2, ArrowDown: 2 }[event.key];
    if (lines && shown.inStep?.isOn && !onControl) return act(event, () => shown.inStep.by(lines));
    if (shown.task.kind === "pair") {
      const verdicts = { ArrowLeft: () => shown.focus().prefer(0), ArrowRight: () => shown.focus().prefer(1), "=": () => shown.focus().tie(""), 0: () => shown.focus().tie("both bad"), ...Object.fromEntries([1, 2, 3, 4].map((value) => [value, () => shown.focus().grade(value)])) };
      if (verdicts[event.key]) act(event, verdicts[event.key]);
    } else if (shown.task.kind === "rank") {
      // The focus leaves the button it was on, so that Enter submits.
      const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code) ?? /^([1-9])$/.exec(event.key);
      if (digit) act(event, () => shown.focus().place(Number(digit[1]) - 1, event.shiftKey));
      else if (event.key === "Backspace") act(event, () => shown.focus().back());
    }
  });
}

function act(event, action) {
  event.preventDefault();
  action();
}

export const helpRows = () => KEYS.map((key) => [say(`key.${key}`), say(`key.${key}.does`)]);
