// One run: its stages, the forecast beside what was measured, samples, and the command that makes it again.

import { button, element, formatNumber, formatTime, notify, say } from "../common.js";
import { plain } from "../text.js";
import { estimate, outcomeOf } from "./alignment.js";
import { megabytes, seconds, section, table } from "./tables.js";

/** What a stage does, in the page's words; that of a further round is called ppo-2 and the like. */
export const stageName = (name) => {
  const words = say(`stagename.${name}`);
  return words.startsWith("stagename.") ? name : words;
};

/** The stages in the order in which they began. */
export function stages(run, progress) {
  const rows = Object.entries(run.stages).sort(([, a], [, b]) => String(a.started ?? "9").localeCompare(String(b.started ?? "9"))).map(([name, stage]) => {
    const state = stage.state ?? "unknown";
    const words = say(`stage.${state}`);
    const more = state !== "done" && progress[name] ? ` ${progress[name]}` : "";
    return [stageName(name), (words.startsWith("stage.") ? say("stage.unknown") : words) + more, seconds(stage.seconds)];
  });
  const heads = ["runs.stage", "runs.state", "runs.took"].map((key) => say(key));
  return section("runs.stages", rows.length ? table(heads, rows) : element("p", { className: "dim", textContent: say("runs.no-stages") }));
}

/** The forecast of loss, time and memory, beside what was measured where the run has been judged. */
export function verdict(run) {
  const { forecast, verdict: judged } = run;
  const found = judged ?? forecast;
  if (!found) return null;
  const loss = (value) => formatNumber(value, 4);
  const kinds = [
    ["runs.loss", loss, found.loss, found.low, found.high, judged?.measured, judged?.relative_error, judged?.inside],
    ["runs.time", seconds, found.seconds, found.seconds_low, found.seconds_high, judged?.measured_seconds, judged?.seconds_relative_error, judged?.seconds_inside],
    ["runs.memory", megabytes, found.memory_bytes, found.memory_bytes_low, found.memory_bytes_high, judged?.measured_memory_bytes, judged?.memory_relative_error, judged?.memory_inside],
  ];
  const known = (value) => value !== null && value !== undefined;
  const rows = kinds.filter(([, , value]) => known(value)).map(([key, shown, value, low, high, measured, error, inside]) => [
    say(key),
    known(low) ? `${shown(value)} (${shown(low)} – ${shown(high)})` : shown(value),
    ...(judged ? [known(measured) ? shown(measured) : "–", known(error) ? `${error > 0 ? "+" : ""}${formatNumber(100 * error, 2)}%` : "–", known(inside) ? element("span", { className: inside ? "good" : "bad", textContent: say(inside ? "runs.inside" : "runs.outside") }) : "–"] : []),
  ]);
  const heads = ["runs.quantity", "runs.forecast", ...(judged ? ["runs.measured", "runs.error", "runs.judged"] : [])].map((key) => say(key));
  const made = forecast?.created ? element("p", { className: "dim", textContent: say("runs.forecast-made", { when: formatTime(Date.parse(forecast.created) / 1000) }) }) : null;
  return section("runs.verdict", judged ? null : element("p", { className: "dim", textContent: say("runs.not-judged") }), table(heads, rows), made);
}

/** Several runs in one table, each with the command that makes it again. */
export function comparison(found) {
  const heads = ["runs.run", "runs.forecast-loss", "runs.measured", "runs.time", "metric.tokens", "runs.memory", "align.gold", "runs.again"].map((key) => say(key));
  return section("runs.compared", table(heads, found.map((run) => {
    const result = run.results["pretrain/result.json"] ?? {};
    const told = run.verdict ?? run.forecast;
    return [
      run.name,
      told ? `${formatNumber(told.loss, 4)} (${formatNumber(told.low, 4)} – ${formatNumber(told.high, 4)})` : "–",
      result.loss === undefined ? "–" : formatNumber(result.loss, 4),
      seconds(result.seconds),
      result.tokens === undefined ? "–" : formatNumber(result.tokens),
      megabytes(result.peak_memory_bytes),
      estimate(outcomeOf(run)?.models.at(-1)?.gold?.gold),
      run.command ? element("code", {}, plain(run.command)) : "–",
    ];
  })));
}

/** Which files of the run could not be read. */
export function damage(run) {
  if (!run.unreadable.length) return null;
  return element("p", { className: "bad", textContent: say("runs.unreadable", { files: run.unreadable.join(", ") }) });
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
