"""Loss over parameters and tokens, and the best split of compute between them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from danlu.common.errors import DanluError

_MOST_PASSES = 1e3
"""Passes over a text beyond which nothing more is learned from it."""

_SATURATED = 5.0
"""Lifetimes after which an exponential has come to its end."""


@dataclass(frozen=True)
class LossLaw:
    """L = E + A/N^alpha + B/D^beta (nats per token), as fitted by somebody on some text."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    source: str
    relative_error: float = 0.011
    """Standard deviation of its forecasts, as a share of the loss, one and a half orders of compute beyond its runs.

    The default is measured on the replication's own points: fitted below 1e20 FLOPs it misses those above by 0.89% on
    average, which is 0.011 as a standard deviation."""
    largest_flops: float = 3e21
    """Compute of the largest run behind it."""
    half_life: float = 15.39
    """R_D* of the worth of repeated text (Muennighoff et al. 2023, equation 5): epochs after which a repetition is
    worth 1/e of fresh text; their own fit leaves it wide open."""
    excess_life: float = 5.31
    """R_N* of the worth of parameters beyond those that the distinct text can feed (the same, section 3.2)."""

    def loss(self, params: float, tokens: float, unique: float | None = None) -> float:
        """Loss at so many parameters and tokens; `unique` distinct ones make the others repetitions."""
        rest = self.B / self.worth(tokens, unique) ** self.beta
        return self.E + self.A / self.worth_of_params(params, tokens, unique) ** self.alpha + rest

    def worth_of_params(self, params: float, tokens: float, unique: float | None) -> float:
        """Parameters that would learn as much from fresh text (Muennighoff et al. 2023, section 3.2).

        Their law takes from a model too large for its text even at the first pass, which the law of fresh text has
        said already: here that comes in between the first pass and the second.
        """
        if unique is None or tokens <= unique:
            return params
        fed = self.fed(unique)
        excess = params / fed - 1
        if excess <= 0:
            return params
        worth = fed * (1 - self.excess_life * math.expm1(-excess / self.excess_life))
        return params * float((worth / params) ** min(tokens / unique - 1, 1.0))

    def fed(self, unique: float) -> float:
        """The best model for so many distinct tokens seen once: where both terms fall alike with compute."""
        return (self.alpha * self.A * unique**self.beta / (self.beta * self.B)) ** (1 / self.alpha)

    def worth(self, tokens: float, unique: float | None) -> float:
        """Fresh tokens that would teach as much (Muennighoff et al. 2023, equation 5)."""
        if unique is None or tokens <= unique:
            return tokens
        repeats = tokens / unique - 1
        return unique * (1 + self.half_life * (1 - math.exp(-repeats / self.half_life)))

    def interval(self, params: float, tokens: float, unique: float | None = None) -> tuple[float, float]:
        """The middle 80% about the loss: its error grows with the orders of compute beyond the runs it rests on."""
        beyond = max(0.0, math.log10(6 * params * tokens / self.largest_flops)) / 1.5
        spread = 1.2816 * self.relative_error * math.sqrt(1 + beyond**2)
        middle = self.loss(params, tokens, unique)
        return middle * math.exp(-spread), middle * math.exp(spread)


REPLICATION = LossLaw(
    1.8172, 482.01, 2085.43, 0.3478, 0.3658, "Besiroglu et al. 2024 (replication of Hoffmann et al. 2022, approach 3)"
)
"""The default: losses on MassiveText's tokens, so that its level means little for another text; its shape does."""


@dataclass(frozen=True)
class Split:
    """How compute is divided."""

    params: float
    tokens: float
    loss: float
    low: float
    high: float
    """Ends of the 80% interval of the loss."""
    training_flops: float
    """6 N D."""
    serving_flops: float
    """2 N for every token to be served."""

    @property
    def tokens_per_parameter(self) -> float:
        """D / N."""
        return self.tokens / self.params


