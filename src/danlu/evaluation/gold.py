"""How good a model's answers are by the gold score: means over held-out prompts with intervals, and win rates.

The toy language's gold score (`corpus.toy.gold`) is computed here, from the texts, for reports alone. Nothing that is
optimised calls this: the reward model learns from labellers' rankings, which are noisy, and PPO from the reward model.

Intervals are percentile bootstraps over prompts: what would be seen with other prompts of the same kind.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from danlu.corpus.toy.gold import score
from danlu.corpus.toy.instructions import Instruction

LEVEL = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True)
class Answer:
    """A model's answer to a held-out prompt."""

    instruction: Instruction
    text: str
    ended: bool
    """Whether it came to its own end, and was not cut off."""
    tokens: int
    """How many tokens it has, the end token included."""


@dataclass(frozen=True)
class Estimate:
    """A mean over prompts."""

    value: float
    low: float
    high: float
    """Ends of the interval, at `LEVEL`."""
    count: int
    """Prompts."""


@dataclass(frozen=True)
class GoldReport:
    """What the answers of a model are worth."""

    gold: Estimate
    """Mean gold score, from 0 to 1."""
    by_language: Mapping[str, Estimate] = field(default_factory=dict)
    """`en` and `zh`: the language that the answer is wanted in."""
    by_kind: Mapping[str, Estimate] = field(default_factory=dict)
    """By kind of instruction."""
    constraints: Mapping[str, Estimate] = field(default_factory=dict)
    """How far the constraints of each kind are met; the mean of all under `all`."""
    ended: float = 0.0
    """Share of the answers that came to their own end."""
    tokens: float = 0.0
    """Mean length (tokens)."""


def gold_values(answers: Sequence[Answer]) -> list[float]:
    """The gold score of each answer."""
    return [score(answer.instruction, answer.text).value for answer in answers]


def gold_report(answers: Sequence[Answer], seed: int = 0) -> GoldReport:
    """Score answers and average them; at least one.

    Args:
        seed: of the bootstrap.
    """
    scores = [score(answer.instruction, answer.text) for answer in answers]
    values = [one.value for one in scores]
    languages: dict[str, list[float]] = defaultdict(list)
    kinds: dict[str, list[float]] = defaultdict(list)
    met: dict[str, list[float]] = defaultdict(list)
    for answer, one in zip(answers, scores, strict=True):
        languages[answer.instruction.language].append(one.value)
        kinds[answer.instruction.kind].append(one.value)
        for constraint, share in zip(answer.instruction.constraints, one.constraints, strict=True):
            met[constraint.kind].append(share)
    if met:
        met["all"] = [share for shares in met.values() for share in shares]
    return GoldReport(
        gold=estimate(values, seed),
        by_language=_estimates(languages, seed),
        by_kind=_estimates(kinds, seed),
        constraints=_estimates(met, seed),
        ended=float(np.mean([answer.ended for answer in answers])),
        tokens=float(np.mean([answer.tokens for answer in answers])),
    )


def win_rate(scores: Sequence[float], others: Sequence[float], seed: int = 0, tie: float = 1e-9) -> Estimate:
    """How often the first answers score higher than the second ones to the same prompts; a tie is half a win.

    Args:
        tie: scores nearer than this are equal.
    """
    gaps = np.asarray(scores, float) - np.asarray(others, float)
    return estimate(np.where(np.abs(gaps) <= tie, 0.5, (gaps > 0).astype(float)), seed)


def difference(scores: Sequence[float], others: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of the first less that of the second, paired by prompt: surer than two intervals side by side."""
    return estimate(np.asarray(scores, float) - np.asarray(others, float), seed)


def pair_agreement(
    scores: Iterable[Sequence[float]], gold: Iterable[Sequence[float]], tie: float = 1e-9, seed: int = 0
) -> Estimate | None:
    """How often a score puts two answers to a prompt into the order that gold does; None without a pair to compare.

    Args:
        scores, gold: for each prompt, of its answers.
        tie: pairs whose gold scores are no further apart do not count.

    Returns:
        The share over all pairs; the interval resamples prompts, whose pairs hang together.
    """
    right, pairs = [], []
    for mine, true in zip(scores, gold, strict=True):
        a, b = np.asarray(mine, float), np.asarray(true, float)
        first, second = np.triu_indices(len(b), 1)
        gap = b[first] - b[second]
        untied = np.abs(gap) > tie
        same = np.sign(a[first] - a[second]) == np.sign(gap)
        if untied.any():
            right.append(int((same & untied).sum()))
            pairs.append(int(untied.sum()))
    if not pairs:
        return None
    r, p = np.array(right, float), np.array(pairs, float)
    picks = np.random.default_rng(seed).integers(0, len(p), (_RESAMPLES, len(p)))
    low, high = np.quantile(r[picks].sum(1) / p[picks].sum(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(r.sum() / p.sum()), float(low), float(high), int(p.sum()))


def estimate(values: Sequence[float] | NDArray[np.float64], seed: int = 0) -> Estimate:
    """The mean of at least one value, with its interval."""
    array = np.asarray(values, float)
    picks = np.random.default_rng(seed).integers(0, len(array), (_RESAMPLES, len(array)))
    low, high = np.quantile(array[picks].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


def _estimates(groups: Mapping[str, Sequence[float]], seed: int) -> dict[str, Estimate]:
    return {name: estimate(groups[name], seed) for name in sorted(groups)}
