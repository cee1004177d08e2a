"""Ratings of models from rankings of what they wrote: Bradley-Terry and Plackett-Luce, with intervals.

Plackett-Luce says that of a set of completions the best is i with probability exp(s_i) / sum exp(s_j), the second best
is drawn from the rest in the same way, and so on; of two completions that is Bradley-Terry. Strengths are found by
maximum likelihood (Newton's method; the likelihood is concave), their mean is 0, and the intervals are Wald's, from the
inverse of the information. Sources: Bradley and Terry 1952; Luce 1959; Plackett 1975; Ford 1957; Hunter 2004.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
import numpy.typing as npt

from danlu.common.errors import DanluError
from danlu.feedback.records import Ranking

ELO = 400 / math.log(10)
"""Points of Elo's scale in a unit of strength: 400 points are odds of ten to one."""
_Z = 1.959963984540054  # the normal distribution's 97.5% quantile
_STEPS = 100


@dataclass(frozen=True)
class Rating:
    """How strong one model is."""

    name: str
    strength: float
    """Natural logarithm of its odds, the mean over all models being 0."""
    low: float
    high: float
    """The 95% interval of the strength."""
    comparisons: float
    """Untied and tied pairs (or choices) that it took part in."""

    @property
    def elo(self) -> float:
        """The strength in points of Elo's scale, around 0."""
        return ELO * self.strength


@dataclass(frozen=True)
class Choice:
    """One model was preferred to all others of a set."""

    best: str
    others: tuple[str, ...]
    weight: float = 1.0


def win_probability(first: Rating, second: Rating) -> float:
    """The probability that the first model's completion is preferred."""
    return 1.0 / (1.0 + math.exp(second.strength - first.strength))


def bradley_terry(rankings: Iterable[Ranking]) -> list[Rating]:
    """Ratings of the completions' sources, the strongest first, from all pairs; a tie is half a win for each.

    Intervals treat pairs as independent; those of one ranking are not quite, so that they are somewhat too narrow.

    Raises:
        DanluError: the rankings do not name sources, or do not connect them (see `fit`).
    """
    choices = []
    for ranking in _with_sources(rankings):
        for i, j in combinations(range(ranking.num_completions), 2):
            a, b = ranking.completion_sources[i], ranking.completion_sources[j]
            if a == b:
                continue
            if ranking.ranks[i] == ranking.ranks[j]:
                choices += [Choice(a, (b,), 0.5), Choice(b, (a,), 0.5)]
            else:
                best, other = (a, b) if ranking.ranks[i] < ranking.ranks[j] else (b, a)
                choices.append(Choice(best, (other,)))
    return fit(choices)


def plackett_luce(rankings: Iterable[Ranking]) -> list[Rating]:
    """Ratings of the completions' sources, the strongest first, from whole rankings.

    Rankings with ties have no place in the model: each stands for all its orders without ties, counted together as one
    (so at most five completions may be tied). Two completions of one source in a ranking are refused.

    Raises:
        DanluError: see `bradley_terry`.
    """
    choices = []
    for ranking in _with_sources(rankings):
        names = ranking.completion_sources
        if len(set(names)) < len(names):
            raise DanluError("a ranking has two completions of one source.", "Rate by pairs (Bradley-Terry) instead.")
        levels = sorted(set(ranking.ranks))
        orders = _orders([[n for n, rank in zip(names, ranking.ranks, strict=True) if rank == r] for r in levels])
        for order in orders:
            choices += [Choice(best, tuple(order[i + 1 :]), 1 / len(orders)) for i, best in enumerate(order[:-1])]
    return fit(choices)


def _with_sources(rankings: Iterable[Ranking]) -> Iterable[Ranking]:
    for ranking in rankings:
        if not ranking.completion_sources:
            raise DanluError(
                "a ranking does not say which model wrote its completions.", "Give completion_sources, one for each."
            )
        yield ranking


