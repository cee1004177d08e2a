"""The budget in FLOPs, and what it will take on this machine."""

from danlu.common.duration import Duration
from danlu.hardware.speed import Speed
from danlu.scaling.config import LadderConfig

EXPECTED_FRACTION = 0.25
"""Share of the measured matrix-product peak that a whole small run is taken to reach before anything of it is measured:
the quickstart's 5.1e13 FLOPs took 275 s where products ran at 0.9 TFLOP/s (NOTES.md). The stage `plan` measures it."""


def target_flops(budget: Duration, ladder: LadderConfig, speed: Speed | None) -> float:
    """The target's training compute (FLOPs).

    A budget in FLOPs is that number; the ladder comes on top, at most its share of it. A budget in time is the whole
    run's: it is turned into FLOPs by this machine's measured speed and shared between the ladder and the target.

    Args:
        speed: this machine's; needed for a budget in time alone.
    """
    if budget.unit == "flops":
        return budget.value
    assert speed is not None
    return budget.value * speed.peak * EXPECTED_FRACTION / (1 + ladder.share)


def expected_seconds(flops: float, speed: Speed) -> Duration:
    """How long that compute should take here (seconds)."""
    return Duration(flops / (speed.peak * EXPECTED_FRACTION), "seconds")


def format_rate(flops_per_second: float) -> str:
    """A rate for a person: `812 GFLOP/s`, `0.68 PFLOP/s`."""
    for scale, unit in ((1e15, "PFLOP/s"), (1e12, "TFLOP/s")):
        if flops_per_second >= scale:
            return f"{flops_per_second / scale:.3g} {unit}"
    return f"{flops_per_second / 1e9:.3g} GFLOP/s"
