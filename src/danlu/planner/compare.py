"""The same plan on other chips, and what a region has left of them on a date."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip
from danlu.planner.accelerator import accelerator
from danlu.planner.market import Availability, availability, open_chips
from danlu.planner.plan import Plan, Setting
from danlu.planner.precision import Precision
from danlu.planner.serving import Serving, serving_options
from danlu.planner.shape import ModelShape

MOST_ALTERNATIVES = 6


@dataclass(frozen=True)
class Compared:
    """One chip beside the others: its plan, or why there is none."""

    chip: Chip
    plan: Plan | None
    serving: Serving | None
    """The instance with the most throughput a chip; None where it cannot serve the model."""
    why_not: str
    """Cause and remedy where there is no plan."""


@dataclass(frozen=True)
class Ban:
    """What a region can do without a chip."""

    region: str
    on: date
    training: tuple[Availability, ...]
    """The chips asked for, judged for training."""
    inference: tuple[Availability, ...]
    """The same, judged for inference."""
    alternatives: tuple[Compared, ...]
    """Plans on what may be bought for training, fastest first."""
    serving: tuple[tuple[Chip, Serving], ...]
    """Instances on what may be bought for inference, most throughput a chip first."""

    @property
    def blocked(self) -> tuple[Chip, ...]:
        """Chips asked for that training cannot count on."""
        return tuple(each.chip for each in self.training if not each.open)


def usable_precision(chip: Chip, wished: Precision) -> Precision:
    """The wished arithmetic, or the nearest wider one that the chip has."""
    for name in (wished.name, "bf16", "fp16", "fp32"):
        if name in chip.peaks:
            return wished if name == wished.name else Precision(name)
    return wished


def compare(
    chips: Sequence[Chip], make: Callable[[Chip], Plan], shape: ModelShape, setting: Setting
) -> tuple[Compared, ...]:
    """Plan on every chip; one that cannot be planned says why and the others go on."""
    found = []
    for chip in chips:
        try:
            found.append(Compared(chip, make(chip), best_serving(shape, chip, setting)[0], ""))
        except DanluError as error:
            found.append(Compared(chip, None, best_serving(shape, chip, setting)[0], f"{error.cause} {error.remedy}"))
    return tuple(found)


def best_serving(shape: ModelShape, chip: Chip, setting: Setting) -> tuple[Serving | None, str]:
    """The instance with the most throughput a chip; where a figure is missing or the model does not fit, why not."""
    options, why_not = serving_front(shape, chip, setting)
    return (options[-1] if options else None), why_not


def serving_front(shape: ModelShape, chip: Chip, setting: Setting) -> tuple[tuple[Serving, ...], str]:
    """The instances that no other beats, fastest token first; where there is none, why not."""
    try:
        alone = chip.domain_size is None or chip.domain_size.value <= 1
        machine = accelerator(chip, usable_precision(chip, setting.precision), alone=alone, link_out=float("inf"))
        context = setting.prompt + setting.answer
        return serving_options(shape, machine, prompt=setting.prompt, context=context), ""
    except DanluError as error:
        return (), f"{error.cause} {error.remedy}"


def ban(
    chips: Sequence[Chip],
    region: str,
    on: date,
    make: Callable[[Chip], Plan],
    shape: ModelShape,
    setting: Setting,
    known: Sequence[Chip] | None = None,
) -> Ban:
    """Judge the chips by a region's rules on a date, and plan on what is left, training and inference apart."""
    left = [chip for chip in open_chips(region, on, "training", known) if _trains(chip)]
    left.sort(key=lambda chip: -_wide(chip))
    serves = [chip for chip in open_chips(region, on, "inference", known) if chip.bandwidth and chip.memory_bytes]
    served = [(chip, best_serving(shape, chip, setting)[0]) for chip in serves]
    able = [(chip, one) for chip, one in served if one is not None]
    able.sort(key=lambda pair: -pair[1].tokens_per_chip_second)
    plans: list[Compared] = []
    for chip in left:
        if sum(each.plan is not None for each in plans) == MOST_ALTERNATIVES:
            break
        plans += compare([chip], make, shape, setting)
    ranked = sorted(plans, key=lambda each: each.plan.run.wall_seconds if each.plan else float("inf"))
    return Ban(
        region,
        on,
        tuple(availability(chip, region, on, "training") for chip in chips),
        tuple(availability(chip, region, on, "inference") for chip in chips),
        tuple(ranked),
        tuple(able[:MOST_ALTERNATIVES]),
    )


def _wide(chip: Chip) -> float:
    return max((chip.peaks[name].value for name in ("bf16", "fp16") if name in chip.peaks), default=0.0)


def _trains(chip: Chip) -> bool:
    return _wide(chip) > 0 and chip.memory_bytes is not None and chip.bandwidth is not None
