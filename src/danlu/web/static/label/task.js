// One task on the screen: its conversation, its answers or the place to write one, and what was found wrong with them.

import { button, complain, element, forget, formatNumber, keep, kept, say } from "../common.js";
import { markdown, plain } from "../text.js";
import { difference } from "./difference.js";
import { Strip } from "./dragging.js";
import { Order } from "./order.js";
import { InStep } from "./scrolling.js";

export const FLAGS = ["not_an_answer", "harmful", "personal_data", "broken_prompt", "wrong_language", "cannot_judge"];
const LETTERS = "ABCDEFGHI";
const STRENGTHS = [1, 2, 3, 4];

export class TaskView {
  /**
   * @param task as the server gave it
   * @param changed is called when what could be submitted has changed
   * @param saveDraft keeps a text at the server
   * @param fetchBeginning gives a model's answer to start from; null where no model is served
   */
  constructor(task, changed, saveDraft, fetchBeginning) {
    this.task = task;
    this.changed = changed;
    this.fetchBeginning = fetchBeginning;
    this.order = new Order(task.completions.length);
    this.began = performance.now();
    this.flags = flagBoxes(say("flag.task"));
    this.note = element("textarea", { rows: 2, id: "note", dir: "auto" });
    const prompt = task.prompt.map((message) =>
      element("div", { className: `message ${message.role}` }, element("h3", { className: "who", textContent: say(message.role === "user" ? "label.asker" : `role.${message.role}`) }), element("div", { className: "text", dir: "auto" }, message.role === "assistant" ? markdown(message.content) : element("div", { className: "plain" }, plain(message.content)))),
    );
    this.body = task.kind === "demonstrate" ? this.writing(saveDraft) : this.answers();
    const more = element("details", { className: "more" }, element("summary", { textContent: say("label.more") }), this.flags.node, element("label", { htmlFor: "note", textContent: say("label.note") }), this.note);
    this.more = more;
    this.node = element("section", { className: "task", tabIndex: -1, ariaLabel: say(`label.do.${task.kind}`) }, element("section", { ariaLabel: say("label.prompt") }, element("h2", { textContent: say("label.prompt") }), ...prompt), element("h2", { textContent: say(`label.do.${task.kind}`) }), this.body, more);
    this.draw();
  }

  writing(saveDraft) {
    this.draftKey = `label-draft-${this.task.lease}`; // here at every key, at the server every two seconds
    this.text = element("textarea", { rows: 8, id: "demonstration", value: kept(this.draftKey, this.task.draft), dir: "auto", ariaLabel: say("label.write") });
    this.count = element("small", { className: "dim" });
    this.preview = element("div", { className: "text preview", dir: "auto" });
    let saved = this.task.draft;
    const save = () => {
      if (this.isClosed || this.text.value === saved) return;
      saved = this.text.value;
      saveDraft(saved);
    };
    this.timer = setInterval(save, 2000);
    this.text.addEventListener("blur", save);
    this.text.addEventListener("input", () => {
      keep(this.draftKey, this.text.value);
      this.drawAndTell();
    });
    this.beginButton = this.fetchBeginning && button(say("label.begin"), () => this.begin(), { className: "quiet", title: say("label.begin.help") });
    const under = element("div", { className: "under" }, this.count, this.beginButton);
    return element("div", { className: "writing" }, this.text, under, element("details", {}, element("summary", { textContent: say("label.preview") }), this.preview));
  }

  /** Write what a model answers into the field, for the person to mend; never over something that they have written. */
  async begin() {
    if (!this.beginButton || this.beginButton.disabled) return;
    this.beginButton.disabled = true;
    this.beginButton.classList.add("waiting");
    try {
      const text = await this.fetchBeginning();
      if (this.isClosed || this.text.value.trim()) return;
      this.text.value = text;
      keep(this.draftKey, text);
      this.text.focus();
      this.text.setSelectionRange(0, 0);
    } catch (error) {
      complain(error);
    } finally {
      this.beginButton.classList.remove("waiting");
      this.drawAndTell();
    }
  }

  answers() {
    const isPair = this.task.kind === "pair";
    const strip = isPair ? null : new Strip(this.order, () => this.drawAndTell());
    this.strip = strip;
    this.cards = this.task.completions.map((text, number) => {
      const content = element("div", { className: "text", dir: "auto" });
      const place = element("span", { className: "place" });
      const flags = flagBoxes(say("flag.answer", { answer: name(number, isPair) }));
      const rating = element("select", { ariaLabel: say("label.rating"), on: { change: () => this.changed() } }, element("option", { value: "", textContent: say("label.rating") }), [1, 2, 3, 4, 5, 6, 7].map((value) => element("option", { value, textContent: String(value) })));
      const act = isPair
        ? [button(say("label.better"), () => this.prefer(number), { className: "pick" })]
        : [button(say("label.next"), () => this.place(number, false), { className: "pick" }), button(say("label.tie"), () => this.place(number, true)), button(say("label.remove"), () => this.take(number), { className: "quiet" })];
      const grip = strip && element("span", { className: "grip", ariaHidden: "true", textContent: "⠿", title: say("label.drag.help") });
      if (grip) strip.grip(grip, number);
      const head = element("header", {}, grip, element("h3", { textContent: name(number, isPair) }), place, element("small", { className: "dim", textContent: say("label.length", { characters: formatNumber([...text].length, 6) }) }));
      const card = element("article", { className: "card", id: `answer-${number}`, ariaLabel: say("label.answer", { answer: name(number, isPair) }) }, head, content, element("footer", {}, ...act, rating, element("details", {}, element("summary", { textContent: say("label.flags") }), flags.node)));
      return { card, content, place, flags, rating, text };
    });
    const grid = element("div", { className: `cards ${kept("label-layout", "side")}` }, this.cards.map((each) => each.card));
    const layout = button(say("label.layout"), () => {
      const next = grid.classList.contains("side") ? "stack" : "side";
      grid.className = `cards ${next}`;
      keep("label-layout", next);
    }, { className: "quiet" });
    this.compare = button(say("label.difference"), () => {
      this.compare.ariaPressed = String(this.compare.ariaPressed !== "true");
      this.draw();
    }, { className: "quiet", ariaPressed: "false" });
    this.strength = null;
    this.strengthNode = isPair ? this.strengths() : null;
    this.extra = strip ? strip.node : this.strengthNode; // stands with what ends the task, always in sight
    this.inStep = new InStep(this.cards.map((each) => each.content), grid);
    this.stepButton = button(say("label.step"), () => this.step(), { className: "quiet", ariaPressed: String(this.inStep.isOn), title: say("label.step.help") });
    const verdicts = isPair ? [button(say("label.pair.tie"), () => this.tie("")), button(say("label.pair.bad"), () => this.tie("both bad"))] : [];
    return element("div", {}, element("div", { className: "tools" }, verdicts, layout, this.stepButton, this.compare), grid);
  }

