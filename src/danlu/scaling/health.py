"""The health of a ladder: are its learning rates tuned, and how far do two runs of the same kind differ?"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from danlu.common.remark import Remark
from danlu.scaling.points import Point

_TUNED = 0.005
"""Excess loss (share) up to which a learning rate counts as tuned: what the forecast is meant to be right within."""


@dataclass(frozen=True)
class Sweep:
    """One size at several multiples of its learning rates, all runs of one length."""

    params: int
    """Parameters that enter a matrix product."""
    tokens: int
    """Length of the runs."""
    losses: dict[float, float]
    """Held-out loss (nats per token) by multiple; 1 is among them."""

    @property
    def best_factor(self) -> float:
        """The multiple with the lowest loss: the vertex of a parabola in its logarithm where the lowest of three lies
        between the others, otherwise the lowest itself."""
        return math.exp(self._best()[0])

    @property
    def excess(self) -> float:
        """What the dials' own rates lose against the best (share of the loss)."""
        return max(0.0, self.losses[1.0] / self._best()[1] - 1)

    def _best(self) -> tuple[float, float]:
        """Log multiple and loss at the lowest point."""
        places = sorted((math.log(factor), loss) for factor, loss in self.losses.items())
        lowest = min(range(len(places)), key=lambda index: places[index][1])
        if not 0 < lowest < len(places) - 1:
            return places[lowest]
        (x0, y0), (x1, y1), (x2, y2) = places[lowest - 1 : lowest + 2]
        left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
        curvature = (right - left) / (x2 - x0)
        x = (x0 + x1) / 2 - left / (2 * curvature)
        return x, y1 + (x - x1) * (left + curvature * (x - x0))


def find_sweeps(points: Sequence[Point]) -> list[Sweep]:
    """The sweeps among a ladder's points, small sizes first."""
    groups: dict[tuple[int, int], dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        groups[(point.params, point.tokens)][point.lr_factor].append(point.loss)
    return [
        Sweep(params, tokens, {factor: sum(found) / len(found) for factor, found in losses.items()})
        for (params, tokens), losses in sorted(groups.items())
        if len(losses) > 1 and 1.0 in losses
    ]


def seed_spread(points: Sequence[Point]) -> float | None:
    """Standard deviation of runs that differ in their seed alone (share of the loss); None where there are none."""
    groups: dict[tuple[int, int, float], list[float]] = defaultdict(list)
    for point in points:
        groups[(point.params, point.tokens, point.lr_factor)].append(math.log(point.loss))
    several = [losses for losses in groups.values() if len(losses) > 1]
    if not several:
        return None
    squares = sum((loss - sum(losses) / len(losses)) ** 2 for losses in several for loss in losses)
    return math.sqrt(squares / sum(len(losses) - 1 for losses in several))


def health(points: Sequence[Point]) -> list[Remark]:
    """What a reader should know of a ladder's health."""
    found = []
    for sweep in find_sweeps(points):
        key = "health.tuned" if sweep.excess <= _TUNED else "health.untuned"
        found.append(Remark.of(key, params=sweep.params, factor=sweep.best_factor, excess=sweep.excess))
    spread = seed_spread(points)
    if spread is not None:
        found.append(Remark.of("health.seeds", spread=spread))
    return found
