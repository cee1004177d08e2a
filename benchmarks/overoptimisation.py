"""Gao's picture on the toy language: gold against KL for reward models of several sizes and amounts of labels.

    python benchmarks/overoptimisation.py RUN --out DIR [--widths 16 24 48] [--labels 100 400 1600] [--episodes 3072]

RUN is a finished `danlu run` on the toy language. Its SFT model is the policy of every cell and never changes; the
reward models begin as models of their own, of each width, all pretrained here on as many of RUN's tokens and taught on
RUN's demonstrations. Completions of the SFT model are ranked by the gold score itself, without noise, as Gao, Schulman
and Hilton did (2022, arXiv 2210.10760, section 2), of which each reward model learns as many comparisons as its column
says. The best of 1 to 32 is estimated from 32 samples of each held-out prompt; PPO then optimises the reward model
without a KL penalty and without pretraining data, gold being watched batch by batch. Gao's two forms are fitted, PPO's
from the gold that many answers of the SFT model to PPO's own prompts have.

Every part is kept in DIR and found again by the same command: it can be stopped and continued, also within a part. It
ends with a table and a picture (DIR/cells.json, DIR/overoptimisation.svg), in which wider models are darker, more
labels are thicker, dots are what was measured, lines Gao's forms, and rings their peaks.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from danlu.alignment.assess import Drawn, Voice, best_of_n_curve, draw
from danlu.alignment.experience import Reward
from danlu.alignment.guards import GuardConfig
from danlu.alignment.labeller import SimulatedLabellers
from danlu.alignment.labeller_config import LabellerConfig
from danlu.alignment.learning import Begin, Weights, learn
from danlu.alignment.material import Material, read_material, read_rankings, write_rankings
from danlu.alignment.outcome import Ends, GaoFit, OptimisationCurve, Point, curve_of
from danlu.alignment.overoptimisation import Form, design
from danlu.alignment.queries import Query, fitting
from danlu.alignment.rank import judge_reward_model, ranking_tasks
from danlu.alignment.reward import run_reward
from danlu.alignment.reward_scorer import RewardScorer
from danlu.alignment.road_config import AlignmentConfig
from danlu.alignment.sft import run_sft
from danlu.common.files import read_json, write_json
from danlu.common.progress import Progress
from danlu.common.strict import from_mapping, to_mapping
from danlu.feedback.records import Ranking
from danlu.model.family import shape
from danlu.model.huggingface import load_pretrained
from danlu.model.transformer import Transformer
from danlu.pipeline.align_judging import gold_of
from danlu.pipeline.aligning import encode_all, gold_judge, reward_of, value_network, voice_of
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.judging import load_transformer
from danlu.pipeline.recipe import Recipe, read_recipe
from danlu.pipeline.trainings import train_target
from danlu.report import svg
from danlu.tokens.build import read_tokens_summary
from danlu.tokens.chat import load_chat

SAMPLES = 32


@dataclass(frozen=True)
class Bench:
    """What every cell shares."""

    run: RunFolder
    out: Path
    recipe: Recipe
    config: AlignmentConfig
    material: Material
    report: Progress
    options: argparse.Namespace
    samples: list[Drawn] = field(default_factory=list)
    """Of the policy, once they are drawn."""
    practice: list[float] = field(default_factory=list)
    """Mean gold of the policy's answers to PPO's prompts, once it is known."""


def start_of(bench: Bench, width: int) -> Path:
    """A model of a width that has seen RUN's text and demonstrations: what a reward model begins as."""
    place, run, recipe = bench.out / f"width-{width}", bench.run, bench.recipe
    if not (place / "sft" / "result.json").exists():
        summary = read_tokens_summary(run.tokens)
        training = replace(recipe.training, evaluations=1)
        model = shape(width, summary.vocab_size, training.context)
        train_target(model, run.tokens, bench.options.tokens, training, place / "base", bench.report)
        sft = replace(bench.config.sft, context=bench.config.context)
        shown = bench.material
        base, mixed = place / "base" / "model", run.tokens if sft.pretraining_share else None
        out = place / "sft"
        run_sft(base, shown.demonstrations, shown.validation, sft, out, bench.report, pretraining=mixed)
    return place / "sft" / "model"


