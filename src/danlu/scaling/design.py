"""Which small runs to make: a ladder of sizes and lengths from which a target's loss can be forecast."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from danlu.common.duration import format_count
from danlu.common.errors import DanluError
from danlu.model.config import ModelConfig
from danlu.model.family import family
from danlu.scaling.config import LadderConfig

BatchRule = Callable[[ModelConfig, int], int]
"""Tokens a step, from the model and the tokens of the whole run."""

REACH = 10.0
"""The target takes at least this many times the compute of the largest rung, its cooldowns included."""
FEWEST_SIZES = 3
WISHED_SIZES = 5
FRESH_EPOCHS = 4.0
"""Up to here repeated text is nearly as good as fresh (Muennighoff et al. 2023)."""
_GAPS = (1.35, 2.5)
"""Compute between neighbouring sizes: closer ones repeat each other, farther ones waste the ladder's span."""
_LOWEST_RATIO = 8.0
"""How far the tokens a parameter may be lowered to fit a small budget or a short text: to an eighth."""


@dataclass(frozen=True)
class Rung:
    """One model size: a run at constant learning rate, and a cooldown from it for every horizon."""

    name: str
    """`w64`: the width of its residual stream; `w64-1`: the same again with another seed."""
    model: ModelConfig
    """The model."""
    seed: int
    """To be added to the run's seed: 0, or 1 and on for runs of a size that is run several times."""
    horizons: tuple[int, ...]
    """Lengths of its annealed runs (tokens), short first; whole batches."""
    batch_tokens: int
    """Tokens a step, the same at every horizon."""
    horizon_flops: tuple[float, ...]
    """What each annealed run would take on its own (FLOPs)."""
    flops: float
    """What the rung takes: its trunk once, and the cooldowns (FLOPs)."""


@dataclass(frozen=True)
class LadderPlan:
    """The ladder of a target."""

    target_flops: float
    """Compute of the target (FLOPs); less than asked where the text is too short to spend it."""
    asked_flops: float
    """Compute that was asked for (FLOPs)."""
    context: int
    """Tokens a sequence."""
    vocab_size: int
    """Rows of the embedding table."""
    tokens_per_parameter: float
    """Tokens a parameter at the middle horizon."""
    cooldown: float
    """Share of an annealed run's tokens that its cooldown takes."""
    unique_tokens: int | None
    """Distinct training tokens there are; None: as many as asked for."""
    max_epochs: float
    """Most passes over them."""
    rungs: tuple[Rung, ...]
    """Small first."""
    flops: float
    """Compute of the whole ladder (FLOPs)."""
    warnings: tuple[str, ...]
    """What a reader should know, in sentences."""


def design_ladder(
    target_flops: float,
    *,
    context: int,
    vocab_size: int,
    config: LadderConfig,
    unique_tokens: int | None = None,
    cooldown: float = 0.2,
    batch_tokens: BatchRule | None = None,
) -> LadderPlan:
    """Choose the rungs for a target. A pure function.

    The largest rung's whole cost is at most a tenth of the target's, the ladder's at most `config.share` of it. A rung
    leaves out the horizons that would exceed the tenth, so that the middle one, which the target will have, comes as
    close to the target as it may. What is left of the share pays second seeds. Where a budget is too small for five
    sizes, or a text too short to be passed no more than four times, the tokens a parameter are lowered, down to an
    eighth of `config.tokens_per_parameter`.

    Args:
        target_flops: compute of the target.
        unique_tokens: distinct training tokens there are; None: as many as wished.
        cooldown: share of an annealed run that its cooldown takes.
        batch_tokens: tokens a step; by default one sequence.

    Raises:
        DanluError: the budget, or the text, is too small for a ladder; says what the smallest is.
    """
    drawer = _Drawer(context, vocab_size, config, unique_tokens, cooldown, batch_tokens or (lambda *_: context))
    plan = drawer.plan(target_flops)
    if plan is None:
        raise _too_small(drawer, target_flops)
    return plan


