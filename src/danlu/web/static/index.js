// The chat page: conversations on one side, the shown branch of one of them on the other.

import { button, call, complain, element, formatTime, header, keep, kept, newId, request, say, session, translated } from "./common.js";
import { Composer } from "./chat/composer.js";
import { drawMessage } from "./chat/message.js";
import { SettingsPanel } from "./chat/settings.js";
import { events } from "./chat/stream.js";
import { compared, Tree } from "./chat/tree.js";
import { plain } from "./text.js";

const who = await session();
document.title = `${say("nav.chat")} · danlu`;
let models = [];
let conversations = [];
let current = null; // { id, title, tree } or null before the first message
let archived = false;
const running = new Map(); // by message id: { abort, drawn }

const log = element("section", { className: "log", role: "log", ariaLabel: say("chat.log"), tabIndex: 0 });
const names = element("ul");
const picker = element("fieldset", { className: "choice" });
const settings = new SettingsPanel();
const composer = new Composer(send, () => running.forEach((each) => each.abort.abort()));
const menu = button(say("chat.menu"), () => {
  const open = aside.classList.toggle("open");
  menu.ariaExpanded = String(open);
}, { className: "menu", ariaExpanded: "false" });
const older = button(say("chat.archived"), () => {
  archived = !archived;
  older.ariaPressed = String(archived);
  listed().catch(complain);
}, { className: "quiet", ariaPressed: "false" });
const aside = element("aside", { className: "aside", ariaLabel: say("chat.list") }, button(say("chat.new"), () => open(null), { className: "main" }), element("nav", { ariaLabel: say("chat.list") }, names), older);
const exporting = element("span");
document.body.prepend(header("chat", who));
document.getElementById("main").append(
  aside,
  element("div", { className: "talk" }, element("div", { className: "models" }, menu, picker, exporting), log, element("div", { className: "foot" }, settings.node, composer.node)),
);

async function loadModels() {
  models = await call("GET", "/api/models");
  const chosen = new Set(JSON.parse(kept("models", "[]")).filter((name) => models.some((model) => model.name === name)));
  if (!chosen.size && models.length) chosen.add(models[0].name);
  const boxes = models.map((model) => {
    const box = element("input", { type: "checkbox", checked: chosen.has(model.name), disabled: model.state === "failed", on: { change: () => pick(model.name, box.checked) } });
    const state = model.state === "ready" ? (model.chats ? "" : say("model.base")) : say(`model.${model.state}`);
    return element("label", { title: model.error ?? "" }, box, element("span", {}, plain(model.name)), state && element("small", { className: "dim", textContent: state }));
  });
  picker.replaceChildren(element("legend", { className: "dim", textContent: say(models.length > 1 ? "model.choose" : "model.one") }), ...boxes);
  for (const model of models) if (model.state === "failed") complain(new Error(say("model.broken", { name: model.name, error: model.error ?? "" })));
  settings.show(picked()[0]);
  if (models.some((model) => model.state === "loading")) setTimeout(() => loadModels().catch(complain), 1000);
}

function pick(name, on) {
  const chosen = picked().map((model) => model.name).filter((each) => each !== name);
  keep("models", JSON.stringify(on ? [...chosen, name] : chosen.length ? chosen : [name]));
  loadModels().then(draw, complain);
}

function picked() {
  const chosen = JSON.parse(kept("models", "[]"));
  const found = models.filter((model) => chosen.includes(model.name));
  return found.length ? found : models.slice(0, 1);
}

async function listed() {
  conversations = await call("GET", `/api/conversations${archived ? "?archived=1" : ""}`);
  names.replaceChildren(...conversations.map((each) => {
    const link = button(each.title || say("chat.untitled"), () => open(each.id).catch(complain), { className: "quiet", title: `${each.title}\n${formatTime(each.updated)}` });
    if (each.id === current?.id) link.ariaCurrent = "true";
    const putAway = async () => {
      await call("PATCH", `/api/conversations/${each.id}`, { archived: !each.is_archived });
      await listed();
    };
    const rename = async () => {
      const title = prompt(say("chat.rename"), each.title);
      if (title === null) return;
      await call("PATCH", `/api/conversations/${each.id}`, { title });
      await listed();
    };
    return element("li", {}, link, button(say("chat.rename"), () => rename().catch(complain), { icon: "✎", className: "quiet" }), button(say(each.is_archived ? "chat.back" : "chat.away"), () => putAway().catch(complain), { icon: each.is_archived ? "↩" : "▾", className: "quiet" }));
  }));
  if (!conversations.length) names.append(element("li", { className: "dim", textContent: say("chat.none") }));
}

async function open(id) {
  if (id) {
    const found = await call("GET", `/api/conversations/${encodeURIComponent(id)}`);
    current = { id: found.id, title: found.title, tree: new Tree(found.messages, JSON.parse(kept(`branch-${found.id}`, "{}"))) };
  } else current = null;
  history.replaceState(null, "", current ? `#${current.id}` : location.pathname);
  composer.open(current?.id ?? "");
  aside.classList.remove("open");
  draw();
  log.scrollTop = log.scrollHeight;
  await listed();
}

