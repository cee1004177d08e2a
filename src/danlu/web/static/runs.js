// The dashboard: every run under a folder, live, one or several side by side. It reads files; training needs none of it.

import { button, call, complain, element, formatTime, header, say, session } from "./common.js";
import { chart } from "./runs/chart.js";
import { alignment, answers } from "./runs/alignment.js";
import { again, comparison, damage, samples, stageName, stages, verdict } from "./runs/detail.js";
import { Feed, pathOf } from "./runs/feed.js";
import { moments } from "./runs/moments.js";
import { seconds } from "./runs/tables.js";
import { plain } from "./text.js";

const X = ["tokens", "episode", "step"];
const ROAD = ["pretrain", "sft", "reward", "ppo"]; // the order in which their charts stand
const LEFT_OUT = new Set([...X, "steps", "seconds", "lr_scale", "skipped"]);
const who = await session();
document.title = `${say("nav.runs")} · danlu`;
const names = element("ul");
const detail = element("div", { className: "detail" });
document.body.prepend(header("runs", who));
document.getElementById("main").append(element("section", { className: "list", ariaLabel: say("runs.list") }, element("h1", { textContent: say("nav.runs") }), element("p", { className: "dim", textContent: say("runs.compare") }), names), detail);

let runs = [];
let chosen = []; // names, the first is shown in full
const feeds = new Map();
let source = null;

async function list() {
  runs = await call("GET", "/api/runs");
  names.replaceChildren(...runs.map((run) => {
    const box = element("input", { type: "checkbox", checked: chosen.includes(run.name), ariaLabel: say("runs.add", { name: run.name }), on: { change: () => choose(box.checked ? [...chosen, run.name] : chosen.filter((name) => name !== run.name)) } });
    const open = button("", () => choose([run.name]), { className: "quiet", title: formatTime(run.updated) });
    open.replaceChildren(...plain(run.name));
    if (run.name === chosen[0]) open.ariaCurrent = "true";
    const now = Object.values(run.stages).some((stage) => stage.state === "begun") && Date.now() / 1000 - run.updated < 120;
    return element("li", {}, box, open, element("small", { className: "dim", textContent: now ? say("runs.live") : "" }));
  }));
  if (!runs.length) names.append(element("li", { className: "dim", textContent: say("runs.none") }));
}

function choose(some) {
  chosen = some.slice(0, 6);
  history.replaceState(null, "", chosen.length ? `#${chosen.map(encodeURIComponent).join(",")}` : location.pathname);
  source?.close();
  source = null;
  if (chosen.length) {
    source = new EventSource(`/api/runs/${pathOf(chosen[0])}/events`);
    let soon = null;
    source.addEventListener("message", () => {
      soon ??= setTimeout(() => {
        soon = null;
        draw().catch(complain);
      }, 800);
    });
  }
  list().catch(complain);
  draw().catch(complain);
}

let drawing = null;
/** One drawing at a time; what comes meanwhile is drawn once more afterwards. */
function draw() {
  drawing ??= released().then(drawOnce).finally(() => {
    drawing = null;
  });
  return drawing;
}

/** Until nobody is dragging anything on the page: what is replaced would slip from their fingers. */
async function released() {
  while (detail.querySelector("input:active")) await new Promise((resolve) => setTimeout(resolve, 200));
}

async function drawOnce() {
  if (!chosen.length) return detail.replaceChildren(element("p", { className: "dim", textContent: say("runs.pick") }));
  const wanted = chosen;
  const found = await Promise.all(wanted.map((name) => call("GET", `/api/runs/${pathOf(name)}`)));
  const files = found[0].metrics;
  const data = await Promise.all(found.map(async (run) => {
    if (!feeds.has(run.name)) feeds.set(run.name, new Feed(run.name));
    const lines = await Promise.all(files.filter((file) => run.metrics.includes(file)).map(async (file) => [file, await feeds.get(run.name).lines(file)]));
    return new Map(lines);
  }));
  const written = await Promise.all(found[0].samples.map(async (file) => [file, await feeds.get(wanted[0]).lines(file)]));
  if (wanted !== chosen) return undefined;
  const open = new Set([...detail.querySelectorAll("details[open]")].map((each) => each.dataset.key));
  const [run] = found;
  const legend = found.length > 1 ? element("p", { className: "legend" }, found.map(({ name }, number) => element("span", { className: `s${number}` }, plain(name)))) : null;
  const place = (file) => (ROAD.indexOf(file.split("/")[0]) + ROAD.length + 1) % (ROAD.length + 1);
  const own = files.filter((file) => !file.startsWith("ladder/")).sort((a, b) => place(a) - place(b) || a.localeCompare(b));
  const groups = own.map((file) => drawn(() => charts(file, found, data, open)));
  const rungs = files.filter((file) => file.startsWith("ladder/") && file.endsWith("metrics.jsonl"));
  const ladder = rungs.length ? fold("runs.ladder", "ladder", open, () => rungs.map((file) => drawn(() => charts(file, found, data, open)))) : null;
  const report = run.has_report ? element("p", {}, element("a", { href: `/api/runs/${pathOf(run.name)}/report`, target: "_blank", rel: "noopener", textContent: say("runs.report") })) : null;
  const updated = element("p", { className: "dim", textContent: say("runs.written", { when: formatTime(run.updated) }) });
  const whole = [() => damage(run), () => (found.length > 1 ? comparison(found) : null), () => verdict(run), () => alignment(run), () => stages(run, progress(run, data[0]))].map(drawn);
  const parts = [element("h2", {}, plain(run.name)), legend, report, updated, ...whole, ...groups, ladder, ...written.map(([file, lines]) => drawn(() => moments(run.name, file, lines))), drawn(() => answers(run)), drawn(() => samples(run)), drawn(() => again(run))];
  const focused = document.activeElement;
  detail.replaceChildren(...parts.filter(Boolean));
  if (focused?.isConnected) focused.focus({ preventScroll: true });
  return undefined;
}

