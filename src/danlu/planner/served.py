"""What a model takes to be served over its life: chip-hours at the best throughput, and their rent."""

from dataclasses import dataclass

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip
from danlu.planner.compare import best_serving
from danlu.planner.money import rent
from danlu.planner.plan import Setting
from danlu.planner.ranges import Range
from danlu.planner.shape import ModelShape


@dataclass(frozen=True)
class Served:
    """Tokens written to those who ask, and what they take."""

    tokens: float
    chip_hours: float
    """At the throughput of the best instance, always full; real demand comes and goes."""
    rent: Range | None
    """USD; None where the chip has no rent in the catalogue."""


def served(shape: ModelShape, chip: Chip, setting: Setting) -> Served | None:
    """What the tokens to be served take on a chip; None where none are asked for or the model does not fit there."""
    if not setting.served:
        return None
    best, _ = best_serving(shape, chip, setting)
    if best is None:
        return None
    hours = setting.served / best.tokens_per_chip_second / 3600
    try:
        price = rent(chip, setting.on).usd.times(hours)
    except DanluError:
        price = None
    return Served(setting.served, hours, price)


def serving_hours(shape: ModelShape, chip: Chip, setting: Setting, pace: float) -> float:
    """Chip-hours that the tokens to be served take: at the best instance's throughput, or, where the chip cannot hold
    the model, 2 FLOPs a parameter at the pace of training.

    Args:
        pace: FLOP/s of a chip in training.
    """
    found = served(shape, chip, setting)
    return found.chip_hours if found else 2 * shape.params("active") * setting.served / pace / 3600
