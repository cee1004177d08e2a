"""Which small runs to make: a ladder of sizes and lengths from which a target's loss can be forecast."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from danlu.common.duration import format_count
from danlu.common.errors import DanluError
from danlu.common.remark import Remark
from danlu.model.config import ModelConfig
from danlu.model.family import family
from danlu.scaling.config import LadderConfig

BatchRule = Callable[[float], int]
"""Tokens a step, from the tokens of the whole run."""

REACH = 10.0
"""The target takes at least this many times the compute of the largest rung, its cooldowns included."""
FEWEST_SIZES = 2
WISHED_SIZES = 4
FRESH_EPOCHS = 4.0
"""Up to here repeated text is nearly as good as fresh (Muennighoff et al. 2023)."""
SWEPT_FACTORS = (0.5, 2.0)
"""Learning rates tried beside the dials' own, as multiples of them."""
_LOWEST_RATIO = 4.0
"""How far the target's tokens a parameter may be lowered to fit a small budget or a short text: to a quarter. A model
with more parameters than a third of its tokens overfits what it repeats."""
_CLOSEST = 1.5
"""A rung has at most the target's parameters over this."""
_SPAN, _SPAN_OF_TWO = 2.5, 1.6
"""Parameters of the largest rung over those of the smallest, at least: what a law over sizes needs."""


