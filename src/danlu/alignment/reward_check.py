"""How far a reward model is right: agreement with held-out rankings, beside a rule that looks at lengths alone.

Every pair of a ranking that is not tied counts once; intervals draw prompts anew, for the pairs of a prompt are alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danlu.alignment.texts import RankedTexts
from danlu.feedback.agreement import Estimate, bootstrap

_BINS = 5
Scores = Sequence[Sequence[float]]
"""A score for each completion of each ranking."""


@dataclass(frozen=True)
class Bin:
    """The pairs whose margins are alike."""

    pairs: int
    margin: float
    """Mean distance of the two scores."""
    expected: float
    """Mean of sigmoid(margin): how often the model expects to be right."""
    accuracy: float
    """How often it is."""


@dataclass(frozen=True)
class RewardCheck:
    """A reward model beside held-out rankings."""

    accuracy: Estimate
    """Share of the untied pairs in the right order, equal scores counting half."""
    length: Estimate
    """What the better of `longer wins` and `shorter wins` reaches on the same pairs."""
    length_rule: str
    """Which of the two."""
    pairs: int
    calibration_error: float
    """Mean distance of expected and seen accuracy over the bins, weighted by their pairs."""
    by_margin: tuple[Bin, ...]
    """The pairs in bins of equal number, from near to far scores."""
    length_correlation: float | None
    """Pearson's, of score and length within prompts; None where either does not vary."""
    mean_loss: float
    """-log sigmoid(r_w - r_l), mean over pairs (ln 2 knows nothing)."""


def check(rankings: Sequence[RankedTexts], scores: Scores) -> RewardCheck:
    """Compare scores with rankings."""
    margins, lengths, owners = _pairs(rankings, scores)
    by_length = _accuracy(lengths, owners, len(rankings))
    by_shortness = _accuracy(-lengths, owners, len(rankings))
    longer = by_length.value >= by_shortness.value
    bins = _bins(margins)
    return RewardCheck(
        accuracy=_accuracy(margins, owners, len(rankings)),
        length=by_length if longer else by_shortness,
        length_rule="longer wins" if longer else "shorter wins",
        pairs=len(margins),
        calibration_error=sum(b.pairs * abs(b.expected - b.accuracy) for b in bins) / max(1, len(margins)),
        by_margin=bins,
        length_correlation=_length_correlation(rankings, scores),
        mean_loss=float(np.logaddexp(0.0, -margins).mean()) if len(margins) else math.nan,
    )


def disagreement(members: Sequence[Scores]) -> float:
    """Standard deviation of the margins between the members of an ensemble, mean over all pairs of completions."""
    spread = [
        np.std([member[i][a] - member[i][b] for member in members])
        for i, group in enumerate(members[0])
        for a in range(len(group))
        for b in range(a)
    ]
    return float(np.mean(spread)) if spread else math.nan


def _pairs(
    rankings: Sequence[RankedTexts], scores: Scores
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """For every untied pair: score and length of the better one minus the other's, and its ranking's number."""
    rows = [
        (group[a] - group[b], ranking.lengths[a] - ranking.lengths[b], number)
        for number, (ranking, group) in enumerate(zip(rankings, scores, strict=True))
        for a, rank in enumerate(ranking.ranks)
        for b, other in enumerate(ranking.ranks)
        if rank < other
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2].astype(np.int64)


def _accuracy(margins: NDArray[np.float64], owners: NDArray[np.int64], count: int) -> Estimate:
    right = (margins > 0) + 0.5 * (margins == 0)
    per_prompt = np.zeros((count, 2))
    np.add.at(per_prompt, owners, np.column_stack([right, np.ones(len(right))]))
    with np.errstate(invalid="ignore"):
        return bootstrap(per_prompt, lambda sums: sums[:, 0] / sums[:, 1])


def _bins(margins: NDArray[np.float64]) -> tuple[Bin, ...]:
    order = margins[np.argsort(np.abs(margins), kind="stable")]
    found = []
    for part in np.array_split(order, _BINS):
        if len(part):
            size = np.abs(part)
            right = (part > 0) + 0.5 * (part == 0)
            expected = 1 / (1 + np.exp(-size))
            found.append(Bin(len(part), float(size.mean()), float(expected.mean()), float(right.mean())))
    return tuple(found)


def _length_correlation(rankings: Sequence[RankedTexts], scores: Scores) -> float | None:
    mine = [np.array(group) - np.mean(group) for group in scores]
    theirs = [np.array(ranking.lengths) - np.mean(ranking.lengths) for ranking in rankings]
    a, b = (np.concatenate(parts) if parts else np.empty(0) for parts in (mine, theirs))
    spread = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / spread if spread else None
