// Sampling settings, each with what it does and the model's own default. Empty fields leave the default.

import { element, keep, kept, say } from "../common.js";

const FIELDS = [
  ["temperature", 0, 10, 0.05],
  ["top_p", 0.01, 1, 0.01],
  ["top_k", 0, 100000, 1],
  ["min_p", 0, 1, 0.01],
  ["max_tokens", 1, 1000000, 1],
  ["seed", 0, 2 ** 53 - 1, 1],
  ["repetition_penalty", 0.1, 10, 0.05],
  ["frequency_penalty", -2, 2, 0.1],
  ["presence_penalty", -2, 2, 0.1],
];

function wrong(name, { validity, min, max, step }) {
  const kind = validity.badInput ? "number" : validity.stepMismatch ? "step" : "range";
  return say("settings.wrong", { name: say(`settings.${name}`), why: say(`settings.wrong.${kind}`, { min, max, step }) });
}

export class SettingsPanel {
  constructor() {
    this.inputs = new Map();
    const saved = JSON.parse(kept("settings", "{}"));
    const fields = FIELDS.map(([name, min, max, step]) => {
      const input = element("input", { type: "number", id: `set-${name}`, min, max, step, value: saved[name] ?? "", on: { change: () => this.save() } });
      const help = element("small", { id: `help-${name}`, className: "dim", textContent: say(`settings.${name}.help`) });
      input.setAttribute("aria-describedby", help.id);
      this.inputs.set(name, input);
      return element("div", { className: "field" }, element("label", { htmlFor: input.id, textContent: say(`settings.${name}`) }), input, help);
    });
    this.stop = element("textarea", { id: "set-stop", rows: 2, value: (saved.stop ?? []).join("\n"), on: { change: () => this.save() } });
    this.system = element("textarea", { id: "set-system", rows: 3, value: saved.system ?? "", on: { change: () => this.save() } });
    const wide = (input, name) =>
      element("div", { className: "field wide" }, element("label", { htmlFor: input.id, textContent: say(`settings.${name}`) }), input, element("small", { className: "dim", textContent: say(`settings.${name}.help`) }));
    this.node = element("details", { className: "settings" }, element("summary", { textContent: say("settings.title") }), element("div", { className: "fields" }, wide(this.system, "system"), fields, wide(this.stop, "stop")));
  }

  /** Show a model's defaults, and where each comes from, in the empty fields. */
  show(model) {
    for (const [name, input] of this.inputs) {
      const found = model?.defaults[name];
      const without = name === "seed" ? say("settings.another") : name.endsWith("_penalty") ? "0" : say("settings.free");
      input.placeholder = String(found?.value ?? without);
      input.title = found ? say("settings.source", { source: found.source }) : "";
    }
  }

  /** What is set, as the server takes it. Throws an Error with plain words at a number that is out of its range. */
  values() {
    const found = {};
    for (const [name, input] of this.inputs) {
      if (!input.checkValidity()) {
        this.node.open = true;
        input.focus();
        throw new Error(wrong(name, input)); // the browser's own words are in the browser's language, not the page's
      }
      if (input.value !== "") found[name] = Number(input.value);
    }
    const stop = this.stop.value.split("\n").filter((line) => line !== "");
    return stop.length ? { ...found, stop } : found;
  }

  save() {
    const found = Object.fromEntries([...this.inputs].filter(([, input]) => input.value !== "").map(([name, input]) => [name, input.value]));
    keep("settings", JSON.stringify({ ...found, stop: this.stop.value.split("\n").filter(Boolean), system: this.system.value }));
  }
}