@dataclass(frozen=True)
class _Drawer:
    """Draws a ladder; holds what stays the same meanwhile."""

    context: int
    vocab_size: int
    config: LadderConfig
    unique_tokens: int | None
    cooldown: float
    batch_tokens: BatchRule

    @property
    def members(self) -> tuple[ModelConfig, ...]:
        return family(self.vocab_size, self.context)

    def plan(self, asked_flops: float) -> LadderPlan | None:
        """The ladder with the most sizes, five being enough, at the best ratio of tokens to parameters."""
        best: tuple[Rung, ...] = ()
        flops, ratios = self._ratios(asked_flops)
        ratio = ratios[0]
        for candidate in ratios:
            rungs = self._rungs(flops, candidate)
            if min(len(rungs), WISHED_SIZES) > len(best):
                best, ratio = rungs, candidate
        if len(best) < FEWEST_SIZES:
            return None
        rungs = self._with_seeds(best, flops)
        return LadderPlan(
            target_flops=flops,
            asked_flops=asked_flops,
            context=self.context,
            vocab_size=self.vocab_size,
            tokens_per_parameter=ratio,
            cooldown=self.cooldown,
            unique_tokens=self.unique_tokens,
            max_epochs=self.config.max_epochs,
            rungs=rungs,
            flops=sum(rung.flops for rung in rungs),
            warnings=tuple(self._warnings(asked_flops, flops, ratio, best)),
        )

    def epochs(self, flops: float, ratio: float) -> float:
        """Passes over the text of a target of that compute and that many tokens a parameter."""
        return self.target_tokens(flops, ratio) / self.unique_tokens if self.unique_tokens else 0.0

    def target_tokens(self, flops: float, ratio: float) -> float:
        """Tokens of a target of that compute and that many tokens a parameter."""
        return ratio * _interpolate([(self._flops(m, ratio), _params(m)) for m in self.members], flops)

    def _flops(self, model: ModelConfig, ratio: float) -> float:
        return model.flops_per_token(self.context) * ratio * _params(model)

    def _ratios(self, asked_flops: float) -> tuple[float, list[float]]:
        """The compute that the text suffices for, and the tokens a parameter at which it does, best first."""
        highest = self.config.tokens_per_parameter
        ratios = [highest * _LOWEST_RATIO ** (-step / 8) for step in range(9)]
        enough = [r for r in ratios if self.epochs(asked_flops, r) <= self.config.max_epochs]
        if enough:
            fresh = [r for r in enough if self.epochs(asked_flops, r) <= FRESH_EPOCHS]
            return asked_flops, fresh or enough[-1:]
        assert self.unique_tokens is not None
        lowest = ratios[-1]
        table = [(_params(m) * lowest, self._flops(m, lowest)) for m in self.members]
        return _interpolate(table, self.config.max_epochs * self.unique_tokens), [lowest]

    def _rungs(self, target_flops: float, ratio: float) -> tuple[Rung, ...]:
        """One rung a size, small first; the largest allowed compute is lowered until all of them fit the share."""
        largest = target_flops / REACH
        while largest > target_flops / (4 * REACH):
            rungs = self._choose(largest, ratio)
            if sum(rung.flops for rung in rungs) <= self.config.share * target_flops:
                return rungs
            largest *= 0.97
        return ()

    def _choose(self, largest: float, ratio: float) -> tuple[Rung, ...]:
        fitting = [rung for m in self.members if (rung := self._rung(m, ratio, largest))]
        if not fitting:
            return ()
        middle = {rung.name: self._flops(rung.model, ratio) for rung in fitting}
        span = middle[fitting[-1].name] / middle[fitting[0].name]
        gap = min(max(span ** (1 / (self.config.sizes - 1)), _GAPS[0]), _GAPS[1])
        chosen = [fitting.pop()]
        while len(chosen) < self.config.sizes:
            above = middle[chosen[-1].name]
            below = [rung for rung in fitting if middle[rung.name] <= above / math.sqrt(_GAPS[0])]
            if not below:
                break
            chosen.append(min(below, key=lambda rung: abs(math.log(middle[rung.name] * gap / above))))
        return tuple(reversed(chosen))

    def _rung(self, model: ModelConfig, ratio: float, largest: float) -> Rung | None:
        """The rung of a model with as many horizons as its compute allows; None where the middle one is too much."""
        params, per_token = _params(model), model.flops_per_token(self.context)
        batch = self.batch_tokens(model, round(ratio * params))
        steps = {multiple: round(multiple * ratio * params / batch) for multiple in sorted(self.config.horizons)}
        kept = [multiple for multiple in steps if steps[multiple] >= self.config.min_steps]
        while 1.0 in kept:
            horizons = tuple(steps[multiple] * batch for multiple in kept)
            flops = per_token * ((1 - self.cooldown) * horizons[-1] + self.cooldown * sum(horizons))
            if flops <= largest:
                return Rung(
                    name=f"w{model.hidden_size}",
                    model=model,
                    seed=0,
                    horizons=horizons,
                    batch_tokens=batch,
                    horizon_flops=tuple(per_token * horizon for horizon in horizons),
                    flops=flops,
                )
            kept.pop()
        return None

    def _with_seeds(self, rungs: Sequence[Rung], target_flops: float) -> tuple[Rung, ...]:
        """The rungs, and further seeds of them as far as the share of compute allows, small sizes first."""
        left = self.config.share * target_flops - sum(rung.flops for rung in rungs)
        found = list(rungs)
        for seed in range(1, self.config.seeds):
            for rung in rungs:
                if rung.flops <= left:
                    left -= rung.flops
                    found.append(replace(rung, name=f"{rung.name}-{seed}", seed=seed))
        return tuple(sorted(found, key=lambda rung: (_params(rung.model), rung.seed)))

    def _warnings(self, asked: float, spent: float, ratio: float, sizes: Sequence[Rung]) -> list[str]:
        found = []
        epochs = self.epochs(spent, ratio)
        if spent < asked:
            found.append(
                f"The text has {format_count(self.unique_tokens or 0)} distinct tokens; passed {epochs:.3g} times they"
                f" suffice for {format_count(spent)} FLOPs, so the target takes these instead of {format_count(asked)}."
            )
        elif epochs > 1:
            found.append(f"The target will pass about {epochs:.3g} times over the text.")
        if ratio < self.config.tokens_per_parameter:
            found.append(
                f"The ladder is built around {ratio:.3g} tokens a parameter instead of"
                f" {self.config.tokens_per_parameter:g}, because the budget or the text is small."
            )
        if len(sizes) < WISHED_SIZES:
            found.append(f"The budget allows {len(sizes)} sizes; a law rests better on {WISHED_SIZES} or more.")
        return found


