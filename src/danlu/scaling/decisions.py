"""What a fit is for: how to spend compute, what a loss costs, what repeated text and much serving change."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from danlu.common.errors import DanluError
from danlu.scaling.analysis import TableFit
from danlu.scaling.laws import Array
from danlu.scaling.recipe_laws import Advice, advise
from danlu.scaling.repetition import HALF_LIFE, HALF_LIFE_RANGE, effective_tokens

_FLAT = 0.005
"""Losses this near to the best (share of the loss) count as equal."""
_GRID = 400
_MOST_PASSES = 50.0


@dataclass(frozen=True)
class Range:
    """A number with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Allocation:
    """How to spend a compute budget."""

    compute: float
    """FLOPs, as 6 N D of training."""
    params: Range
    """N* (parameters)."""
    tokens: Range
    """D* (tokens)."""
    loss: Range
    """Loss at it (nats per token)."""
    flat: tuple[float, float]
    """Sizes between which the loss is within half a percent of the best (parameters)."""
    exponent: Range | None
    """a of N* ~ C^a, where the law has one."""
    advice: Advice
    """Learning rate and batch for it."""
    reach: Mapping[str, float]
    """How many times C, N and D/N lie beyond the rows."""
    passes: float = 1.0
    """Passes over the distinct text, where it is limited."""
    served: float = 0.0
    """Tokens that are reckoned to be served after training."""


def _surface(fitted: TableFit) -> tuple[Array, Array]:
    """Parameters (E, A, B, alpha, beta) of the leading surface, and of its bootstrap refits (refits, 5)."""
    names = [parameter.name for parameter in fitted.law.parameters]
    if not {"E", "A", "B", "alpha"} <= set(names) or fitted.law.variables != ("N", "D"):
        raise DanluError(
            f"the law {fitted.law.name} ({fitted.law.formula}) says nothing about dividing compute between N and D.",
            "Fit rows in which N and D vary on their own, with --law surface or --law tied_surface. For the loss"
            " at some compute alone, give --predict a table with a column C.",
        )
    order = [names.index(name if name in names else "alpha") for name in ("E", "A", "B", "alpha", "beta")]
    point = np.array([fitted.lead.parameters[names[index]] for index in order])
    return point, fitted.draws[:, order]


def allocate(fitted: TableFit, compute: float, *, distinct: float | None = None, served: float = 0.0) -> Allocation:
    """The best size and length for a compute budget.

    Args:
        compute: training FLOPs, 6 N D; with `served`, training and serving together, 6 N D + 2 N served.
        distinct: distinct training tokens; more are passes over the same text (Muennighoff et al. 2023).
        served: tokens that the model will read and write in use (Sardana et al. 2024).

    Raises:
        DanluError: the fit has no surface over N and D, or a number is not above zero.
    """
    if compute <= 0 or (distinct is not None and distinct <= 0) or served < 0:
        raise DanluError("compute and distinct tokens must be above 0, served tokens at least 0.", "Correct them.")
    point, draws = _surface(fitted)
    best = _optimum(point[None], compute, distinct, served)[0]
    drawn = _optimum(draws, compute, distinct, served)
    stretch = fitted.panel.stretch
    tail = (1 - fitted.level) / 2
    ends = np.quantile(np.log(drawn), [tail, 1 - tail])
    params = _stretched(best, ends, stretch)
    tokens = _tokens(best, compute, served)
    token_ends = np.quantile(np.log(_tokens(drawn, compute, served)), [tail, 1 - tail])
    worth = effective_tokens(tokens, distinct, HALF_LIFE) if distinct else tokens
    said = fitted.predict({"N": best, "D": worth, "C": 6.0 * best * worth})
    sizes = best * np.geomspace(1e-2, 1e2, _GRID)
    losses = _losses(point[None], sizes[None], compute, distinct, served)[0]
    good = sizes[losses <= losses.min() * (1 + _FLAT)]
    exponent = None
    if distinct is None and not served:
        own = draws[:, 4] / (draws[:, 3] + draws[:, 4])
        low, high = np.quantile(own, [tail, 1 - tail])
        value = float(point[4] / (point[3] + point[4]))
        exponent = Range(value, value + stretch * (float(low) - value), value + stretch * (float(high) - value))
    return Allocation(
        compute=compute,
        params=params,
        tokens=_stretched(tokens, token_ends, stretch),
        loss=Range(float(said.predicted[0]), float(said.low[0]), float(said.high[0])),
        flat=(float(good.min()), float(good.max())),
        exponent=exponent,
        advice=advise(fitted.rows, best, tokens),
        reach=fitted.reach({"N": best, "D": tokens, "C": 6.0 * best * tokens}),
        passes=tokens / distinct if distinct else 1.0,
        served=served,
    )


