"""The budget in FLOPs, and what it will take on this machine."""

from collections.abc import Sequence

from danlu.common.duration import Duration
from danlu.common.errors import DanluError
from danlu.hardware.speed import Speed
from danlu.scaling.config import LadderConfig

EXPECTED_FRACTION = 0.25
"""Share of the measured matrix-product peak that a whole small run is taken to reach before anything of it is measured:
the quickstart's 5.1e13 FLOPs took 275 s where products ran at 0.9 TFLOP/s (NOTES.md). The stage `plan` measures it."""


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


def depends_on_speed(limits: Sequence[Duration]) -> bool:
    """Whether the budget's FLOPs depend on the machine."""
    return any(limit.unit == "seconds" for limit in limits)


def target_flops(limits: Sequence[Duration], ladder: LadderConfig, speed: Speed | None) -> float:
    """The target's training compute (FLOPs): the least that a limit allows.

    A limit in FLOPs is that number; the ladder comes on top, at most its share of it. A limit in time is of all
    pretraining: it is turned into FLOPs by this machine's measured speed and shared between the ladder and the target.

    Args:
        speed: this machine's; needed for a limit in time alone.
    """
    found = []
    for limit in limits:
        if limit.unit == "flops":
            found.append(limit.value)
        else:
            assert speed is not None
            found.append(limit.value * speed.peak * EXPECTED_FRACTION / (1 + ladder.share))
    return min(found)


def expected_seconds(flops: float, speed: Speed) -> Duration:
    """How long that compute should take here (seconds)."""
    return Duration(flops / (speed.peak * EXPECTED_FRACTION), "seconds")


def format_rate(flops_per_second: float) -> str:
    """A rate for a person: `812 GFLOP/s`, `0.68 PFLOP/s`."""
    for scale, unit in ((1e15, "PFLOP/s"), (1e12, "TFLOP/s")):
        if flops_per_second >= scale:
            return f"{flops_per_second / scale:.3g} {unit}"
    return f"{flops_per_second / 1e9:.3g} GFLOP/s"