def _params(model: ModelConfig) -> int:
    return model.num_parameters("matmul")


def _interpolate(table: Sequence[tuple[float, float]], x: float) -> float:
    """y at x, straight in logs between the rows of an ascending table, and beyond its ends."""
    place = min(max(bisect_left(table, (x, 0.0)), 1), len(table) - 1)
    (x0, y0), (x1, y1) = table[place - 1], table[place]
    slope = math.log(y1 / y0) / math.log(x1 / x0)
    return float(y0 * (x / x0) ** slope)


def _too_small(drawer: _Drawer, asked: float) -> DanluError:
    unlimited = replace(drawer, unique_tokens=None)
    smallest = _smallest_budget(unlimited)
    lowest = drawer.config.tokens_per_parameter / _LOWEST_RATIO
    needed = math.ceil(unlimited.target_tokens(smallest, lowest) / drawer.config.max_epochs)
    if drawer.unique_tokens is not None and drawer.unique_tokens < needed and asked >= smallest:
        return DanluError(
            f"{format_count(drawer.unique_tokens)} training tokens are too few for {FEWEST_SIZES} model sizes and a"
            f" target, passed {drawer.config.max_epochs:g} times.",
            f"Add text: about {format_count(needed)} tokens are needed.",
        )
    return DanluError(
        f"the budget of {format_count(asked)} FLOPs is too small for any model with a ladder before it.",
        f"The smallest needs about {smallest:.2g} FLOPs.",
    )


def _smallest_budget(drawer: _Drawer) -> float:
    """The smallest budget that has a ladder, to about a hundredth (FLOPs)."""
    high = 1e9
    while drawer.plan(high) is None:
        high *= 2
    low = high / 2
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if drawer.plan(middle) else (middle, high)
    return high