def all_rankings(bench: Bench) -> list[Ranking]:
    """Completions of the SFT model in gold's own order; ties where gold is equal."""
    path = bench.out / "rankings.jsonl"
    if not path.exists():
        sft, config = bench.run.sft / "model", bench.config
        chat = load_chat(sft)
        policy = load_transformer(sft, bench.recipe.training.device, bench.recipe.training.precision)
        queries = encode_all((*bench.material.comparisons, *bench.material.ppo), chat)
        asked = fitting(queries, policy.config.max_position_embeddings, config.ppo.max_new_tokens).queries
        wanted = max(bench.options.labels) // 4 + 200
        drawn = draw(policy, asked[:wanted], voice_of(chat, config), None, config.completions)
        tasks = ranking_tasks(asked[:wanted], drawn.texts, config.completions, 0.0, "sft")
        write_rankings(SimulatedLabellers(LabellerConfig(annotators=1, tie_band=0.0), noise=0.0).rankings(tasks), path)
    return read_rankings(path)


def first_comparisons(rankings: Sequence[Ranking], count: int) -> list[Ranking]:
    """The first rankings, until they hold so many comparisons."""
    taken, held = [], 0
    for ranking in rankings:
        if held >= count:
            break
        taken.append(ranking)
        held += sum(1 for _ in ranking.pairs())
    return taken


def samples_of(bench: Bench, policy: Transformer, queries: Sequence[Query], voice: Voice) -> Drawn:
    """The policy's answers to the held-out prompts: the same for every reward model."""
    if not bench.samples:
        bench.samples.append(draw(policy, queries, voice, None, SAMPLES))
    return bench.samples[0]


def practice_gold(bench: Bench, policy: Transformer, queries: Sequence[Query], voice: Voice) -> float:
    """Where PPO's curves begin: gold of the policy's answers to PPO's prompts, two to each of the first thousand."""
    if not bench.practice:
        some = queries[:1000]
        golds = gold_of(some, draw(policy, some, replace(voice, seed=voice.seed + 7), None, 2).texts, 2)
        assert golds is not None, "prompts of the toy language"
        bench.practice.append(float(np.mean(golds)))
    return bench.practice[0]


def rl_curve(metrics: Sequence[Mapping[str, float]], start: float) -> OptimisationCurve:
    """PPO's curve with Gao's form fitted through every batch behind the first, which is the start's own."""
    batches = [line for line in metrics if "objective/gold" in line]
    kls = [max(line["objective/kl"], 0.0) for line in batches]
    golds = [line["objective/gold"] for line in batches]
    proxies = [line["objective/scores"] for line in batches]
    points = (Point(0.0, proxies[0], start), *map(Point, kls[1:], proxies[1:], golds[1:]))
    return curve_of("rl", points)


def rewarded(drawn: Drawn, queries: Sequence[Query], reward: Reward, voice: Voice) -> Drawn:
    """Answers with a reward model's scores, as `draw` gives them."""
    every = [query for query in queries for _ in range(SAMPLES)]
    scores = reward(every, drawn.rollout.responses()).double().numpy()
    lost = voice.missing_eos_score
    return replace(drawn, rewards=scores if lost is None else np.where(drawn.ended, scores, lost))


