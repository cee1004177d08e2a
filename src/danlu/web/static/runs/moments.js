// What a model wrote as it was trained: the same openings, continued at each evaluation, one moment at a time.

import { element, formatNumber, say } from "../common.js";
import { plain } from "../text.js";
import { section } from "./tables.js";

const HAN = /[\u3400-\u9fff]/;
const known = new Map(); // by run and file: what is on the page, so that a moment that was chosen stays chosen

/** The section of a run's file of samples; the same node each time, with what has come since. */
export function moments(run, file, lines) {
  const key = `${run}/${file}`;
  if (!known.has(key)) known.set(key, new Moments());
  return known.get(key).update(lines);
}

class Moments {
  constructor() {
    this.chosen = null; // the number of a moment; null: the newest
    this.slider = element("input", { type: "range", min: 0, step: 1, id: `moment-${known.size}`, on: { input: () => this.choose(Number(this.slider.value)) } });
    this.label = element("label", { htmlFor: this.slider.id });
    this.texts = element("div", { className: "texts", ariaLive: "polite" });
    this.every = element("div");
    const all = element("details", { className: "every" }, element("summary", { textContent: say("moments.every") }), this.every);
    this.node = section("moments.title", element("p", { className: "dim", textContent: say("moments.help") }), element("div", { className: "moment" }, this.label, this.slider), this.texts, all);
    this.node.classList.add("moments");
  }

  update(lines) {
    const steps = new Map();
    for (const line of lines) {
      if (typeof line.prompt !== "string" || typeof line.text !== "string" || !(line.step > 0)) continue;
      if (!steps.has(line.step)) steps.set(line.step, []);
      steps.get(line.step).push(line);
    }
    this.moments = [...steps.values()];
    if (!this.moments.length) return null;
    this.slider.max = String(this.moments.length - 1);
    this.slider.disabled = this.moments.length < 2;
    const prompts = [...new Set(this.moments.flat().map(({ prompt }) => prompt))];
    this.every.replaceChildren(...prompts.map((prompt) => element("div", { className: "sample" }, written("p", prompt, element("b", {}, plain(prompt))), element("dl", {}, this.moments.flatMap((moment) => moment.filter((line) => line.prompt === prompt).flatMap((line) => [element("dt", { textContent: when(line) }), written("dd", line.text, plain(line.text.trim()))]))))));
    this.draw();
    return this.node;
  }

  choose(number) {
    this.chosen = number === this.moments.length - 1 ? null : number;
    this.draw();
  }

  draw() {
    const last = this.moments.length - 1;
    const number = Math.min(this.chosen ?? last, last);
    const moment = this.moments[number];
    const words = `${when(moment[0])} · ${say("moments.of", { number: number + 1, all: last + 1 })}`;
    this.slider.value = String(number);
    this.slider.ariaValueText = words;
    this.label.textContent = words;
    this.texts.replaceChildren(...moment.map(({ prompt, text }) => written("p", prompt + text, element("b", {}, plain(prompt)), plain(text))));
  }
}

function when(line) {
  const loss = typeof line.heldout_loss === "number" ? ` · ${say("moments.loss", { loss: formatNumber(line.heldout_loss, 3) })}` : "";
  return say("moments.step", { step: formatNumber(line.step, 6), tokens: formatNumber(line.tokens ?? 0, 3) }) + loss;
}

function written(name, text, ...children) {
  return element(name, { className: "plain", dir: "auto", lang: HAN.test(text) ? "zh-CN" : "en" }, ...children);
}
