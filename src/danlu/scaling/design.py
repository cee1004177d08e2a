"""Which small runs to make: a ladder of sizes and lengths from which a target's loss can be forecast."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
_WISHED_SIZES = 5
_GAPS = (1.7, 2.5)
"""Compute between neighbouring rungs: closer ones repeat each other, farther ones waste the ladder's span."""
_LOWEST_RATIO = 4.0
"""How far the tokens a parameter may be lowered to fit a small budget or a small text: to a quarter."""


@dataclass(frozen=True)
class Rung:
    """One model size: a run at constant learning rate, and a cooldown from it for every horizon."""

    name: str
    """`w64`: the width of its residual stream."""
    model: ModelConfig
    """The model."""
    horizons: tuple[int, ...]
    """Lengths of its annealed runs (tokens), short first; whole batches."""
    batch_tokens: int
    """Tokens a step, the same at every horizon."""
    unique_tokens: int | None
    """Distinct training tokens to draw from, so that the rung repeats its text as often as the target will; None: all."""
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

    The largest rung's whole cost is at most a tenth of the target's; the ladder's at most `config.share` of it. The
    largest rung leaves out the horizons that would exceed the tenth, so that the middle horizon, the one that the
    target will have, comes as close to the target as it may. Where a budget is too small for five sizes, or a text too
    short, the tokens a parameter are lowered, down to a quarter of `config.tokens_per_parameter`.

    Args:
        target_flops: compute of the target.
        unique_tokens: distinct training tokens there are; None: as many as wished.
        cooldown: share of an annealed run that its cooldown takes.
        batch_tokens: tokens a step, a function of the model and the run's tokens; by default one sequence.

    Raises:
        DanluError: the budget, or the text, is too small for a ladder; says what the smallest is.
    """
    draft = _Draft(context, vocab_size, config, unique_tokens, cooldown, batch_tokens or (lambda *_: context))
    plan = draft.plan(target_flops)
    if plan is None:
        raise _too_small(draft, target_flops)
    return plan


@dataclass(frozen=True)
class _Draft:
    """What stays the same while a ladder is looked for."""

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
        """The ladder with the most sizes, five being enough, at the highest ratio of tokens to parameters."""
        members = self.members
        highest = self.config.tokens_per_parameter
        ratios = [highest * _LOWEST_RATIO ** (-step / 8) for step in range(9)]
        budgets = [(self._spendable(members, asked_flops, ratio), ratio) for ratio in ratios]
        spent = max(flops for flops, _ in budgets)
        best: tuple[Rung, ...] = ()
        ratio = highest
        for flops, candidate in budgets:
            if flops < spent:
                continue
            rungs = self._rungs(members, spent, candidate)
            if min(len(rungs), _WISHED_SIZES) > len(best):
                best, ratio = rungs, candidate
        if len(best) < FEWEST_SIZES:
            return None
        return LadderPlan(
            target_flops=spent,
            asked_flops=asked_flops,
            context=self.context,
            vocab_size=self.vocab_size,
            tokens_per_parameter=ratio,
            cooldown=self.cooldown,
            unique_tokens=self.unique_tokens,
            max_epochs=self.config.max_epochs,
            rungs=best,
            flops=sum(rung.flops for rung in best),
            warnings=tuple(self._warnings(asked_flops, spent, ratio, best)),
        )

    def target_tokens(self, flops: float, ratio: float) -> float:
        """Tokens of a target of that compute and that many tokens a parameter."""
        params = _interpolate([(self._flops(m, ratio), _params(m)) for m in self.members], flops)
        return params * ratio

    def _flops(self, model: ModelConfig, ratio: float) -> float:
        return model.flops_per_token(self.context) * ratio * _params(model)

    def _spendable(self, members: Sequence[ModelConfig], flops: float, ratio: float) -> float:
        """The budget, or what of it the text suffices for at that ratio (FLOPs)."""
        if self.unique_tokens is None:
            return flops
        most = self.config.max_epochs * self.unique_tokens
        at_most = _interpolate([(_params(m) * ratio, self._flops(m, ratio)) for m in members], most)
        return min(flops, at_most)

    def _rungs(self, members: Sequence[ModelConfig], target_flops: float, ratio: float) -> tuple[Rung, ...]:
        """Rungs within the budget, small first; the largest allowed compute is lowered until all of them fit."""
        epochs = 1.0
        if self.unique_tokens is not None:
            epochs = max(1.0, self.target_tokens(target_flops, ratio) / self.unique_tokens)
        largest = target_flops / REACH
        while largest > target_flops / (4 * REACH):
            rungs = self._choose(members, largest, ratio, epochs)
            if sum(rung.flops for rung in rungs) <= self.config.share * target_flops:
                return rungs
            largest *= 0.97
        return ()

    def _choose(
        self, members: Sequence[ModelConfig], largest: float, ratio: float, epochs: float
    ) -> tuple[Rung, ...]:
        fitting = [rung for m in members if (rung := self._rung(m, ratio, largest, epochs))]
        if not fitting:
            return ()
        middle = {rung.name: self._flops(rung.model, ratio) for rung in fitting}
        span = middle[fitting[-1].name] / middle[fitting[0].name]
        gap = min(max(span ** (1 / (self.config.sizes - 1)), _GAPS[0]), _GAPS[1])
        chosen = [fitting.pop()]
        while fitting and len(chosen) < self.config.sizes:
            wished = middle[chosen[-1].name] / gap
            below = [rung for rung in fitting if middle[rung.name] <= middle[chosen[-1].name] / math.sqrt(_GAPS[0])]
            if not below:
                break
            chosen.append(min(below, key=lambda rung: abs(math.log(middle[rung.name] / wished))))
            fitting = [rung for rung in below if middle[rung.name] < middle[chosen[-1].name]]
        return tuple(reversed(chosen))

    def _rung(self, model: ModelConfig, ratio: float, largest: float, epochs: float) -> Rung | None:
        """The rung of a model with as many horizons as its compute allows; None where the middle one is too much."""
        params, per_token = _params(model), model.flops_per_token(self.context)
        batch = self.batch_tokens(model, round(ratio * params))
        steps = {m: max(1, round(m * ratio * params / batch)) for m in sorted(self.config.horizons)}
        kept = [m for m in steps if steps[m] >= self.config.min_steps]
        while 1.0 in kept:
            horizons = tuple(steps[m] * batch for m in kept)
            tokens = (1 - self.cooldown) * horizons[-1] + self.cooldown * sum(horizons)
            if tokens * per_token <= largest:
                unique = None
                if self.unique_tokens is not None and epochs > 1:
                    unique = min(self.unique_tokens, math.ceil(steps[1.0] * batch / epochs))
                return Rung(
                    name=f"w{model.hidden_size}",
                    model=model,
                    horizons=horizons,
                    batch_tokens=batch,
                    unique_tokens=unique,
                    horizon_flops=tuple(per_token * horizon for horizon in horizons),
                    flops=per_token * tokens,
                )
            kept.pop()
        return None

    def _warnings(self, asked: float, spent: float, ratio: float, rungs: Sequence[Rung]) -> list[str]:
        found = []
        wished = self.config.tokens_per_parameter
        if spent < asked:
            found.append(
                f"The text has {format_count(self.unique_tokens or 0)} distinct tokens; at no more than"
                f" {self.config.max_epochs:g} epochs they suffice for {format_count(spent)} FLOPs, so the target takes"
                f" these instead of {format_count(asked)}."
            )
        elif self.unique_tokens and (epochs := self.target_tokens(spent, ratio) / self.unique_tokens) > 1:
            found.append(f"The target will pass about {epochs:.1f} times over the text.")
        if ratio < wished:
            found.append(
                f"The ladder is built around {ratio:.3g} tokens a parameter instead of {wished:g}, because the budget"
                " or the text is small."
            )
        if len(rungs) < _WISHED_SIZES:
            found.append(f"The budget allows {len(rungs)} sizes; a law rests better on {_WISHED_SIZES} or more.")
        return found


def _params(model: ModelConfig) -> int:
    return model.num_parameters("matmul")


def _interpolate(table: Sequence[tuple[float, float]], x: float) -> float:
    """y at x, straight in logs between the rows of an ascending table, and beyond its ends."""
    place = min(max(bisect_left(table, (x, 0.0)), 1), len(table) - 1)
    (x0, y0), (x1, y1) = table[place - 1], table[place]
    slope = math.log(y1 / y0) / math.log(x1 / x0)
    return y0 * (x / x0) ** slope


def _too_small(draft: _Draft, asked: float) -> DanluError:
    unlimited = _Draft(
        draft.context, draft.vocab_size, draft.config, None, draft.cooldown, draft.batch_tokens
    )
    smallest = _smallest_budget(unlimited)
    tokens = unlimited.target_tokens(smallest, draft.config.tokens_per_parameter / _LOWEST_RATIO)
    needed = math.ceil(tokens / draft.config.max_epochs)
    if draft.unique_tokens is not None and draft.unique_tokens < needed and asked >= smallest:
        return DanluError(
            f"{format_count(draft.unique_tokens)} training tokens are too few for a ladder of {FEWEST_SIZES} sizes and a"
            f" target at no more than {draft.config.max_epochs:g} epochs.",
            f"Add text (about {format_count(needed)} tokens are needed), or raise ladder.max_epochs.",
        )
    return DanluError(
        f"the budget of {format_count(asked)} FLOPs is too small for any model with a ladder before it.",
        f"The smallest needs about {smallest:.2g} FLOPs.",
    )


def _smallest_budget(draft: _Draft) -> float:
    """The smallest budget with a ladder, to about a hundredth (FLOPs)."""
    high = 1e9
    while draft.plan(high) is None:
        high *= 2
    low = high / 2
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if draft.plan(middle) else (middle, high)
    return high
