// One run: its stages, the forecast beside what was measured, samples, and the command that makes it again.

import { button, element, formatNumber, formatTime, notify, say } from "../common.js";
import { plain } from "../text.js";

export const seconds = (value) => {
  if (value === null || value === undefined) return "–";
  if (value < 90) return say("time.seconds", { value: formatNumber(value) });
  if (value < 5400) return say("time.minutes", { value: formatNumber(value / 60) });
  return say("time.hours", { value: formatNumber(value / 3600) });
};

/** What a stage does, in the page's words; that of a further round is called ppo-2 and the like. */
export const stageName = (name) => {
  const words = say(`stagename.${name}`);
  return words.startsWith("stagename.") ? name : words;
};

/** The stages in the order in which they began. */
export function stages(run, progress) {
  const rows = Object.entries(run.stages).sort(([, a], [, b]) => String(a.started ?? "9").localeCompare(String(b.started ?? "9"))).map(([name, stage]) => {
    const state = stage.state ?? "unknown";
    const more = state !== "done" && progress[name] ? ` ${progress[name]}` : "";
    return element("tr", {}, element("th", { scope: "row" }, plain(stageName(name))), element("td", { textContent: say(`stage.${state}`) + more }), element("td", { textContent: seconds(stage.seconds) }));
  });
  const heads = ["runs.stage", "runs.state", "runs.took"].map((key) => element("th", { scope: "col", textContent: say(key) }));
  return section("runs.stages", rows.length ? element("table", {}, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)) : element("p", { className: "dim", textContent: say("runs.no-stages") }));
}

/** The forecast, and the verdict where the run has one. */
export function verdict(run) {
  const { forecast, verdict: judged } = run;
  if (!forecast && !judged) return null;
  const found = judged ?? forecast;
  const rows = [
    ["runs.forecast", `${formatNumber(found.loss, 4)} (${formatNumber(found.low, 4)} – ${formatNumber(found.high, 4)})`],
    ...(forecast?.seconds ? [["runs.forecast-time", seconds(forecast.seconds)]] : []),
    ...(forecast?.created ? [["runs.forecast-made", formatTime(Date.parse(forecast.created) / 1000)]] : []),
    ...(judged ? [["runs.measured", `${formatNumber(judged.measured, 4)} (${judged.relative_error > 0 ? "+" : ""}${formatNumber(100 * judged.relative_error, 2)}%)`]] : []),
  ].map(([key, value]) => element("tr", {}, element("th", { scope: "row", textContent: say(key) }), element("td", { textContent: value })));
  const words = judged ? element("p", { className: judged.inside ? "good" : "bad", textContent: say(judged.inside ? "runs.inside" : "runs.outside") }) : element("p", { className: "dim", textContent: say("runs.not-judged") });
  return section("runs.verdict", words, element("table", {}, element("tbody", {}, rows)));
}

/** Texts that the models wrote, from every result file that holds some. */
export function samples(run) {
  const found = [];
  const look = (file, value, depth) => {
    if (!value || typeof value !== "object" || depth > 4 || found.length > 40) return;
    if (typeof value.prompt === "string" && typeof value.text === "string") found.push({ file, prompt: value.prompt, text: value.text });
    else for (const each of Object.values(value)) look(file, each, depth + 1);
  };
  for (const [file, value] of Object.entries(run.results)) look(file, value, 0);
  if (!found.length) return null;
  return section("runs.samples", ...found.map(({ file, prompt, text }) => element("div", { className: "sample" }, element("small", { className: "dim" }, plain(file)), element("div", { className: "plain", dir: "auto" }, element("b", {}, plain(prompt)), plain(text)))));
}

export function again(run) {
  if (!run.command && !run.recipe) return null;
  const copy = async () => {
    await navigator.clipboard.writeText(run.command);
    notify(say("message.copied"));
  };
  return section(
    "runs.again",
    run.command && element("div", {}, element("pre", { tabIndex: 0 }, plain(run.command)), button(say("message.copy"), copy)),
    run.recipe && element("details", {}, element("summary", { textContent: say("runs.recipe") }), element("pre", { tabIndex: 0 }, plain(run.recipe))),
  );
}

export const section = (title, ...children) => element("section", {}, element("h2", { textContent: say(title) }), ...children);
