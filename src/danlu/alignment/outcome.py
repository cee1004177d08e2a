"""What alignment came to: each model on the held-out prompts, side by side; one file, `outcome.json`.

Plain records and what follows from scores that are there already; sampling and scoring are `assess`'s.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from danlu.alignment.overoptimisation import Curve, Form, Interval, fit, proxy_misleads
from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.strict import from_mapping, to_mapping
from danlu.corpus.toy.instructions import Instruction
from danlu.evaluation.gold import Answer, Estimate, GoldReport, difference, estimate, gold_report, gold_values, win_rate

_SAMPLES_EACH = 2
"""Prompts that are shown with their answers, of each language and kind of instruction."""


@dataclass(frozen=True)
class Responses:
    """One model's responses to the held-out prompts, in their order."""

    name: str
    """base, sft, best-of-4, ppo, or round-2 and so on."""
    texts: tuple[str, ...]
    ended: tuple[bool, ...]
    """Whether each came to its own end."""
    tokens: tuple[int, ...]
    """Lengths, the end token included."""
    rewards: tuple[float, ...] = ()
    """The reward model's scores; empty without one."""
    kl: float | None = None
    """KL from the SFT model (nats a response); None where it is not known."""
    bits_per_byte: float | None = None
    """Of the base corpus's held-out text; None where it was not measured."""


@dataclass(frozen=True)
class ModelOutcome:
    """How one model did."""

    name: str
    gold: GoldReport | None
    """None where the prompts have no gold score."""
    reward: Estimate | None
    """Mean score by the reward model."""
    ended: float
    """Share of the responses that came to their own end."""
    tokens: float
    """Mean length."""
    kl: float | None
    bits_per_byte: float | None


@dataclass(frozen=True)
class Comparison:
    """Two models on the same prompts."""

    first: str
    second: str
    by: Literal["gold", "reward"]
    wins: Estimate
    """Share of the prompts on which the first scores higher; ties count half."""
    gain: Estimate
    """Mean of the first's scores less the second's."""


@dataclass(frozen=True)
class RewardOutcome:
    """How far the reward model is right."""

    comparisons: int
    """Untied pairs that it learned from."""
    labels: Estimate | None
    """Agreement with held-out rankings, whose makers err themselves."""
    gold: Estimate | None
    """Agreement with the gold score on held-out pairs that are not tied: further apart than the labellers' tie band."""
    length: Estimate | None
    """What always preferring the longer completion, or always the shorter where that is better, reaches there."""
    labellers: Estimate | None
    """Agreement of the labellers with the gold score on the same pairs."""
    gold_all: Estimate | None = None
    """Agreement with the gold score on all held-out pairs whose gold differs at all, those in the tie band included."""
    models: int = 1
    """How many models judge together: the score is their mean."""


@dataclass(frozen=True)
class Point:
    """Proxy and gold at one distance from the SFT model."""

    kl: float
    """nats a response."""
    proxy: float
    """The reward model's mean score."""
    gold: float | None
    """The mean gold score."""


@dataclass(frozen=True)
class Ends:
    """A fitted number with its interval."""

    value: float
    low: float | None
    high: float | None
    """None: without bound."""


@dataclass(frozen=True)
class GaoFit:
    """Gao's form through the gold scores, as `overoptimisation.Curve` has it, in numbers that JSON knows."""

    alpha: Ends
    beta: Ends
    peak: Ends | None
    """Where gold is highest (d); None where the curve does not turn."""
    best: float | None
    """The gold score there, counted from the start."""
    peak_seen: bool
    r_squared: float | None
    residual: float
    points: int
    confidence: float


@dataclass(frozen=True)
class OptimisationCurve:
    """Proxy and gold against the distance, along one way of optimising."""

    way: Form
    points: tuple[Point, ...]
    fit: GaoFit | None
    """Gao's form through the gold scores; None where there are too few."""
    misled: bool
    """Whether at the end the proxy rose and gold fell, both beyond chance."""


@dataclass(frozen=True)
class Sample:
    """One prompt with what each model answers."""

    prompt: str
    language: str
    kind: str
    answers: Mapping[str, str]
    """By model."""
    gold: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """All of it."""

    models: tuple[ModelOutcome, ...]
    comparisons: tuple[Comparison, ...]
    reward_model: RewardOutcome | None
    curves: tuple[OptimisationCurve, ...]
    samples: tuple[Sample, ...]
    prompts: int
    """Held-out prompts."""

    def model(self, name: str) -> ModelOutcome:
        """A model by its name."""
        return next(model for model in self.models if model.name == name)


def outcome_of(
    prompts: Sequence[str],
    instructions: Sequence[Instruction] | None,
    responses: Sequence[Responses],
    reward_model: RewardOutcome | None,
    curves: Sequence[OptimisationCurve],
    seed: int = 0,
) -> Outcome:
    """Put side by side what the models answered.

    Args:
        prompts: held-out, as text.
        instructions: of the toy language, which have a gold score; None for a user's own prompts.
        responses: of every model, each to all prompts.
        seed: of the bootstraps.
    """
    gold: dict[str, list[float]] = {}
    models = []
    for one in responses:
        report = None
        if instructions is not None:
            answers = [
                Answer(instruction, text, ended, tokens)
                for instruction, text, ended, tokens in zip(instructions, one.texts, one.ended, one.tokens, strict=True)
            ]
            report, gold[one.name] = gold_report(answers, seed), gold_values(answers)
        models.append(
            ModelOutcome(
                one.name,
                report,
                _mean(one.rewards, seed),
                sum(one.ended) / len(one.ended),
                sum(one.tokens) / len(one.tokens),
                one.kl,
                one.bits_per_byte,
            )
        )
    return Outcome(
        models=tuple(models),
        comparisons=tuple(_comparisons(responses, gold, seed)),
        reward_model=reward_model,
        curves=tuple(curves),
        samples=_samples(prompts, instructions, responses, gold),
        prompts=len(prompts),
    )


