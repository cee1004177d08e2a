"""A plan backwards: from money, chip-hours or FLOPs to the model, its tokens, the chips and the loss to expect."""

import math
from dataclasses import dataclass, replace

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, find_chip
from danlu.planner.accelerator import accelerator
from danlu.planner.loss import Split, at, best_split, cheapest_split
from danlu.planner.money import rent
from danlu.planner.plan import Plan, Setting, make_plan
from danlu.planner.shape import ModelShape, dense_shape
from danlu.planner.units import Budget

DEFAULT_DAYS = 30.0
"""Wall time aimed at where neither chips nor time are given."""
FIRST_GUESS = 0.4
"""Share of the peak with which the search for a self-consistent plan begins."""
SMALLEST = 2e6
"""Parameters of the smallest model that is planned."""


@dataclass(frozen=True)
class Wish:
    """What is to be had for a budget."""

    budget: Budget | None
    """None where only a loss is wanted."""
    chip: Chip
    count: int = 0
    """Chips; 0 leaves it to the time."""
    seconds: float = 0.0
    """Wall time; 0 leaves it to the chips, or to a month."""
    loss: float | None = None
    """Loss to reach (nats a token) at the least cost, in place of the lowest loss for the budget."""
    shape: ModelShape | None = None
    """A model that is fixed; its tokens are then what the budget buys."""


@dataclass(frozen=True)
class Answer:
    """A plan that a budget buys."""

    wish: Wish
    plan: Plan
    split: Split
    """The split asked of the law; the plan's own model is rounded to whole layers and heads."""
    spent: float
    """Of the budget, in its own unit; USD, chip-hours or FLOPs."""
    enough: bool
    """The budget covers what the loss needs; True where the loss was left open."""


def plan_backwards(wish: Wish, setting: Setting) -> Answer:
    """The model, tokens and layout that a budget buys.

    The pace depends on the model and the model on the pace; a few rounds make them agree to within a percent.

    Raises:
        DanluError: the budget is too small for any model, a price is missing, or the loss cannot be reached.
    """
    pace = FIRST_GUESS * accelerator(wish.chip, setting.precision, alone=True).narrow_peak  # FLOP/s of a chip, 6 N D
    plan: Plan | None = None
    split: Split | None = None
    for _ in range(8):
        split = _split(wish, setting, pace)
        hours = split.training_flops / pace / 3600
        chips = _chips(wish, hours)
        shape = wish.shape or dense_shape(max(split.params, SMALLEST))
        plan = make_plan(shape, wish.chip, chips, split.tokens, setting)
        found = 6 * plan.shape.params("active") * split.tokens / (plan.run.chip_hours * 3600)
        if abs(found / pace - 1) < 0.005:
            break
        pace = found if found > 0 else pace
    assert plan is not None
    assert split is not None
    spent = _spent(wish, plan, setting)
    if wish.loss is None and wish.budget and wish.budget.kind != "flops":
        # The model comes in whole layers and heads and the layouts jump: the tokens take up what is left.
        for _ in range(3):
            tokens = plan.split.tokens * wish.budget.amount / spent
            plan = make_plan(plan.shape, wish.chip, plan.chips, tokens, setting)
            spent = _spent(wish, plan, setting)
    enough = wish.budget is None or wish.loss is None or spent <= wish.budget.amount * 1.02
    return Answer(wish, plan, split, spent, enough)


def scaled(wish: Wish, factor: float) -> Wish:
    """The same wish with so many times the budget, and no fixed loss: what half or double would change."""
    assert wish.budget is not None
    budget = wish.budget.scaled(factor)
    return replace(wish, budget=budget, count=budget.count or _rounded(wish.count * factor), loss=None)


def chip_of(budget: Budget | None, wanted: str | None, chips: tuple[Chip, ...] | None = None) -> Chip:
    """The chip that a budget or a flag names.

    Raises:
        DanluError: neither names one, or they differ.
    """
    named = budget.chip if budget else ""
    if named and wanted and find_chip(named, chips) != find_chip(wanted, chips):
        raise DanluError(
            f"the budget is in {named}-hours and --chip says {wanted}.", "Give one chip, or a budget in USD or FLOPs."
        )
    name = wanted or named
    if not name:
        raise DanluError("no chip is named.", "Add --chip h100, or give a budget such as '3e6 H100-hours'.")
    return find_chip(name, chips)


def _split(wish: Wish, setting: Setting, pace: float) -> Split:
    law, unique, served = setting.law, setting.unique, setting.served
    if wish.loss is not None and wish.shape is None:
        return cheapest_split(law, wish.loss, unique, served)
    assert wish.budget is not None
    flops = _flops(wish.budget, wish, setting, pace)
    if wish.shape is not None:
        params = wish.shape.params("active")
        tokens = max((flops - 2 * params * served) / (6 * params), 1.0)
        return at(law, params, tokens, unique, served)
    split = best_split(law, flops, unique, served)
    if split.params < SMALLEST:
        raise DanluError(
            f"the budget {wish.budget} buys {flops:.2g} FLOPs, too few for any model.", "Give a larger one."
        )
    return split


def _flops(budget: Budget, wish: Wish, setting: Setting, pace: float) -> float:
    if budget.kind == "flops":
        return budget.amount
    hours = budget.amount
    if budget.kind == "usd":
        hours = budget.amount / rent(wish.chip, setting.on).usd.mid
    return hours * 3600 * pace


def _chips(wish: Wish, hours: float) -> int:
    if wish.count:
        return wish.count
    if wish.budget and wish.budget.count:
        return wish.budget.count
    days = (wish.seconds or DEFAULT_DAYS * 86400) / 86400
    return _rounded(hours / 24 / days)


def _rounded(chips: float) -> int:
    """Whole nodes of eight, to two leading binary digits so that layouts divide them; few chips as they are."""
    if chips <= 1:
        return 1 if chips > 0 else 0
    if chips < 8:
        return 2 ** round(math.log2(chips))
    unit = max(8, 2 ** (math.floor(math.log2(chips)) - 2))
    return max(8, round(chips / unit) * unit)


def _spent(wish: Wish, plan: Plan, setting: Setting) -> float:
    kind = wish.budget.kind if wish.budget else "chip-hours"
    if kind == "flops":
        return plan.split.training_flops + plan.split.serving_flops
    if kind == "usd":
        return plan.run.chip_hours * rent(wish.chip, setting.on).usd.mid
    return plan.run.chip_hours
