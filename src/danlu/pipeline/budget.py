"""The budget in FLOPs, and what it will take on this machine."""

import math
from collections.abc import Callable, Sequence

from danlu.common.duration import Duration
from danlu.common.errors import DanluError
from danlu.scaling.config import LadderConfig

_GUESSED_FRACTION = 0.25
"""Share of the measured matrix-product peak that a training is taken to reach until one of its size was tried."""
_RUNGS_PACE = 0.5
"""Rate at which rungs train (FLOP/s), as a share of the target's: their products are smaller, and each has one core of
those that the target has all of (the quickstart's: 75 and 160 GFLOP/s; NOTES.md, entry 47)."""
_TRIES = 4
_SETTLED = 0.03
"""Change of the compute (natural log) below which it is not tried again."""

Pace = Callable[[float], float]
"""From a target's training compute (FLOPs) to the rate (FLOP/s) at which one of that compute trains here."""


def parse_budget(text: str) -> tuple[Duration, ...]:
    """The limits of a budget: `1e14flops`, `10min`, or both with a comma between, of which the tighter one counts.

    Raises:
        DanluError: another unit, or none.
    """
    limits = tuple(Duration.parse(part) for part in text.split(","))
    units = [limit.unit for limit in limits]
    if len(set(units)) < len(units) or not {"flops", "seconds"}.issuperset(units):
        raise DanluError(
            f"the budget is {text}.", "Give it in FLOPs (1e14flops), in time (10min), or both (1e14flops,10min)."
        )
    return limits


def target_flops(limits: Sequence[Duration], ladder: LadderConfig, pace: Pace, peak: float) -> tuple[float, float]:
    """The target's training compute (FLOPs), the least that a limit allows, and the rate at which it trains (FLOP/s).

    A limit in FLOPs is that number; the ladder comes on top, at most its share of it. A limit in time is of all
    pretraining: small models train at a lower rate than large ones, so that a target is tried, what the time allows at
    its rate is tried next, and so on until it no longer changes.

    Args:
        pace: tries a target for a moment.
        peak: this machine's measured rate of matrix products (FLOP/s), to begin with.
    """
    found = {limit.unit: limit.value for limit in limits}
    most = found.get("flops", math.inf)
    seconds = found.get("seconds", math.inf) / pretraining_seconds(1.0, ladder, 1.0)
    flops = min(most, seconds * peak * _GUESSED_FRACTION)
    for _ in range(_TRIES):
        rate = pace(flops)
        before, flops = flops, min(most, seconds * rate)
        if abs(math.log(flops / before)) < _SETTLED:
            break
    return flops, rate


def pretraining_seconds(flops: float, ladder: LadderConfig, rate: float) -> float:
    """How long a target of that compute trains at that rate, its ladder included (seconds)."""
    return flops / rate + ladder_seconds(flops, ladder, rate)


def ladder_seconds(flops: float, ladder: LadderConfig, rate: float) -> float:
    """How long the ladder of such a target trains at most (seconds)."""
    return flops * ladder.share / (_RUNGS_PACE * rate)


def format_rate(flops_per_second: float) -> str:
    """A rate for a person: `812 GFLOP/s`, `0.68 PFLOP/s`."""
    for scale, unit in ((1e15, "PFLOP/s"), (1e12, "TFLOP/s")):
        if flops_per_second >= scale:
            return f"{flops_per_second / scale:.3g} {unit}"
    return f"{flops_per_second / 1e9:.3g} GFLOP/s"
