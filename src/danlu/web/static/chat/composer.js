// Where a person writes. Enter sends, Shift+Enter breaks the line, and a word that is being composed is left alone.

import { button, composing, element, keep, kept, say } from "../common.js";

export class Composer {
  /** @param send takes the text; @param stop ends what is being written. */
  constructor(send, stop) {
    this.input = element("textarea", { id: "say", rows: 2, placeholder: say("composer.hint"), ariaLabel: say("composer.label"), dir: "auto" });
    this.button = button(say("composer.send"), () => this.submit(), { className: "main", disabled: true }); // until `busy` says otherwise
    this.stopButton = button(say("composer.stop"), stop, { hidden: true });
    this.send = send;
    let composedAt = 0; // Safari ends a composition just before the Enter that ended it
    this.input.addEventListener("compositionend", () => {
      composedAt = performance.now();
    });
    this.input.addEventListener("keydown", (event) => {
      if (composing(event) || performance.now() - composedAt < 20) return;
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        this.submit();
      } else if (event.key === "Escape" && !this.stopButton.hidden) stop();
    });
    this.input.addEventListener("input", () => keep(this.key, this.input.value));
    this.node = element("form", { className: "composer", on: { submit: (event) => event.preventDefault() } }, this.input, element("div", { className: "send" }, this.stopButton, this.button));
    this.open("");
  }

  /** Show the draft of a conversation. */
  open(conversation) {
    this.key = `draft-${conversation}`;
    this.input.value = kept(this.key, "");
  }

  busy(is) {
    this.stopButton.hidden = !is;
    this.button.disabled = is;
  }

  submit() {
    const text = this.input.value;
    if (!text.trim() || this.button.disabled) return;
    this.input.value = "";
    keep(this.key, "");
    this.send(text);
  }

  /** Give back what could not be sent. */
  restore(text) {
    if (!this.input.value) this.input.value = text;
  }
}