def cell(bench: Bench, width: int, labels: int, rankings: Sequence[Ranking]) -> Mapping[str, Any]:
    """One reward model, optimised against in both ways."""
    place = bench.out / f"width-{width}-labels-{labels}"
    if (place / "cell.json").exists():
        found: Mapping[str, Any] = read_json(place / "cell.json")
        return found
    training = bench.recipe.training
    aside, rest = rankings[:100], rankings[100:]
    some = first_comparisons(rest, labels)
    shown = bench.material.demonstrations[:200]
    learning = replace(bench.config.reward, epochs=bench.options.reward_epochs, batch_size=8)
    run_reward(start_of(bench, width), some, [], shown, learning, place, bench.report)
    scorer = RewardScorer.load(place / "model", training.device, training.precision)
    judged = judge_reward_model(some, aside, scorer, bench.config.labeller.tie_band)
    chat = load_chat(bench.run.sft / "model")
    policy = load_transformer(bench.run.sft / "model", training.device, training.precision)
    voice = voice_of(chat, bench.config)
    room = policy.config.max_position_embeddings
    reward = reward_of(place / "model", chat, bench.recipe)
    held_out = fitting(encode_all(bench.material.held_out, chat), room, voice.max_new_tokens).queries
    many = rewarded(samples_of(bench, policy, held_out, voice), held_out, reward, voice)
    best = best_of_n_curve(many, SAMPLES, gold_of(held_out, many.texts, SAMPLES))
    ppo = replace(
        bench.config.ppo,
        beta=0.0,
        ptx_coef=0.0,
        episodes=bench.options.episodes,
        batch_size=bench.options.batch,
        minibatch_size=bench.options.minibatch,
        epochs=bench.options.epochs,
        lr=bench.options.lr,
        guards=GuardConfig(kl_action="off"),
        device=training.device,
        precision=training.precision,
    )
    practised = fitting(encode_all(bench.material.ppo, chat), room, ppo.max_new_tokens).queries
    weights = Weights(*load_pretrained(bench.run.sft / "model"))
    begin = Begin(weights, value_network(place / "model"), (chat.end,), chat.pad)
    learn(ppo, begin, practised, reward, place / "ppo", bench.report, gold=gold_judge(chat))
    lines = (place / "ppo" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    start = practice_gold(bench, policy, practised, voice)
    curves = [best, rl_curve([json.loads(line) for line in lines], start)]
    made: dict[str, Any] = {"width": width, "labels": judged.comparisons}
    made |= {"reward_model": to_mapping(judged), "curves": to_mapping(curves)}
    write_json(place / "cell.json", made)
    return made


def line_of(made: Mapping[str, Any]) -> str:
    """A cell for the table."""
    accuracy = made["reward_model"]["gold"]
    words = [f"{made['width']:>5} {made['labels']:>7,} {accuracy['value'] if accuracy else float('nan'):>9.1%}"]
    for plain in made["curves"]:
        curve = from_mapping(OptimisationCurve, plain, "a cell")
        golds = [point.gold for point in curve.points if point.gold is not None]
        fit = curve.fit
        if fit is None or not golds:
            words.append(f"{curve.way:>10}: no fit")
            continue
        words.append(
            f"{curve.way:>10}: gold {golds[0]:.3f}, highest {max(golds):.3f}, last {golds[-1]:.3f}; {_fitted(fit)}"
            f"{'; misled' if curve.misled else ''}"
        )
    return "  ".join(words)


def _fitted(fit: GaoFit) -> str:
    """A fit with its intervals."""

    def ends(one: Ends) -> str:
        low, high = ("none" if end is None else f"{end:.3f}" for end in (one.low, one.high))
        return f"{one.value:.3f} ({low} to {high})"

    peak = f"{ends(fit.peak)}{', seen' if fit.peak_seen else ''}" if fit.peak else "none"
    return f"alpha {ends(fit.alpha)} beta {ends(fit.beta)} peak d {peak}"


def picture(made: Sequence[Mapping[str, Any]]) -> str:
    """Gold against the square root of the KL, a line for each cell: best of n on the left, PPO on the right."""
    widths, labels = sorted({one["width"] for one in made}), sorted({one["labels"] for one in made})

    def look(one: Mapping[str, Any]) -> tuple[str, float]:
        shade = 75 - 55 * widths.index(one["width"]) / max(len(widths) - 1, 1)
        return f"hsl(12 70% {shade:.0f}%)", 1.2 + 2.4 * labels.index(one["labels"]) / max(len(labels) - 1, 1)

    parts = [*_panel(made, "best_of_n", 60.0, "best of n", look), *_panel(made, "rl", 500.0, "PPO", look)]
    for row, one in enumerate(made):
        colour, thick = look(one)
        y = 34 + 22 * row
        style = f"stroke:{colour};stroke-width:{thick:.1f}"
        parts.append(svg.element("line", x1="910", y1=f"{y - 4}", x2="934", y2=f"{y - 4}", style=style))
        parts.append(svg.label(940, y, f"width {one['width']}, {one['labels']:,} pairs", "tick"))
    parts.append(svg.element("style", "text{font:12px sans-serif;fill:#666}.axis{stroke:#888}"))
    return svg.element("svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox="0 0 1090 460")


def _panel(
    made: Sequence[Mapping[str, Any]], way: Form, left: float, title: str, look: Callable[..., tuple[str, float]]
) -> list[svg.Child]:
    """One way of optimising: lines are what was measured for best of n and Gao's form for PPO, whose batches are dots
    (four averaged); rings are the highest places, if they are not the ends.
    """
    width, top, bottom = 380.0, 40.0, 410.0
    lines = []
    for one in made:
        curve = next(from_mapping(OptimisationCurve, plain, "a cell") for plain in one["curves"] if plain["way"] == way)
        seen = sorted((point.kl**0.5, point.gold) for point in curve.points if point.gold is not None)
        lines.append((one, seen, _form(curve, seen[-1][0]) if way == "rl" else seen))
    if way == "rl":
        lines = [(one, _averaged(seen, 4), line) for one, seen, line in lines]
    every = [point for _, seen, line in lines for point in (*seen, *line)]
    far, low, high = max(x for x, _ in every), min(y for _, y in every), max(y for _, y in every)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x / far * width, bottom - (y - low) / (high - low) * (bottom - top)

    parts: list[svg.Child] = [svg.line(left, bottom, left + width, bottom, "axis"), svg.label(left, top - 16, title)]
    ticks = svg.linear_ticks(low, high, 6)
    parts += [svg.label(left - 8, place(0, y)[1] + 4, f"{y:.2f}", "tick", "end") for y in ticks]
    parts += [
        svg.label(place(x, low)[0], bottom + 20, f"{x:g}", "tick", "middle") for x in svg.linear_ticks(0.0, far, 8)
    ]
    parts.append(svg.label(left + width, bottom + 42, "d = sqrt(KL), nats^(1/2)", "axis-name", "end"))
    parts.append(svg.label(left + 90, top - 16, "mean gold score", "axis-name"))
    for one, seen, line in lines:
        colour, thick = look(one)
        tip = svg.element("title", f"width {one['width']}, {one['labels']:,} comparisons")
        if way == "rl":
            parts += [_dot(place(*point), 1.8, f"fill:{colour};fill-opacity:.7") for point in seen]
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        style = f"fill:none;stroke:{colour};stroke-width:{thick:.1f}"
        parts.append(svg.element("polyline", tip, points=steps, style=style))
        peak = max(line, key=lambda point: point[1])
        if peak not in (line[0], line[-1]):
            parts.append(_dot(place(*peak), 4, style.replace("none", "white", 1)))
    return parts


def _dot(place: tuple[float, float], radius: float, style: str) -> svg.Child:
    return svg.element("circle", cx=f"{place[0]:.1f}", cy=f"{place[1]:.1f}", r=radius, style=style)


def _averaged(points: Sequence[tuple[float, float]], size: int) -> list[tuple[float, float]]:
    """Neighbours' means."""
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _form(curve: OptimisationCurve, far: float) -> list[tuple[float, float]]:
    """Gao's form along the distances that were measured."""
    start = curve.points[0].gold
    if curve.fit is None or start is None:
        return []
    distances = np.linspace(0.0, far, 60)
    golds = start + design(distances, curve.way) @ np.array([curve.fit.alpha.value, curve.fit.beta.value])
    return list(zip(distances.tolist(), golds.tolist(), strict=True))


def main() -> None:
    """Every cell, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 24, 48])
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 400, 1600], help="comparisons")
    parser.add_argument("--episodes", type=int, default=3072)
    parser.add_argument("--batch", type=int, default=128, help="responses before the policy changes, a point each")
    parser.add_argument("--minibatch", type=int, default=32, help="responses of an optimizer step")
    parser.add_argument("--epochs", type=int, default=1, help="PPO's passes over each batch")
    parser.add_argument("--lr", type=float, default=1e-3, help="PPO's at the recipe's lr_width")
    parser.add_argument("--tokens", type=int, default=500_000, help="pretraining of each reward model's beginning")
    parser.add_argument("--reward-epochs", type=float, default=4.0)
    options = parser.parse_args()
    run, recipe, report = RunFolder(options.run), read_recipe(options.run / "recipe.toml"), Progress()
    bench = Bench(run, options.out, recipe, recipe.alignment, read_material(run.demonstrations), report, options)
    rankings = all_rankings(bench)
    made = [cell(bench, width, labels, rankings) for width in options.widths for labels in options.labels]
    write_json(options.out / "cells.json", made)
    (options.out / "overoptimisation.svg").write_text(picture(made), encoding="utf-8")
    report("width  labels  agrees with gold")
    for one in made:
        report(line_of(one))


if __name__ == "__main__":
    main()
