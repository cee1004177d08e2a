// The annotation page: one task at a time, the next one fetched ahead, and nothing lost that was submitted.

import { button, call, complain, element, header, keep, kept, newId, notify, say, session } from "./common.js";
import { administration } from "./label/admin.js";
import { helpRows, listen } from "./label/keys.js";
import { Outbox } from "./label/outbox.js";
import { reminder } from "./label/rest.js";
import { TaskView } from "./label/task.js";

const who = await session();
document.title = `${say("nav.label")} · danlu`;
const main = document.getElementById("main");
const place = element("div");
const counts = element("span", { role: "status" });
const rest = element("div", { role: "status" });
const waiting = element("span", { className: "dim", role: "status" });
const outbox = new Outbox(who.name, (number) => {
  waiting.textContent = number ? say("label.waiting", { number }) : "";
});
let view = null;
let ahead = null; // the promise of the next task
let done = 0;
const begun = performance.now();
const LOOK_AGAIN = 10000; // ms, for new tasks when there are none
let looking = null;
let shows = 0; // how often something was shown: what was fetched before the last time is not shown over it

const submitButton = button(say("label.submit"), submit, { className: "main", disabled: true });
const skipButton = button(say("label.skip"), skip, { disabled: true });
const extra = element("div", { className: "extra" });
const acts = element(
  "div",
  { className: "acts", role: "toolbar", ariaLabel: say("label.acts") },
  extra,
  submitButton,
  skipButton,
  button(say("label.undo"), undo),
  button(say("label.keys"), help, { className: "quiet" }),
  waiting,
);
const size = (by) => {
  const scale = Math.min(1.8, Math.max(0.7, Number(kept("label-scale", "1")) + by));
  keep("label-scale", String(scale));
  document.documentElement.style.setProperty("--scale", String(scale));
};
size(0);
document.body.prepend(header("label", who));
main.append(
  element("div", { className: "status" }, element("h1", { textContent: say("nav.label") }), counts, element("span", { className: "sizes" }, button(say("label.smaller"), () => size(-0.1), { icon: "A−", className: "quiet" }), button(say("label.larger"), () => size(0.1), { icon: "A+", className: "quiet" })), reminder(rest)),
  rest,
  place,
);
document.body.append(acts);
if (who.role === "admin") main.append(await administration(who, refresh));
listen({ submit, skip, undo, help, flag, note }, () => view);
window.addEventListener("online", () => outbox.flush());
outbox.flush();
await refresh();

/** The next task, without those that are on the screen or were answered a moment ago. */
async function fetchTask(held) {
  const besides = [...held, ...outbox.leases()];
  const query = besides.length ? `?besides=${besides.map(encodeURIComponent).join(",")}` : "";
  return (await call("GET", `/api/label/next${query}`)).task;
}

async function refresh() {
  if (!view) await fetchAndShow();
  await progress();
}

async function fetchAndShow() {
  const before = shows;
  const task = await fetchTask([]).catch((error) => (complain(error), null));
  if (before === shows) show(task);
}

async function progress() {
  const found = await call("GET", "/api/label/progress").catch(() => null);
  if (!found) return;
  const minutes = (performance.now() - begun) / 60000;
  const pace = done > 1 ? ` · ${say("label.pace", { pace: Math.round(done / minutes * 10) / 10 })}` : "";
  const others = found.left || !found.others ? "" : ` · ${say("label.others", { others: found.others })}`;
  counts.textContent = say("label.counts", { mine: found.mine, left: found.left }) + others + pace;
}

function show(task) {
  shows += 1;
  place.ariaBusy = "false";
  view?.close();
  view = null;
  ahead = null;
  extra.replaceChildren();
  if (!task) {
    place.replaceChildren(element("p", { textContent: say(who.role === "admin" ? "label.none-admin" : "label.none") }));
    submitButton.disabled = skipButton.disabled = true;
    clearTimeout(looking);
    looking = setTimeout(refresh, LOOK_AGAIN);
    return;
  }
  const save = (text) => call("PUT", `/api/label/leases/${task.lease}/draft`, { text }).catch((error) => made.isClosed || complain(error));
  const made = new TaskView(task, () => {
    if (view === made) submitButton.disabled = !made.isReady;
  }, save, who.has_model ? async () => (await call("POST", `/api/label/leases/${task.lease}/beginning`)).text : null);
  view = made;
  submitButton.disabled = !made.isReady;
  skipButton.disabled = false;
  place.replaceChildren(made.node);
  if (made.extra) extra.append(made.extra);
  window.scrollTo(0, 0);
  made.focus();
  ahead = fetchTask([task.lease]).catch(() => undefined);
}

async function next() {
  const before = shows;
  view = null;
  place.ariaBusy = "true"; // what is still on the screen is answered: keys mean nothing until the next one is there
  const task = await ahead;
  if (task === undefined || task === null) {
    await outbox.flush(); // what was just answered must not come again
    if (before === shows) await fetchAndShow();
  } else if (before === shows) show(task);
  progress();
}

function submit() {
  if (!view) return;
  if (!view.isReady) {
    notify(say(view.text ? "label.write-first" : "label.place-all"));
    return;
  }
  const answered = view;
  answered.close();
  outbox.add("POST", "/api/label/answers", answered.answer(newId()));
  done += 1;
  next();
}

function skip() {
  if (!view) return;
  const lease = view.task.lease;
  const reason = element("textarea", { rows: 2, required: true, ariaLabel: say("label.skip.why") });
  ask(say("label.skip.why"), reason, () => {
    if (!reason.value.trim()) return false;
    outbox.add("POST", "/api/label/skips", { id: newId(), lease, reason: reason.value.trim() });
    next();
    return true;
  });
}

async function undo() {
  try {
    await outbox.flush();
    const current = view?.task.lease;
    const { task } = await call("POST", "/api/label/undo", { id: newId() });
    if (!task) return notify(say("label.undo.none"));
    // Given back before the next one is fetched ahead: what is in nobody's hands any more must not be promised again.
    const held = [current, (await ahead)?.lease].filter(Boolean);
    await Promise.all(held.map((lease) => call("DELETE", `/api/label/leases/${lease}`).catch(() => {})));
    show(task);
    progress();
    notify(say("label.undone"));
  } catch (error) {
    complain(error);
  }
}

function flag() {
  view.more.open = true;
  view.flags.node.querySelector("input").focus();
}

function note() {
  view.more.open = true;
  view.note.focus();
}

function help() {
  const rows = helpRows().map(([key, does]) => element("tr", {}, element("th", { scope: "row" }, element("kbd", { textContent: key })), element("td", { textContent: does })));
  const dialog = element("dialog", { ariaLabel: say("label.keys") }, element("h2", { textContent: say("label.keys") }), element("table", {}, element("tbody", {}, rows)), element("form", { method: "dialog" }, element("button", { className: "main", textContent: say("close") })));
  open(dialog);
}

function ask(title, input, accept) {
  const confirm = button(say("label.skip"), () => accept() && dialog.close(), { className: "main" });
  const dialog = element("dialog", { ariaLabel: title }, element("h2", { textContent: title }), input, element("p", {}, confirm, " ", button(say("cancel"), () => dialog.close())));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
      event.preventDefault();
      confirm.click();
    }
  });
  open(dialog);
  input.focus();
}

function open(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