function draw() {
  const path = current?.tree.path() ?? [];
  log.replaceChildren(...path.map((message) => {
    const siblings = current.tree.siblings(message);
    const rivals = compared(siblings);
    if (message.role === "assistant" && rivals.length > 1 && picked().length > 1) return element("div", { className: "side" }, rivals.map((each) => drawOne(each, [each], each === message)));
    return drawOne(message, siblings, false);
  }));
  if (!path.length) log.append(element("p", { className: "dim", textContent: say(picked()[0]?.chats === false ? "chat.begin-base" : "chat.begin") }));
  const tree = current && `/api/conversations/${encodeURIComponent(current.id)}/export`;
  exporting.replaceChildren(...(current && path.length ? [
    element("a", { href: tree, download: `${current.id}.json`, textContent: say("export.tree") }), " ",
    element("a", { href: `${tree}?leaf=${encodeURIComponent(path.at(-1).id)}`, download: `${current.id}-branch.json`, textContent: say("export.branch") }),
  ] : []));
  composer.busy(running.size > 0);
  if (current) keep(`branch-${current.id}`, JSON.stringify(current.tree.choices));
}

function drawOne(message, siblings, chosen) {
  const drawn = drawMessage(message, siblings, actions, () => running.size > 0);
  if (chosen) drawn.node.classList.add("chosen");
  if (siblings.length === 1 && current.tree.siblings(message).length > 1) {
    const on = button(say(chosen ? "compare.on" : "compare.choose"), () => actions.choose(message.id), { className: "quiet", ariaPressed: String(chosen) });
    drawn.node.append(on);
  }
  if (running.has(message.id)) running.get(message.id).drawn = drawn;
  return drawn.node;
}

const actions = {
  choose(id) {
    current.tree.choose(id);
    draw();
  },
  again(message) {
    reply(message.parent, [models.find((model) => model.name === message.model) ?? picked()[0]]).catch(complain);
  },
  async edit(message, text) {
    const added = await call("POST", `/api/conversations/${current.id}/messages`, { id: newId(), content: text, parent: message.parent, role: message.role }).catch(complain);
    if (!added) return;
    current.tree.add(added);
    current.tree.choose(added.id);
    await reply(added.id, picked()).catch(complain);
  },
  async thumb(message, value) {
    const answer = await call("POST", `/api/messages/${message.id}/thumb`, { id: newId(), value }).catch(complain);
    if (answer) message.thumb = answer.thumb;
    draw();
  },
};

async function send(text) {
  try {
    settings.values();
    if (!picked().length) throw new Error(say("model.none"));
    if (!current) {
      const title = text.trim().split("\n")[0].slice(0, 60);
      const id = newId();
      await call("POST", "/api/conversations", { id, title });
      current = { id, title, tree: new Tree([]) };
      history.replaceState(null, "", `#${id}`);
      const system = settings.system.value.trim();
      if (system) current.tree.add(await call("POST", `/api/conversations/${id}/messages`, { id: newId(), content: system, parent: "", role: "system" }));
      composer.open(id);
    }
    const parent = current.tree.path().at(-1)?.id ?? "";
    const added = await call("POST", `/api/conversations/${current.id}/messages`, { id: newId(), content: text, parent, role: "user" });
    current.tree.add(added);
    current.tree.choose(added.id);
    listed().catch(complain);
    await reply(added.id, picked());
  } catch (error) {
    composer.restore(text);
    complain(error);
    draw();
  }
}

/** Have models answer a message, all at once, each in a branch of its own. */
async function reply(parent, answering) {
  const values = settings.values();
  const talk = current;
  await Promise.all(answering.map(async (model) => {
    const message = { id: newId(), parent, role: "assistant", content: "", model: model.name, details: {}, state: "running", created: Date.now() / 1000, thumb: 0 };
    talk.tree.add(message);
    if (model === answering[0]) talk.tree.choose(message.id);
    const abort = new AbortController();
    running.set(message.id, { abort, drawn: null });
    if (current === talk) draw();
    follow();
    const began = performance.now();
    try {
      const body = { id: message.id, parent, model: model.name, settings: values };
      const response = await request("POST", `/api/conversations/${talk.id}/replies`, body, { signal: abort.signal });
      for await (const event of events(response)) {
        if (event.type === "text") {
          message.content += event.text;
          message.details = { tokens: event.tokens, seconds: (performance.now() - began) / 1000, first_token_seconds: message.details.first_token_seconds ?? (performance.now() - began) / 1000 };
          redraw(message);
        } else if (event.type === "done") Object.assign(message, { state: "done", details: event });
        else if (event.type === "error") {
          message.state = "failed";
          complain({ message: translated(event.message), remedy: translated(event.remedy ?? "") });
        }
      }
      if (message.state === "running") message.state = "stopped";
    } catch (error) {
      message.state = error.name === "AbortError" ? "stopped" : "failed";
      complain(error);
    } finally {
      running.delete(message.id);
      if (current === talk) draw();
    }
  }));
  composer.input.focus();
}

const waiting = new Set();
/** At most once a frame, however many tokens come. */
function redraw(message) {
  if (!waiting.size) requestAnimationFrame(() => {
    const near = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    for (const each of waiting) running.get(each.id)?.drawn?.update();
    waiting.clear();
    if (near) follow();
  });
  waiting.add(message);
}

function follow() {
  log.scrollTop = log.scrollHeight;
}

await loadModels();
await listed();
await open(location.hash.slice(1) || null).catch((error) => {
  complain(error);
  return open(null);
});
composer.input.focus();
window.addEventListener("hashchange", () => {
  const id = location.hash.slice(1);
  if (id !== (current?.id ?? "")) open(id || null).catch(complain);
});