@dataclass(frozen=True)
class Rung:
    """One model size: a run at constant learning rate, and a cooldown from it for every horizon."""

    name: str
    """`w64`: the width of its residual stream; `w64-1`: again with another seed; `w64-lr2`: at twice the rates."""
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
    lr_factor: float = 1.0
    """What its learning rates are multiplied with; other than 1 in the sweep alone."""


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
    """Tokens a parameter that the target is meant to have."""
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
    warnings: tuple[Remark | str, ...]
    """What a reader should know; files of older versions hold sentences."""


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

    The ladder is a staircase: every size takes about the same compute, so the smallest model comes near the target's
    tokens and the largest near its parameters. Loss is then known along both, one nearly as far as the target goes, and
    the law only has to add the two up; a ladder of equal tokens a parameter ends far from the target in both (NOTES.md
    has the figures). Two sizes are run again with another seed, and at half and twice their learning rates, to their
    shortest length.

    The largest rung's whole cost is at most a tenth of the target's, the ladder's at most `config.share` of it. Where a
    text is too short to be passed no more than four times, the target's tokens a parameter are lowered, down to a
    quarter of `config.tokens_per_parameter`.

    Args:
        target_flops: compute of the target.
        unique_tokens: distinct training tokens there are; None: as many as wished.
        cooldown: share of an annealed run that its cooldown takes.
        batch_tokens: tokens a step; by default one sequence.

    Raises:
        DanluError: the budget, or the text, is too small for a ladder; says what the smallest is.
    """
    drawer = _Drawer(context, vocab_size, config, unique_tokens, cooldown, batch_tokens or (lambda _: context))
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
        """The ladder of the target whose tokens a parameter are best; where none fits, one of fewer and then of shorter
        runs.

        A run of under 100,000 tokens tells little of the law, and two sizes that go on for longer more than four
        (NOTES.md, entry 34): given up are first sizes down to three, then repeated runs, then the third size, then
        tokens a parameter, and steps last.
        """
        flops, ratios = self._ratios(asked_flops)
        for fewest in (self.config.min_steps, self.config.min_steps // 2, self.config.min_steps // 4):
            drawer = replace(self, config=replace(self.config, min_steps=max(1, fewest)))
            for ratio in ratios:
                rungs = drawer._rungs(flops, ratio, hurried=fewest < self.config.min_steps)
                if rungs:
                    return self._plan(asked_flops, flops, ratio, rungs)
        return None

    def _plan(self, asked: float, flops: float, ratio: float, rungs: tuple[Rung, ...]) -> LadderPlan:
        return LadderPlan(
            target_flops=flops,
            asked_flops=asked,
            context=self.context,
            vocab_size=self.vocab_size,
            tokens_per_parameter=ratio,
            cooldown=self.cooldown,
            unique_tokens=self.unique_tokens,
            max_epochs=self.config.max_epochs,
            rungs=rungs,
            flops=sum(rung.flops for rung in rungs),
            warnings=tuple(self._warnings(asked, flops, ratio, rungs)),
        )

    def epochs(self, flops: float, ratio: float) -> float:
        """Passes over the text of a target of that compute and that many tokens a parameter."""
        return self.target_tokens(flops, ratio) / self.unique_tokens if self.unique_tokens else 0.0

    def target_tokens(self, flops: float, ratio: float) -> float:
        """Tokens of a target of that compute and that many tokens a parameter."""
        return ratio * self.target_params(flops, ratio)

    def target_params(self, flops: float, ratio: float) -> float:
        """Parameters of a target of that compute and that many tokens a parameter."""
        return _interpolate([(self._flops(m, ratio), _params(m)) for m in self.members], flops)

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

    def _rungs(self, target_flops: float, ratio: float, hurried: bool) -> tuple[Rung, ...]:
        """As many sizes as wished, or fewer and without repeated runs, and as wide a span as their lengths allow; two
        sizes, if the runs are hurried.
        """
        params = self.target_params(target_flops, ratio)
        allowed = [m for m in self.members if _params(m) <= params / _CLOSEST]
        once = replace(self, config=replace(self.config, seeds=1))
        wishes = [(once, FEWEST_SIZES)]
        if not hurried:
            counts = range(self.config.sizes, FEWEST_SIZES, -1)
            wishes = [*((self, count) for count in counts), *((once, count) for count in counts[-1:]), *wishes]
        for drawer, count in wishes:
            rungs = drawer._widest(allowed, count, target_flops, ratio * params)
            if rungs:
                return rungs
        return ()

    def _widest(
        self, allowed: Sequence[ModelConfig], count: int, target_flops: float, tokens: float
    ) -> tuple[Rung, ...]:
        """So many sizes, as far apart as their lengths allow."""
        span = _SPAN if count > FEWEST_SIZES else _SPAN_OF_TWO
        for top in range(len(allowed), count - 1, -1):
            models = _spread(allowed[:top], count)
            if _params(models[-1]) < span * _params(models[0]):
                break
            rungs = self._staircase(models, target_flops, tokens)
            if rungs:
                return rungs
        return ()

    def _staircase(self, models: Sequence[ModelConfig], target_flops: float, tokens: float) -> tuple[Rung, ...]:
        """The rungs of those sizes at equal compute, with the repeated runs; nothing where a length is too short."""
        allowed = self.config.share * target_flops
        part = min(allowed / len(models), target_flops / REACH)
        while part > allowed / (4 * len(models)):
            rungs = [rung for model in models if (rung := self._rung(model, part, tokens))]
            if len(rungs) < len(models):
                return ()
            rungs += self._again(rungs)
            if sum(rung.flops for rung in rungs) <= allowed:
                return tuple(sorted(rungs, key=lambda rung: _params(rung.model)))
            part *= 0.98
        return ()

    def _rung(self, model: ModelConfig, flops: float, longest: float) -> Rung | None:
        """The rung of a model for that compute, no longer than the target; None where it has not two lengths."""
        per_token = model.flops_per_token(self.context)
        kept = sorted(self.config.horizons)
        while len(kept) > 1:
            tokens = min(flops / (1 - self.cooldown + self.cooldown * sum(kept)) / per_token, longest)
            batch = self.batch_tokens(tokens * math.sqrt(kept[0]))  # that of a run between its shortest and longest
            steps = tokens / batch
            if round(kept[0] * steps) >= self.config.min_steps:
                return self._made(model, [max(1, math.floor(part * steps)) for part in kept], batch)
            kept.pop(0)
        return None

    def _made(self, model: ModelConfig, steps: Sequence[int], batch: int) -> Rung:
        horizons = tuple(count * batch for count in steps)
        per_token = model.flops_per_token(self.context)
        return Rung(
            name=f"w{model.hidden_size}",
            model=model,
            seed=0,
            horizons=horizons,
            batch_tokens=batch,
            horizon_flops=tuple(per_token * horizon for horizon in horizons),
            flops=per_token * ((1 - self.cooldown) * horizons[-1] + self.cooldown * sum(horizons)),
        )

    def _again(self, rungs: Sequence[Rung]) -> list[Rung]:
        """Further runs of the two smallest sizes, to their shortest length: other seeds, other learning rates."""
        found = []
        for rung in rungs[:2]:
            short = self._made(rung.model, [rung.horizons[0] // rung.batch_tokens], rung.batch_tokens)
            found += [replace(short, name=f"{rung.name}-{seed}", seed=seed) for seed in range(1, self.config.seeds)]
        for rung in rungs[: self.config.swept_sizes]:
            short = self._made(rung.model, [rung.horizons[0] // rung.batch_tokens], rung.batch_tokens)
            found += [replace(short, name=f"{rung.name}-lr{f:g}", lr_factor=f) for f in SWEPT_FACTORS]
        return found

    def _warnings(self, asked: float, spent: float, ratio: float, rungs: Sequence[Rung]) -> list[Remark]:
        found = []
        epochs, sizes = self.epochs(spent, ratio), len({rung.model for rung in rungs})
        if spent < asked:
            found.append(
                Remark.of("plan.text", tokens=self.unique_tokens or 0, epochs=epochs, spent=spent, asked=asked)
            )
        elif epochs > 1:
            found.append(Remark.of("plan.epochs", epochs=epochs))
        if ratio < self.config.tokens_per_parameter:
            found.append(Remark.of("plan.ratio", ratio=ratio, wished=self.config.tokens_per_parameter))
        fewest = min(rung.horizons[0] // rung.batch_tokens for rung in rungs)
        if fewest < self.config.min_steps:
            found.append(Remark.of("plan.steps", steps=fewest, wished=self.config.min_steps))
        if sizes < WISHED_SIZES:
            found.append(Remark.of("plan.sizes", sizes=sizes, wished=WISHED_SIZES))
        if self.config.seeds > 1 and all(rung.seed == 0 for rung in rungs):
            found.append(Remark.of("plan.seeds"))
        return found


def _spread(models: Sequence[ModelConfig], count: int) -> list[ModelConfig]:
    """`count` of the models, the first and the last among them, as evenly apart in parameters as they come."""
    logs = [math.log(_params(model)) for model in models]
    chosen: list[int] = []
    for place in range(count):
        wanted = logs[0] + (logs[-1] - logs[0]) * place / (count - 1)
        free = range(place, len(models) - (count - 1 - place))
        after = [index for index in free if not chosen or index > chosen[-1]]
        chosen.append(min(after, key=lambda index: abs(logs[index] - wanted)))
    return [models[index] for index in chosen]


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
        f"The smallest needs about {smallest:.2g} FLOPs: --budget {1.02 * smallest:.2g}flops or more.",
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
