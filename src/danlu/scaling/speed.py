"""How long the target will take: from a few real steps of it, or from how fast the rungs were."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from danlu.scaling.points import Point

_LEAST = 0.10
"""Half-width that no interval goes below (share): what a machine's speed changes from one hour to the next."""


@dataclass(frozen=True)
class SpeedLaw:
    """Seconds a token as a fixed cost and a cost a FLOP."""

    seconds_per_token: float
    """What a token costs whatever the model."""
    seconds_per_flop: float
    """What a model FLOP costs on top."""
    spread: float
    """Half-width of the interval (natural log)."""
    source: str = "rungs"
    """`rungs`: fitted to the ladder's speeds; `steps`: real steps of the target itself, timed on this machine."""

    def seconds(self, flops_per_token: float, tokens: float) -> float:
        """Training time (seconds)."""
        return tokens * (self.seconds_per_token + self.seconds_per_flop * flops_per_token)


def measured_speed(step_seconds: float, batch_tokens: int, standard_error: float) -> SpeedLaw:
    """The speed of a shape whose steps were timed.

    Args:
        standard_error: of the step's time (share of it); the interval is twice that, or a tenth if that is more.
    """
    return SpeedLaw(step_seconds / batch_tokens, 0.0, max(2 * standard_error, _LEAST), "steps")


def fit_speed(points: Sequence[Point]) -> SpeedLaw:
    """Fit the two costs, neither negative, to each rung's longest run (least relative squares).

    The interval is twice the residuals' scale, or the error with which the largest size is told from the others, or a
    tenth, whichever is most.
    """
    longest: dict[str, Point] = {}
    for point in points:
        if point.rung not in longest or point.tokens > longest[point.rung].tokens:
            longest[point.rung] = point
    runs = [(point.flops / point.tokens, 1 / point.tokens_per_second) for point in longest.values()]
    fixed, slope = _costs(runs)
    misses = [math.log((fixed + slope * x) / y) for x, y in runs]
    spread = 2 * math.sqrt(sum(miss**2 for miss in misses) / max(len(runs) - 2, 1))
    largest = max(x for x, _ in runs)
    rest = [run for run in runs if run[0] < largest]
    if len({x for x, _ in rest}) >= 2:
        fixed_rest, slope_rest = _costs(rest)
        told = [math.log((fixed_rest + slope_rest * x) / y) for x, y in runs if x == largest]
        spread = max(spread, abs(sum(told) / len(told)))
    return SpeedLaw(fixed, slope, max(spread, _LEAST))


def _costs(runs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Non-negative a, b of least squares of (a + b x) / y - 1."""
    uu = sum(1 / y**2 for _, y in runs)
    uv = sum(x / y**2 for x, y in runs)
    vv = sum((x / y) ** 2 for x, y in runs)
    u, v = sum(1 / y for _, y in runs), sum(x / y for x, y in runs)
    determinant = uu * vv - uv**2
    if determinant > 1e-12 * uu * vv:
        fixed, slope = (vv * u - uv * v) / determinant, (uu * v - uv * u) / determinant
        if fixed >= 0 and slope >= 0:
            return fixed, slope
    # One of them alone: the one that leaves less.
    return (0.0, v / vv) if v**2 / vv >= u**2 / uu else (u / uu, 0.0)