  /** How clearly the better of two is better; it may be left unsaid. */
  strengths() {
    this.strengthButtons = STRENGTHS.map((value) => button(`${value} ${say(`label.strength.${value}`)}`, () => this.grade(value), { ariaPressed: "false" }));
    return element("div", { className: "strength tools", role: "group", ariaLabel: say("label.strength"), hidden: true }, element("span", { className: "dim", textContent: say("label.strength") }), this.strengthButtons);
  }

  grade(value) {
    if (this.order.groups.length !== 2) return;
    this.strength = this.strength === value ? null : value;
    this.drawAndTell();
  }

  /** Answers of one height that scroll together, or each in its full length. */
  step() {
    if (!this.inStep) return;
    this.inStep.turn(!this.inStep.isOn);
    this.stepButton.ariaPressed = String(this.inStep.isOn);
  }

  place(number, tied) {
    this.order.place(number, tied);
    this.drawAndTell();
  }

  take(number) {
    this.order.remove(number);
    this.drawAndTell();
  }

  back() {
    this.order.back();
    this.drawAndTell();
  }

  prefer(number) {
    this.order.groups = [[number], [1 - number]];
    this.verdict = "";
    this.drawAndTell();
  }

  tie(verdict) {
    this.order.groups = [[0, 1]];
    this.verdict = verdict;
    this.strength = null;
    this.drawAndTell();
  }

  drawAndTell() {
    this.draw();
    this.changed();
  }

  draw() {
    if (this.text) {
      this.count.textContent = say("label.length", { characters: formatNumber([...this.text.value].length, 6) });
      this.preview.replaceChildren(markdown(this.text.value));
      if (this.beginButton && !this.beginButton.classList.contains("waiting")) this.beginButton.disabled = this.text.value.trim() !== "";
      return;
    }
    const ranks = this.order.ranks();
    this.strip?.draw();
    const first = this.order.groups[0]?.[0] ?? 0;
    if (this.strengthNode) this.strengthNode.hidden = this.order.groups.length !== 2;
    this.strengthButtons?.forEach((each, place) => {
      each.ariaPressed = String(this.strength === STRENGTHS[place]);
    });
    this.cards.forEach(({ card, content, place, text }, number) => {
      const rank = ranks[number];
      const tied = rank !== null && this.order.groups[rank].length > 1;
      card.classList.toggle("placed", rank !== null);
      place.textContent = rank === null ? say("label.unplaced") : say(tied ? "label.tied" : "label.placed", { rank: rank + 1 });
      const pieces = this.compare.ariaPressed === "true" && number !== first ? difference(text, this.cards[first].text) : null;
      content.classList.toggle("plain", pieces !== null);
      content.replaceChildren(...(pieces ? pieces.map(([words, isNew]) => element(isNew ? "ins" : "span", {}, plain(words))) : [markdown(text)]));
    });
  }

  /** Have the keyboard speak to the task itself, not to a button that was used before. */
  focus() {
    (this.text ?? this.node).focus({ preventScroll: true });
    return this;
  }

  get isReady() {
    return this.text ? this.text.value.trim() !== "" : this.order.isWhole;
  }

  /** What is sent: see /api/label/answers. */
  answer(id) {
    const shared = { id, lease: this.task.lease, flags: this.flags.values(), note: [this.verdict, this.note.value].filter(Boolean).join("\n"), seconds: (performance.now() - this.began) / 1000 };
    if (this.text) return { ...shared, response: this.text.value };
    return { ...shared, ranks: this.order.ranks(), strength: this.strength ?? null, completion_flags: this.cards.map((each) => each.flags.values()), ratings: this.cards.map((each) => (each.rating.value ? Number(each.rating.value) : null)) };
  }

  close() {
    this.isClosed = true;
    if (this.draftKey) forget(this.draftKey);
    clearInterval(this.timer);
  }
}

export const name = (number, isPair) => (isPair ? LETTERS[number] : String(number + 1));

function flagBoxes(title) {
  const boxes = FLAGS.map((flag) => ({ flag, box: element("input", { type: "checkbox" }) }));
  const node = element("fieldset", { className: "flags" }, element("legend", { textContent: title }), boxes.map(({ flag, box }) => element("label", {}, box, " ", say(`flag.${flag}`))));
  return { node, values: () => boxes.filter(({ box }) => box.checked).map(({ flag }) => flag) };
}
