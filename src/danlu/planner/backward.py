"""A plan backwards: from money, chip-hours or FLOPs to the model, its tokens, the chips and the loss to expect."""

import math
from dataclasses import dataclass, replace

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, find_chip
from danlu.planner.accelerator import accelerator
from danlu.planner.loss import LossLaw, Split, at, best_split, cheapest_split, tokens_for
from danlu.planner.money import rent
from danlu.planner.plan import Plan, Setting, make_plan
from danlu.planner.served import serving_hours
from danlu.planner.shape import ModelShape, dense_shape
from danlu.planner.units import Budget, compact

DEFAULT_DAYS = 30.0
"""Wall time aimed at where neither chips nor time are given."""
FIRST_GUESS = 0.4
"""Share of the peak with which the search for a self-consistent plan begins."""
_SIZES = tuple(2 ** (step / 3) for step in range(-13, 4))
"""Sizes that are tried where a model is also to be served, over the best one at 2 FLOPs a parameter and token."""
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
    """The model, tokens and layout that a budget buys; it pays for training and for what is to be served.

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
        if abs(found / pace - 1) < (0.02 if setting.served else 0.005):
            break
        pace = found if found > 0 else pace
    assert plan is not None
    assert split is not None
    serves, spent = _spent(wish, plan, setting)
    if wish.loss is None and wish.budget and wish.budget.kind != "flops":
        # The model comes in whole layers and heads and the layouts jump: the tokens take up what is left.
        for _ in range(3):
            if serves >= wish.budget.amount:
                raise _serves_too_much(wish, plan.shape, setting)
            tokens = plan.split.tokens * (wish.budget.amount - serves) / (spent - serves)
            plan = make_plan(plan.shape, wish.chip, plan.chips, tokens, setting)
            serves, spent = _spent(wish, plan, setting)
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
        raise DanluError(
            "no chip is named.",
            "Add --chip h100, or several to compare, --chip h100,h200,mi300x; `danlu chips` lists them.",
        )
    return find_chip(name, chips)


def _serves_too_much(wish: Wish, shape: ModelShape, setting: Setting) -> DanluError:
    return DanluError(
        f"serving {compact(setting.served)} tokens with {shape.name} alone takes more than {wish.budget}.",
        "Give a larger budget, a smaller model or less to --serve.",
    )


def _split(wish: Wish, setting: Setting, pace: float) -> Split:
    law, unique, served = setting.law, setting.unique, setting.served
    if wish.shape is not None:
        params = wish.shape.params("active")
        if wish.loss is not None:
            return at(law, params, _tokens_to(wish.loss, wish.shape, law, unique), unique, served)
        assert wish.budget is not None
        left = _flops(wish.budget, wish, setting, pace) - _serving_flops(wish, wish.shape, setting, pace)
        if left <= 0:
            raise _serves_too_much(wish, wish.shape, setting)
        return at(law, params, left / (6 * params), unique, served)
    if wish.loss is not None:
        split = cheapest_split(law, wish.loss, unique, served)
    else:
        assert wish.budget is not None
        split = best_split(law, _flops(wish.budget, wish, setting, pace), unique, served)
    if served and not (wish.budget and wish.budget.kind == "flops"):
        split = _with_serving(wish, setting, pace, split)
    if split.params < SMALLEST:
        amount = f"{_flops(wish.budget, wish, setting, pace):.2g} FLOPs" if wish.budget else "too little"
        raise DanluError(f"the budget {wish.budget} buys {amount}, too few for any model.", "Give a larger one.")
    return split


def _tokens_to(loss: float, shape: ModelShape, law: LossLaw, unique: float | None) -> float:
    params = shape.params("active")
    tokens = tokens_for(law, loss, params, unique)
    if tokens == math.inf:
        least = law.E + law.A / params**law.alpha if unique is None else law.loss(params, unique * 1e3, unique)
        raise DanluError(
            f"{shape.name} does not reach a loss of {loss:g} however long it trains: it comes to {least:.3f} at best.",
            "Give a higher --loss, a larger model" + (" or more text." if unique else "."),
        )
    return tokens


def _with_serving(wish: Wish, setting: Setting, pace: float, plain: Split) -> Split:
    """The best split where serving takes what an instance on the chip takes, not 2 FLOPs a parameter and token.

    Instances grow by doubling, so that price jumps with the model: sizes are tried one by one.
    """
    law, unique = setting.law, setting.unique
    best: tuple[float, Split] | None = None
    for size in (plain.params * factor for factor in _SIZES if plain.params * factor >= SMALLEST):
        shape = dense_shape(size)
        params = float(shape.params("active"))
        serves = _serving_flops(wish, shape, setting, pace)
        if wish.loss is not None:
            tokens = tokens_for(law, wish.loss, params, unique)
            score = 6 * params * tokens + serves
        else:
            assert wish.budget is not None
            tokens = (_flops(wish.budget, wish, setting, pace) - serves) / (6 * params)
            score = law.loss(params, tokens, unique) if tokens > 0 else math.inf
        if score < (best[0] if best else math.inf):
            best = score, at(law, params, tokens, unique, setting.served)
    if best is None:
        raise _serves_too_much(wish, dense_shape(max(plain.params * _SIZES[0], SMALLEST)), setting)
    return best[1]


def _serving_flops(wish: Wish, shape: ModelShape, setting: Setting, pace: float) -> float:
    """What serving takes away from training, in FLOPs at the pace of training."""
    if wish.budget and wish.budget.kind == "flops":
        return 2 * shape.params("active") * setting.served
    return serving_hours(shape, wish.chip, setting, pace) * 3600 * pace if setting.served else 0.0


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


def _spent(wish: Wish, plan: Plan, setting: Setting) -> tuple[float, float]:
    """What serving takes, and training with it, in the budget's own unit."""
    kind = wish.budget.kind if wish.budget else "chip-hours"
    if kind == "flops":
        return plan.split.serving_flops, plan.split.training_flops + plan.split.serving_flops
    pace = 6 * plan.shape.params("active") * plan.run.tokens / (plan.run.chip_hours * 3600)
    serves = serving_hours(plan.shape, wish.chip, setting, pace) if setting.served else 0.0
    price = rent(wish.chip, setting.on).usd.mid if kind == "usd" else 1.0
    return serves * price, (serves + plan.run.chip_hours) * price
