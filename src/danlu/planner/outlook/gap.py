"""The gap: how many frontier training runs a year all of a region's computing power could make."""

from dataclasses import dataclass

from danlu.hardware.catalogue import find_chip
from danlu.planner.outlook.demand import frontier_flop
from danlu.planner.outlook.supply import Supply, world_h100_equivalents
from danlu.planner.ranges import Range

SECONDS_A_YEAR = 365.25 * 86400

UTILISATION = Range(
    0.30,
    0.40,
    0.50,
    (
        "model FLOPs over peak: 0.30 (Pangu Ultra MoE), 0.40 (median of published dense runs on H100), "
        "0.50 (Pangu Ultra)",
    ),
)
"""What training makes of the nameplate."""


@dataclass(frozen=True)
class GapYear:
    """One year of demand beside supply."""

    year: int
    demand_flop: Range
    """FLOPs of the year's largest training run."""
    supply_eflops: Range
    """EFLOP/s, nameplate, FP16."""
    runs: Range
    """How many such runs a year the whole supply could make. Below 1, one run takes longer than a year of all of it."""
    days: Range
    """Days of the whole supply that one such run takes."""


def gap(of: Supply) -> tuple[GapYear, ...]:
    """The gap by year, for the years that the supply's editions cover."""
    return tuple(_year(fan.year, fan.eflops) for fan in of.fan)


def world_gap() -> GapYear:
    """The same for the accelerators delivered worldwide by the end of 2025."""
    peak = find_chip("H100").peak("bf16")
    eflops = world_h100_equivalents() * peak / 1e18
    return _year(2025, Range.exactly(eflops, "H100-equivalents delivered, at the H100's dense BF16 peak"))


def _year(year: int, eflops: Range) -> GapYear:
    asked = frontier_flop(year)
    runs = eflops.times(1e18 * SECONDS_A_YEAR).times(UTILISATION).over(asked)
    days = Range.exactly(365.25).over(runs)
    return GapYear(year, asked, eflops, runs, days)
