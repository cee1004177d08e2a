"""The frontier carried beyond the ladder, with an interval: redraw the runs, fit again, and look how far it strays."""

from dataclasses import dataclass

import numpy as np

from danlu.scaling.config import ForecastConfig
from danlu.scaling.ladder_fit import FEWEST_POINTS, Fit, emphasis, fit_points, pull_of, variables
from danlu.scaling.laws import FRONTIER, SURFACE, Array
from danlu.scaling.solver import Problem, refine


@dataclass(frozen=True)
class Outlook:
    """Losses at several amounts of compute, at the fit's tokens a parameter."""

    loss: Array
    """The frontier's loss (nats per token)."""
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


def outlook(fit: Fit, compute: Array, config: ForecastConfig, stretch: float = 1.0) -> Outlook:
    """The frontier at `compute` (6 N D, FLOPs), with an interval.

    Every resample redraws each run: an error shared by all points of a rung and one for each point, of equal size and
    together as large as the fit's noise. It redraws the exponents' prior too, then fits surface and frontier anew. The
    interval holds the middle `config.level` of both laws' predictions, with the target's own run-to-run noise on them.

    Args:
        stretch: factor on the interval's width, from a backtest.
    """
    loss = fit.frontier.predict({"C": compute})
    draws = _draws(fit, compute, config)
    tail = (1 - config.level) / 2
    ends = np.quantile(draws, [tail, 1 - tail], axis=0) - np.log(loss)
    # Never narrower than what one run differs from the next.
    least = _normal_quantile(1 - tail) * max(config.seed_noise, _sampling_error(fit))
    low, high = np.minimum(ends[0], -least) * stretch, np.maximum(ends[1], least) * stretch
    return Outlook(loss, np.maximum(loss * np.exp(low), fit.entropy), loss * np.exp(high))


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


def _draws(fit: Fit, compute: Array, config: ForecastConfig) -> Array:
    """Log losses at `compute` from both laws on redrawn ladders (2 * resamples, places)."""
    rng = np.random.default_rng(config.seed)
    count = config.resamples
    values = variables(fit.points, fit.half_life)
    losses = np.array([point.loss for point in fit.points])
    names = {name: index for index, name in enumerate(dict.fromkeys(point.rung for point in fit.points))}
    rungs = np.array([names[point.rung] for point in fit.points])
    half = fit.noise / np.sqrt(2)
    shared = rng.normal(0, half, (count, len(names)))[:, rungs]
    redrawn = losses * np.exp(shared + rng.normal(0, half, (count, len(losses))))

    def centres(problem: Problem) -> Array:
        assert problem.pull
        away = rng.normal(0, problem.pull.spread, (count, len(problem.law.exponents)))
        return np.asarray(away + np.log(problem.pull.centre))

    known, weights = fit.entropy > 0, emphasis(values, config)
    surface = Problem(SURFACE, values, config.huber_delta, fit.surface.floor, pull_of(SURFACE, config), known)
    start = np.tile(surface.theta(fit.surface.parameters), (count, 1))
    surfaces, _ = refine(surface, start, redrawn, weights, centres(surface))

    def on_surfaces(params: Array, tokens: Array) -> Array:
        return surface.predict(surfaces, {"N": params, "D": tokens})

    there = np.sqrt(values["N"] * values["D"] / fit.ratio)
    carried = redrawn * on_surfaces(there, there * fit.ratio) / on_surfaces(values["N"], values["D"])
    frontier = Problem(FRONTIER, values, config.huber_delta, fit.frontier.floor, pull_of(FRONTIER, config), known)
    start = np.tile(frontier.theta(fit.frontier.parameters), (count, 1))
    frontiers, _ = refine(frontier, start, carried, weights, centres(frontier))

    params = np.sqrt(compute / 6.0 / fit.ratio)
    both = np.concatenate([frontier.predict(frontiers, {"C": compute}), on_surfaces(params, params * fit.ratio)])
    return np.asarray(np.log(both) + rng.normal(0, fit.noise, (len(both), 1)))


def _sampling_error(fit: Fit) -> float:
    """Standard error of the held-out loss, as a share of it; the largest of the points'."""
    return max((point.loss_se or 0.0) / point.loss for point in fit.points)


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)