def best_split(law: LossLaw, flops: float, unique: float | None = None, served: float = 0.0) -> Split:
    """The lowest loss from so much compute, serving included.

    With nothing to serve and text enough it is Hoffmann et al.'s N = G (C/6)^(beta/(alpha+beta)); with served tokens
    the model is smaller and trained longer (Sardana et al. 2023).

    Args:
        flops: 6 N D + 2 N served.
        unique: distinct tokens of text; None for as much as is wanted.
        served: tokens to be generated or read over the model's life.
    """

    def tokens_at(log_params: float) -> float:
        params = math.exp(log_params)
        return (flops - 2 * params * served) / (6 * params)

    highest = math.log(flops / (6e6 + 2 * served)) if served else math.log(flops / 6e6)
    if unique is not None:  # beyond this size parameters are worth no more
        highest = min(highest, math.log(law.fed(unique) * (1 + _SATURATED * law.excess_life)))

    def loss_at(log_params: float) -> float:
        return law.loss(math.exp(log_params), max(tokens_at(log_params), 1.0), unique)

    best = _lowest(loss_at, math.log(1e4), max(highest, math.log(2e4)))
    return _split(law, math.exp(best), max(tokens_at(best), 1.0), unique, served)


def cheapest_split(law: LossLaw, target: float, unique: float | None = None, served: float = 0.0) -> Split:
    """The least compute, serving included, that reaches a loss.

    Raises:
        DanluError: the law never gets so low, or not with so little text.
    """
    floor = law.E
    if unique:
        most = unique * (1 + law.half_life)  # what endless repetition is worth
        floor += law.B / most**law.beta + law.A / (law.fed(unique) * (1 + law.excess_life)) ** law.alpha
    if target <= floor * 1.0001:
        why = "even with all repetitions of the text" if unique else "at any scale"
        raise DanluError(
            f"a loss of {target:g} is at or below {floor:.3f}, the lowest that the law ({law.source}) reaches {why}.",
            "Give a higher --loss, more text, or a law fitted on your own text (--fit fit.json).",
        )

    def tokens_at(log_params: float) -> float:
        return tokens_for(law, target, math.exp(log_params), unique)

    def cost(log_params: float) -> float:
        params, tokens = math.exp(log_params), tokens_at(log_params)
        return math.log(6 * params * tokens + 2 * params * served) if tokens < math.inf else 1e6 - log_params

    best = _lowest(cost, math.log(1e4), math.log(1e16))
    if tokens_at(best) == math.inf:
        raise DanluError(
            f"no model reaches a loss of {target:g} on {unique or 0:g} distinct tokens, however often it reads them.",
            "Give a higher --loss or more text (--tokens-available).",
        )
    return _split(law, math.exp(best), tokens_at(best), unique, served)


def tokens_for(law: LossLaw, target: float, params: float, unique: float | None = None) -> float:
    """Tokens after which a model of so many parameters reaches a loss; infinite where it never does."""
    rest = target - law.E - law.A / params**law.alpha
    if rest <= 0:
        return math.inf
    need = (law.B / rest) ** (1 / law.beta)
    if unique is None or need <= unique:
        return need
    low, high = math.log(unique), math.log(unique * _MOST_PASSES)
    if law.loss(params, math.exp(high), unique) > target:
        return math.inf
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if law.loss(params, math.exp(middle), unique) <= target else (middle, high)
    return math.exp(high)


def at(law: LossLaw, params: float, tokens: float, unique: float | None = None, served: float = 0.0) -> Split:
    """The split that a given model and number of tokens are."""
    return _split(law, params, tokens, unique, served)


def law_from(parameters: dict[str, float], source: str, relative_error: float, largest_flops: float) -> LossLaw:
    """A law of the user's own fit.

    Raises:
        DanluError: a parameter of the surface is missing.
    """
    missing = [name for name in ("E", "A", "B", "alpha", "beta") if name not in parameters]
    if missing:
        raise DanluError(
            f"the fit of {source} has no '{missing[0]}'.", "Give a fit of the surface E + A/N^alpha + B/D^beta."
        )
    named = {name: parameters[name] for name in ("E", "A", "B", "alpha", "beta")}
    base = LossLaw(**named, source=source)
    return replace(base, relative_error=relative_error, largest_flops=largest_flops)


def _split(law: LossLaw, params: float, tokens: float, unique: float | None, served: float) -> Split:
    low, high = law.interval(params, tokens, unique)
    return Split(params, tokens, law.loss(params, tokens, unique), low, high, 6 * params * tokens, 2 * params * served)


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is lowest: a coarse grid, then golden sections around its best point.

    Written here because scipy takes longer to load than a plan to make.
    """
    points = [low + (high - low) * index / 400 for index in range(401)]
    best = min(range(401), key=lambda index: function(points[index]))
    left, right = points[max(best - 1, 0)], points[min(best + 1, 400)]
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        one, two = right - golden * (right - left), left + golden * (right - left)
        if function(one) <= function(two):
            right = two
        else:
            left = one
    return (left + right) / 2
