"""The law carried beyond the ladder, with an interval: what all surfaces that the points allow say of it."""

from dataclasses import dataclass

import numpy as np

from danlu.scaling.config import ForecastConfig
from danlu.scaling.ladder_fit import FEWEST_POINTS, Fit, emphasis, fit_points, variables
from danlu.scaling.laws import Array
from danlu.scaling.surfaces import Surfaces, fit_surfaces


@dataclass(frozen=True)
class Outlook:
    """Losses at several amounts of compute, at the fit's tokens a parameter."""

    loss: Array
    """The forecast loss (nats per token)."""
    low: Array
    high: Array
    """Ends of the interval (nats per token)."""


@dataclass(frozen=True)
class Backtest:
    """The forecast of the largest size from the others."""

    params: int
    """Parameters of the size left out."""
    forecast: float
    low: float
    high: float
    """Loss with interval (nats per token) at its point nearest the middle ratio."""
    measured: float
    """Loss it reached (nats per token); several seeds' mean."""

    @property
    def stretch(self) -> float:
        """How many times as wide the interval must have been to hold what was measured; 1 where it held it."""
        away = np.log(self.measured / self.forecast)
        edge = np.log((self.high if away > 0 else self.low) / self.forecast)
        return max(1.0, float(away / edge))


def surfaces_of(fit: Fit, config: ForecastConfig, *, free: bool = False) -> Surfaces:
    """The surfaces that the fit's points allow.

    Args:
        free: leave the constant open even where the source's entropy is known.
    """
    values = variables(fit.points, fit.half_life)
    losses = np.array([point.loss for point in fit.points])
    return fit_surfaces(
        values["N"],
        values["D"],
        losses,
        emphasis(values, config),
        seed_noise=config.seed_noise,
        entropy=fit.entropy if fit.entropy > 0 and not free else None,
    )


def outlook(fit: Fit, compute: Array, config: ForecastConfig, stretch: float = 1.0) -> Outlook:
    """The loss at `compute` (6 N D, FLOPs) and the fit's tokens a parameter, with an interval.

    The loss is the median of the surfaces. The interval holds the middle `config.level` of them, the noise of
    the points and of the target's own run, and what `config.drift` says of laws carried so far, as independent errors.

    Args:
        stretch: factor on the interval's width, from a backtest.
    """
    surfaces = surfaces_of(fit, config)
    params = np.sqrt(compute / 6.0 / fit.ratio)
    tail = (1 - config.level) / 2
    low, loss, high = np.log(surfaces.quantiles(params, params * fit.ratio, (tail, 0.5, 1 - tail)))
    beyond = np.maximum(np.log(compute / variables(fit.points, fit.half_life)["C"].max()), 0.0)
    alone = max(surfaces.noise, config.seed_noise, _sampling_error(fit))
    within = np.hypot(alone, surfaces.spread(params, params * fit.ratio))
    least = _normal_quantile(1 - tail) * np.hypot(within, config.drift * beyond)
    low, high = loss - np.hypot(loss - low, least) * stretch, loss + np.hypot(high - loss, least) * stretch
    return Outlook(np.exp(loss), np.maximum(np.exp(low), fit.entropy), np.exp(high))


def backtest(fit: Fit, config: ForecastConfig) -> Backtest | None:
    """Forecast the largest size from the smaller ones; None where too few remain."""
    largest = max(point.params for point in fit.points)
    rest = [point for point in fit.points if point.params < largest]
    if len(rest) < FEWEST_POINTS or len({point.params for point in rest}) < 3:
        return None
    held = [point for point in fit.points if point.params == largest]
    worth = variables(held, fit.half_life)
    places = np.round(np.log(worth["D"] / worth["N"] / fit.ratio), 2)
    nearest = np.abs(places) == np.abs(places).min()
    params, tokens = worth["N"][nearest][0], worth["D"][nearest][0]
    smaller = fit_points(
        rest, config, ratio=float(tokens / params), entropy=fit.entropy or None, half_life=fit.half_life
    )
    seen = outlook(smaller, np.array([6.0 * params * tokens]), config)
    losses = [point.loss for point, is_near in zip(held, nearest, strict=True) if is_near]
    return Backtest(
        params=largest,
        forecast=float(seen.loss[0]),
        low=float(seen.low[0]),
        high=float(seen.high[0]),
        measured=float(np.mean(losses)),
    )


def _sampling_error(fit: Fit) -> float:
    """Standard error of the held-out loss, as a share of it; the largest of the points'."""
    return max((point.loss_se or 0.0) / point.loss for point in fit.points)


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)