def curve_of(way: Form, points: Sequence[Point]) -> OptimisationCurve:
    """A curve, with Gao's form fitted where there is gold at four distances behind the first point, the start."""
    golds = [point.gold for point in points if point.gold is not None]
    fitted = None
    if len(golds) == len(points) and len(points) > 4:
        try:
            fitted = _plain(fit([p.kl for p in points[1:]], golds[1:], way, start=golds[0]))
        except DanluError:  # all at one distance: nothing was optimised
            fitted = None
    misled = len(golds) == len(points) and proxy_misleads([point.proxy for point in points], golds)
    return OptimisationCurve(way, tuple(points), fitted, misled)


def _plain(curve: Curve) -> GaoFit:
    def ends(one: Interval) -> Ends:
        return Ends(one.value, *(end if math.isfinite(end) else None for end in (one.low, one.high)))

    return GaoFit(
        ends(curve.alpha),
        ends(curve.beta),
        ends(curve.peak) if curve.peak else None,
        curve.best,
        curve.peak_seen,
        curve.r_squared if math.isfinite(curve.r_squared) else None,
        curve.residual,
        curve.points,
        curve.confidence,
    )


def write_outcome(outcome: Outcome, path: Path) -> None:
    """Write it as JSON."""
    write_json(path, to_mapping(outcome))


def read_outcome(path: Path) -> Outcome:
    """Read it.

    Raises:
        DanluError: there is none, or it is damaged.
    """
    return from_mapping(Outcome, read_json(path), str(path))


def outcome_lines(outcome: Outcome) -> list[str]:
    """The outcome in a few lines for the terminal."""
    lines = []
    for model in outcome.models:
        parts = []
        if model.gold:
            parts.append(f"gold {_words(model.gold.gold)}")
            parts += [f"{language} {_words(one)}" for language, one in model.gold.by_language.items()]
        if model.reward:
            parts.append(f"reward {model.reward.value:.2f}")
        if model.kl is not None:
            parts.append(f"KL {model.kl:.2f} nats")
        if model.bits_per_byte is not None:
            parts.append(f"{model.bits_per_byte:.4f} bits a byte")
        lines.append(f"{model.name:<10}{' · '.join(parts)}")
    lines += [
        f"{one.first} beats {one.second} on {one.wins.value:.0%} of the prompts by {one.by}"
        f" ({one.wins.low:.0%} to {one.wins.high:.0%})"
        for one in outcome.comparisons
    ]
    lines += [
        f"warning: along {'PPO' if curve.way == 'rl' else 'best of n'} the reward model's score rose at last while the"
        " gold score fell: it is being over-optimised"
        for curve in outcome.curves
        if curve.misled
    ]
    return lines


def _words(one: Estimate) -> str:
    return f"{one.value:.3f} ({one.low:.3f}-{one.high:.3f})"


def _mean(values: Sequence[float], seed: int) -> Estimate | None:
    return estimate(values, seed) if values else None


def _comparisons(responses: Sequence[Responses], gold: Mapping[str, Sequence[float]], seed: int) -> list[Comparison]:
    """Every model after SFT against SFT, and PPO against the best of n."""
    by_name = {one.name: one for one in responses}
    later = [one.name for one in responses if one.name not in ("base", "sft")]
    pairs = [(name, "sft") for name in later if "sft" in by_name]
    best = [name for name in later if name.startswith("best-of")]
    pairs += [(name, best[0]) for name in later if best and name not in best]
    found = []
    for first, second in pairs:
        if gold:
            found.append(_comparison(first, second, "gold", gold[first], gold[second], seed))
        a, b = by_name[first].rewards, by_name[second].rewards
        if a and b:
            found.append(_comparison(first, second, "reward", a, b, seed))
    return found


def _comparison(
    first: str, second: str, by: Literal["gold", "reward"], a: Sequence[float], b: Sequence[float], seed: int
) -> Comparison:
    return Comparison(first, second, by, win_rate(a, b, seed), difference(a, b, seed))


def _samples(
    prompts: Sequence[str],
    instructions: Sequence[Instruction] | None,
    responses: Sequence[Responses],
    gold: Mapping[str, Sequence[float]],
) -> tuple[Sample, ...]:
    """The first prompts of each language and kind: not chosen by how well they went."""
    taken: dict[tuple[str, str], int] = {}
    samples = []
    for number, prompt in enumerate(prompts):
        language, kind = (
            (instructions[number].language, instructions[number].kind) if instructions is not None else ("", "")
        )
        taken[language, kind] = taken.get((language, kind), 0) + 1
        if taken[language, kind] > _SAMPLES_EACH:
            continue
        answers = {one.name: one.texts[number] for one in responses}
        samples.append(Sample(prompt, language, kind, answers, {name: values[number] for name, values in gold.items()}))
    return tuple(samples)