/** A part of the page; where a damaged file makes it impossible, a word about that in its place. */
function drawn(make) {
  try {
    return make();
  } catch (error) {
    return element("p", { className: "bad", textContent: say("runs.broken", { why: error.message }) });
  }
}

function fold(title, key, open, make) {
  const body = element("div");
  const fill = () => body.childNodes.length || body.append(...make().filter(Boolean));
  const made = element("details", { open: open.has(key), data: { key }, on: { toggle: () => made.open && fill() } }, element("summary", { textContent: say(title) }), body);
  if (made.open) fill();
  return made;
}

/** Every number of a metrics file over tokens, episodes or steps; the loss of the target with its forecast. */
function charts(file, found, data, open) {
  const lines = data[0].get(file);
  if (!lines?.length) return null;
  const keys = [...new Set(lines.flatMap((line) => Object.keys(line).filter((key) => typeof line[key] === "number")))].filter((key) => !LEFT_OUT.has(key));
  const x = X.find((key) => lines.some((line) => typeof line[key] === "number"));
  if (!x) return null;
  const [told, others] = [[], []]; // those that are explained, and the rest
  for (const key of keys) {
    const unit = key.endsWith("_bytes") ? 2 ** 20 : 1;
    const series = found.map((run, number) => ({ name: run.name, points: (data[number].get(file) ?? []).filter((line) => typeof line[key] === "number").map((line) => [line[x], line[key] / unit]) }));
    const isLoss = key === "loss" || key === "heldout_loss";
    const { forecast } = found[0];
    const bands = isLoss && file === "pretrain/metrics.jsonl" && forecast ? [{ low: forecast.low, high: forecast.high, middle: forecast.loss }] : [];
    const picture = chart(series, { label: key, xLabel: say(`axis.${x}`), logX: isLoss && x === "tokens", logY: isLoss, bands });
    if (!picture) continue;
    const words = say(`metric.${key}`);
    const help = words === `metric.${key}` ? "" : words;
    const figure = element("figure", {}, element("figcaption", {}, plain(key), element("small", { className: "dim", textContent: [help, bands.length ? say("runs.band") : ""].filter(Boolean).join(" ") })), picture);
    (help ? told : others).push(figure);
  }
  if (!told.length && !others.length) return null;
  const rest = told.length && others.length ? fold("runs.more", `more ${file}`, open, () => [element("div", { className: "charts" }, others)]) : null;
  const title = element("h2", {}, plain(stageName(file.split("/")[0])), " ", element("small", { className: "dim" }, plain(file)));
  return element("section", {}, title, element("div", { className: "charts" }, told.length ? told : others), rest);
}

/** How far each training is, and how long it will still take. */
function progress(run, data) {
  const found = {};
  for (const [file, lines] of data) {
    const { step, steps, seconds: taken } = lines.at(-1) ?? {};
    if (!file.endsWith("/timing.jsonl") || file.startsWith("ladder/") || !(step > 0) || !(steps >= step)) continue;
    const left = taken > 0 && steps > step ? ` · ${say("runs.left", { time: seconds((taken * (steps - step)) / step) })}` : "";
    found[file.split("/")[0]] = `${Math.floor((100 * step) / steps)}%${left}`;
  }
  return found;
}

await list();
choose(location.hash.length > 1 ? location.hash.slice(1).split(",").map(decodeURIComponent).filter((name) => runs.some((run) => run.name === name)) : runs.slice(0, 1).map((run) => run.name));
setInterval(() => list().catch(complain), 10000);
