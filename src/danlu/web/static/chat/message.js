// How one message is drawn, with what can be done about it.

import { button, element, formatNumber, notify, say } from "../common.js";
import { markdown, plain } from "../text.js";

/** @param actions edit, again, choose, compare, thumb, copy: functions that the page gives; see index.js. */
export function drawMessage(message, siblings, actions, busy) {
  const isModel = message.role === "assistant";
  const body = element("div", { className: isModel ? "text" : "text plain", dir: "auto" });
  const node = element("article", { className: `message ${message.role}`, id: `message-${message.id}`, ariaLabel: say(`role.${message.role}`) });
  const foot = element("footer");
  node.append(element("h2", { className: "who" }, isModel ? plain(message.model || say("role.assistant")) : say(`role.${message.role}`)), body, foot);
  const drawn = { node, update };
  update();
  return drawn;

  function update() {
    node.ariaBusy = String(message.state === "running");
    body.replaceChildren(isModel ? markdown(message.content) : element("span", {}, plain(message.content)));
    if (isModel && !message.content) body.append(element("span", { className: "dim" + (message.state === "running" ? " waiting" : ""), textContent: say(`state.${message.state === "running" ? "thinking" : "empty"}`) }));
    foot.replaceChildren(...[branches(), message.state === "running" ? null : tools(), figures()].filter(Boolean));
  }

  function branches() {
    if (siblings.length < 2) return null;
    const place = siblings.indexOf(message);
    const go = (step) => actions.choose(siblings[place + step].id);
    return element(
      "span",
      { className: "branches", role: "group", ariaLabel: say("branch.title") },
      button(say("branch.before"), () => go(-1), { icon: "‹", className: "quiet", disabled: place === 0 }),
      element("span", { textContent: `${place + 1} / ${siblings.length}` }),
      button(say("branch.after"), () => go(1), { icon: "›", className: "quiet", disabled: place === siblings.length - 1 }),
    );
  }

  function tools() {
    const quiet = { className: "quiet" };
    const copy = async () => {
      await navigator.clipboard.writeText(message.content);
      notify(say("message.copied"));
    };
    const made = [button(say("message.copy"), copy, quiet)];
    if (message.role === "user") made.push(button(say("message.edit"), () => edit(), { ...quiet, disabled: busy() }));
    if (isModel) {
      made.push(button(say("message.again"), () => actions.again(message), { ...quiet, disabled: busy() }));
      for (const [value, words] of [[1, "thumb.up"], [-1, "thumb.down"]]) {
        const act = () => actions.thumb(message, message.thumb === value ? 0 : value);
        made.push(button(say(words), act, { ...quiet, ariaPressed: String(message.thumb === value) }));
      }
    }
    return element("span", { className: "tools" }, made);
  }

  function figures() {
    const found = [];
    const { details = {}, state } = message;
    if (state === "stopped" || state === "failed") found.push(say(`state.${state}`));
    if (details.finish === "length") found.push(say("finish.length"));
    if (details.tokens) {
      const seconds = Math.max(1e-3, details.seconds ?? 0);
      found.push(say("figures.tokens", { tokens: details.tokens }), say("figures.speed", { speed: formatNumber(details.tokens / seconds) }));
    }
    if (details.first_token_seconds) found.push(say("figures.first", { seconds: formatNumber(details.first_token_seconds, 2) }));
    return found.length ? element("small", { className: "dim", textContent: found.join(" · ") }) : null;
  }

  function edit() {
    const input = element("textarea", { value: message.content, rows: Math.min(12, message.content.split("\n").length + 1), ariaLabel: say("message.edit") });
    const save = () => {
      if (input.value.trim()) actions.edit(message, input.value);
    };
    body.replaceChildren(input, element("p", {}, button(say("message.send-edit"), save, { className: "main" }), " ", button(say("cancel"), update)));
    input.focus();
  }
}
