"""The law carried beyond the ladder, with an interval: what all surfaces that the points allow say of it."""

import math
from dataclasses import dataclass, replace

import numpy as np

from danlu.scaling.config import ForecastConfig
from danlu.scaling.ladder_fit import Fit, emphasis, variables
from danlu.scaling.laws import Array
from danlu.scaling.surfaces import NODES, TEXT, TOY, Surfaces, fit_surfaces

_CLEARLY = 1.3
"""A point is forecast from those that took its compute over this, or less."""
_FEWEST_TO_TEST = 4
_LEAST_BEYOND = 0.3
"""Natural log of a compute ratio; errors nearer than that are noise, and do not count as if carried no distance."""
_PRIOR_TESTS = 4.0
"""Tests over an e-fold that `config.drift` counts as: with so many, nine of ten intervals hold (NOTES.md, entry 38)."""
_TEST_NODES = 13


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
    """A point of the ladder as forecast from all that took less compute."""

    rung: str
    params: int
    tokens: int
    """The point."""
    forecast: float
    measured: float
    """Its loss (nats per token)."""
    beyond: float
    """Natural log of its compute over the largest it was forecast from."""

    @property
    def error(self) -> float:
        """Measured over forecast (natural log)."""
        return math.log(self.measured / self.forecast)


@dataclass(frozen=True)
class Drift:
    """How far off a law is reckoned to be for each e-fold of compute that it is carried beyond its points."""

    rate: float
    """Scale of the error (share of the loss)."""
    freedom: float
    """Degrees of freedom of the t distribution that the error is taken to have: the fewer tests, the longer its
    tails."""
    tests: tuple[Backtest, ...]
    """What it rests on beside `config.drift`; the largest compute last."""

    def half_width(self, level: float) -> float:
        """Half the width of the central interval of that probability, for one e-fold (share of the loss)."""
        from scipy.stats import t

        return self.rate * float(t.ppf((1 + level) / 2, self.freedom))


def surfaces_of(fit: Fit, config: ForecastConfig, *, free: bool = False, nodes: int = NODES) -> Surfaces:
    """The surfaces that the fit's points allow.

    Args:
        free: leave the constant open even where the source's entropy is known.
        nodes: of the grid over each exponent.
    """
    values = variables(fit.points, fit.half_life)
    losses = np.array([point.loss for point in fit.points])
    known = fit.entropy > 0 and not free  # as the toy language's alone is
    return fit_surfaces(
        values["N"],
        values["D"],
        losses,
        emphasis(values, config),
        seed_noise=config.seed_noise,
        entropy=fit.entropy if known else None,
        bytes_per_token=fit.bytes_per_token,
        exponents=TOY if known else TEXT,
        nodes=nodes,
    )


def outlook(fit: Fit, compute: Array, config: ForecastConfig, drift: Drift) -> Outlook:
    """The loss at `compute` (6 N D, FLOPs) and the fit's tokens a parameter, with an interval.

    The loss is the median of the surfaces. The interval holds the middle `config.level` of them, the noise of
    the points and of the target's own run, and the drift of laws carried so far, as independent errors.
    """
    surfaces = surfaces_of(fit, config)
    params = np.sqrt(compute / 6.0 / fit.ratio)
    tail = (1 - config.level) / 2
    low, loss, high = np.log(surfaces.quantiles(params, params * fit.ratio, (tail, 0.5, 1 - tail)))
    beyond = np.maximum(np.log(compute / variables(fit.points, fit.half_life)["C"].max()), 0.0)
    # Not the held-out text's own sampling error: the target is measured on the same text as the points.
    alone = max(surfaces.noise, config.seed_noise)
    within = _normal_quantile(1 - tail) * np.hypot(alone, surfaces.spread(params, params * fit.ratio))
    least = np.hypot(within, drift.half_width(config.level) * beyond)
    low, high = loss - np.hypot(loss - low, least), loss + np.hypot(high - loss, least)
    return Outlook(np.exp(loss), np.maximum(np.exp(low), fit.entropy), np.exp(high))


def measure_drift(fit: Fit, config: ForecastConfig) -> Drift:
    """Forecast each point from those of clearly less compute, as the target is forecast from all of them.

    No law is known to hold beyond its points, least of all in runs so short that their losses still fall from a
    transient; a ladder whose own larger runs come out otherwise than its smaller ones said cannot promise better for
    the target. `config.drift` counts as `_PRIOR_TESTS` tests over an e-fold each.
    """
    values = variables(fit.points, fit.half_life)
    tests = []
    for place in np.argsort(values["C"], kind="stable"):
        point, compute = fit.points[place], values["C"][place]
        smaller = [p for p, c in zip(fit.points, values["C"], strict=True) if c * _CLEARLY <= compute]
        if len(smaller) < _FEWEST_TO_TEST or len({p.params for p in smaller}) < 2:
            continue
        surfaces = surfaces_of(replace(fit, points=tuple(smaller)), config, nodes=_TEST_NODES)
        forecast = surfaces.quantiles(values["N"][[place]], values["D"][[place]], (0.5,))[0, 0]
        before = max(c for c in values["C"] if c * _CLEARLY <= compute)
        tests.append(
            Backtest(point.rung, point.params, point.tokens, float(forecast), point.loss, math.log(compute / before))
        )
    # Errors are taken to grow in proportion to the distance, so that the far tests say most; the prior's are an e-fold.
    squares = _PRIOR_TESTS * config.drift**2 + sum(test.error**2 for test in tests)
    distance = _PRIOR_TESTS + sum(max(test.beyond, _LEAST_BEYOND) ** 2 for test in tests)
    return Drift(math.sqrt(squares / distance), _PRIOR_TESTS + len(tests), tuple(tests))


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)
