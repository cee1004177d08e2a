// What alignment came to: the models side by side on held-out prompts, each round, and how the answers changed.

import { element, formatNumber, say } from "../common.js";
import { plain } from "../text.js";
import { section, table } from "./tables.js";

const SHOWN = 6; // prompts whose answers are shown
const OUTCOME = "align/outcome.json";

export const estimate = (found, digits = 3) => (found ? `${formatNumber(found.value, digits)} (${formatNumber(found.low, digits)} – ${formatNumber(found.high, digits)})` : "–");
const share = (found) => (found ? `${formatNumber(100 * found.value, 3)}% (${formatNumber(100 * found.low, 3)} – ${formatNumber(100 * found.high, 3)})` : "–");
const number = (value, digits = 3) => (value === null || value === undefined ? "–" : formatNumber(value, digits));

export const outcomeOf = (run) => run.results?.[OUTCOME] ?? null;

export function alignment(run) {
  const outcome = outcomeOf(run);
  if (!outcome) return null;
  const models = table(
    ["align.model", "align.gold", "align.reward", "align.kl", "align.ended", "align.tokens", "align.bits"].map((key) => say(key)),
    outcome.models.map((each) => [each.name, estimate(each.gold?.gold), estimate(each.reward), number(each.kl), `${number(100 * each.ended)}%`, number(each.tokens), number(each.bits_per_byte, 4)]),
  );
  const beats = outcome.comparisons.map(({ first, second, by, wins }) => element("li", { textContent: say(`align.beats.${by}`, { first, second, wins: share(wins) }) }));
  const reward = outcome.reward_model;
  const right = reward && element("p", { textContent: say("align.right", { labels: share(reward.labels), gold: share(reward.gold), length: share(reward.length), comparisons: formatNumber(reward.comparisons) }) });
  const misled = outcome.curves.filter((curve) => curve.misled).map((curve) => element("p", { className: "bad", textContent: say("align.misled", { way: curve.way === "rl" ? "PPO" : "best of n" }) }));
  return section("align.title", element("p", { className: "dim", textContent: say("align.prompts", { prompts: outcome.prompts }) }), models, element("ul", {}, beats), right, ...misled);
}

/** The same prompts, answered by each model on the road in turn. */
export function answers(run) {
  const outcome = outcomeOf(run);
  if (!outcome?.samples?.length) return null;
  const every = Math.max(1, Math.floor(outcome.samples.length / SHOWN));
  const some = outcome.samples.filter((_, place) => place % every === 0).slice(0, SHOWN);
  const names = outcome.models.map(({ name }) => name);
  return section(
    "align.answers",
    ...some.map(({ prompt, answers: given, gold }) =>
      element(
        "div",
        { className: "sample" },
        element("p", { className: "plain", dir: "auto" }, element("b", {}, plain(prompt))),
        element("dl", {}, names.filter((name) => name in given).flatMap((name) => [element("dt", {}, plain(name), gold && name in gold ? ` · ${say("align.gold")} ${formatNumber(gold[name], 2)}` : ""), element("dd", { className: "plain", dir: "auto" }, plain(given[name]))])),
      ),
    ),
  );
}