def _orders(groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """All orders without ties that a ranking with ties allows."""
    if max(len(group) for group in groups) > 5:
        raise DanluError("a ranking ties more than five completions.", "Rate by pairs (Bradley-Terry) instead.")
    orders: list[list[str]] = [[]]
    for group in groups:
        orders = [[*order, *more] for order in orders for more in permutations(group)]
    return orders


def fit(choices: Sequence[Choice]) -> list[Rating]:
    """Strengths by maximum likelihood, the strongest first.

    Raises:
        DanluError: there is no finite answer: some models never lost to, or were never compared with, the others.
    """
    names = sorted({name for choice in choices for name in (choice.best, *choice.others)})
    if len(names) < 2:
        raise DanluError("ratings need comparisons of two models or more.", "Rank completions of different sources.")
    number = {name: i for i, name in enumerate(names)}
    alike: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
    for choice in choices:
        alike[choice.best, tuple(sorted(choice.others))] += choice.weight
    stages = [
        (np.array([number[best], *(number[other] for other in others)]), weight)
        for (best, others), weight in alike.items()
    ]
    _check_connected(names, stages)
    strengths = np.zeros(len(names))
    information = np.zeros((len(names), len(names)))
    before = _likelihood(strengths, stages)
    for _ in range(_STEPS):
        gradient, information = _derivatives(strengths, stages)
        step = np.linalg.pinv(information) @ gradient
        while (after := _likelihood(strengths + step, stages)) < before - 1e-12 * abs(before):
            step /= 2
        strengths, before = strengths + step, after
        strengths -= strengths.mean()
        if np.abs(step).max() < 1e-10:
            break
    _, information = _derivatives(strengths, stages)
    errors = np.sqrt(np.diag(np.linalg.pinv(information)).clip(min=0.0))
    taken = np.zeros(len(names))
    for members, weight in stages:
        taken[members] += weight
    ratings = [
        Rating(name, float(s), float(s - _Z * e), float(s + _Z * e), float(n))
        for name, s, e, n in zip(names, strengths, errors, taken, strict=True)
    ]
    return sorted(ratings, key=lambda rating: (-rating.strength, rating.name))


_Stages = Sequence[tuple[npt.NDArray[np.int64], float]]


def _likelihood(strengths: npt.NDArray[np.float64], stages: _Stages) -> float:
    """The logarithm of the likelihood."""
    total = 0.0
    for members, weight in stages:
        scores = strengths[members]
        top = scores.max()
        total += weight * float(scores[0] - top - math.log(np.exp(scores - top).sum()))
    return total


def _derivatives(
    strengths: npt.NDArray[np.float64], stages: _Stages
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gradient of the log-likelihood, and the information (minus its second derivatives)."""
    gradient = np.zeros(len(strengths))
    information = np.zeros((len(strengths), len(strengths)))
    for members, weight in stages:
        scores = np.exp(strengths[members] - strengths[members].max())
        shares = scores / scores.sum()
        gradient[members] -= weight * shares
        gradient[members[0]] += weight
        information[np.ix_(members, members)] += weight * (np.diag(shares) - np.outer(shares, shares))
    return gradient, information


def _check_connected(names: Sequence[str], stages: _Stages) -> None:
    """There is a finite answer if and only if each model beat, through others perhaps, each other one (Ford 1957)."""
    beats = np.eye(len(names), dtype=bool)
    for members, _ in stages:
        beats[members[0], members[1:]] = True
    for middle in range(len(names)):  # Warshall's transitive closure
        beats |= beats[:, middle : middle + 1] & beats[middle : middle + 1, :]
    apart = np.argwhere(~beats)
    if len(apart):
        loser, winner = names[apart[0][0]], names[apart[0][1]]
        raise DanluError(
            f"the rankings do not settle the ratings: {loser} never beat {winner}, not even through others.",
            "Collect more comparisons between them, or leave one out.",
        )


def plackett_luce_nll(strengths: Sequence[float]) -> float:
    """Minus the logarithm (nats) of the probability of an order, given the strengths from best to worst."""
    scores = np.asarray(strengths, dtype=np.float64)
    return float(sum(np.logaddexp.reduce(scores[i:]) - scores[i] for i in range(len(scores) - 1)))