def cheapest(fitted: TableFit, loss: float) -> Range:
    """The least training compute (6 N D, FLOPs) that reaches a loss, with its interval; its upper end is infinite where
    the loss may never be reached.

    Raises:
        DanluError: the loss lies below the fitted floor.
    """
    point, draws = _surface(fitted)
    value = float(_compute_for(point[None], loss)[0])
    if not np.isfinite(value):
        raise DanluError(
            f"a loss of {loss:g} lies at or below the fitted floor of {point[0]:.4f}: no compute reaches it.",
            "Ask for a higher loss.",
        )
    said = fitted.predict(_at_optimum(point, value))
    half = float(np.log(said.high[0] / said.predicted[0]))
    low, high = (float(_compute_for(point[None], loss * np.exp(side * half))[0]) for side in (1, -1))
    tail = (1 - fitted.level) / 2
    drawn = np.quantile(_compute_for(draws, loss), [tail, 1 - tail])
    return Range(value, min(low, float(drawn[0])), max(high, float(drawn[1])))


def worth_of_passes(tokens: float, distinct: float) -> Range:
    """Fresh tokens that training on repeated text is worth; the ends span what R_D* may well be (5 to 100 passes)."""
    low, value, high = (
        effective_tokens(tokens, distinct, r) for r in (HALF_LIFE_RANGE[0], HALF_LIFE, HALF_LIFE_RANGE[1])
    )
    return Range(value, low, high)


def _at_optimum(point: Array, compute: float) -> dict[str, Array]:
    size = _optimum(point[None], compute, None, 0.0)
    return {"N": size, "D": compute / 6.0 / size, "C": np.array([compute])}


def _tokens(params: float | Array, compute: float, served: float) -> float:
    left = (compute - 2.0 * params * served) / (6.0 * params)
    return np.maximum(left, 1.0) if isinstance(params, np.ndarray) else max(left, 1.0)  # type: ignore[return-value]


def _optimum(rows: Array, compute: float, distinct: float | None, served: float) -> Array:
    """N* for each row of parameters (R,)."""
    _, a, b, alpha, beta = rows.T
    tiny = np.finfo(float).tiny
    ratio = np.log(np.maximum(alpha * a, tiny)) - np.log(np.maximum(beta * b, tiny))
    plain = np.exp((ratio + beta * np.log(compute / 6.0)) / (alpha + beta))
    if distinct is None and not served:
        return np.asarray(plain)
    scale = np.geomspace(1e-3, 1e3, 4 * _GRID)
    return np.array(
        [
            size * scale[np.argmin(_losses(row[None], (size * scale)[None], compute, distinct, served)[0])]
            for row, size in zip(rows, plain, strict=True)
        ]
    )


def _losses(rows: Array, params: Array, compute: float, distinct: float | None, served: float) -> Array:
    """Losses (R, sizes) where the budget is spent on each size; infinite where it does not pay for the serving."""
    e, a, b, alpha, beta = (column[:, None] for column in rows.T)
    left = (compute - 2.0 * params * served) / (6.0 * params)
    tokens = np.maximum(left, 1.0)
    if distinct is not None:
        tokens = np.minimum(tokens, distinct * _MOST_PASSES)
        tokens = effective_tokens(tokens, np.full_like(tokens, distinct), HALF_LIFE)
    losses = e + a * params**-alpha + b * tokens**-beta
    return np.where(left > 0, losses, np.inf)


def _compute_for(rows: Array, loss: float) -> Array:
    """Least compute for a loss by each row of parameters (R,); infinite where it is below the floor."""
    e, a, b, alpha, beta = rows.T
    # At the optimum alpha A N^-alpha = beta B D^-beta, so that the loss is E + A N^-alpha (1 + alpha / beta).
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        part = (loss - e) / (1 + alpha / beta)
        params = (part / a) ** (-1 / alpha)
        tokens = (part * alpha / beta / b) ** (-1 / beta)
        return np.where(loss > e, 6.0 * params * tokens, np.inf)


def _stretched(value: float, ends: Array, stretch: float) -> Range:
    middle = np.log(value)
    low, high = middle + stretch * (ends - middle)
    return Range(float(value), float(np.exp(min(low, middle))), float(np.exp(max(high, middle))))
