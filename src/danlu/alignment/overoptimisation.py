"""Over-optimisation: the proxy that is optimised and the gold that is meant, against how far the policy has gone.

The distance is d = sqrt(KL(policy || initial policy)), in nats^(1/2). Gao, Schulman and Hilton 2022 (arXiv 2210.10760,
section 3) found the gold reward, counted from the initial policy's, to follow

    best of n: R(d) = d (alpha - beta d)         peak at alpha / (2 beta)
    RL:        R(d) = d (alpha - beta log d)     peak at exp(alpha / beta - 1)

Both are linear in alpha and beta, so the fit is ordinary least squares and its intervals are Student's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from danlu.common.errors import DanluError

Form = Literal["best_of_n", "rl"]
Array = NDArray[np.float64]

_DRAWS = 4000


@dataclass(frozen=True)
class Interval:
    """A number with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """One of Gao's forms, fitted."""

    form: Form
    alpha: Interval
    beta: Interval
    peak: Interval | None
    """Where gold is highest (d); None where the curve does not turn (beta is not above 0)."""
    best: float | None
    """The gold reward there, counted from the start."""
    peak_seen: bool
    """Whether the peak lies within the distances that were measured."""
    r_squared: float
    """Share of the rewards' variation about their mean that the curve explains."""
    residual: float
    """Standard deviation of the rewards about the curve."""
    points: int
    """How many were fitted."""
    confidence: float
    """Of the intervals."""

    def __call__(self, distance: Array) -> Array:
        """The gold reward at some distances."""
        return design(distance, self.form) @ np.array([self.alpha.value, self.beta.value])


def design(distance: Array, form: Form) -> Array:
    """What alpha and beta are multiplied with, (n, 2). distance: (n,), 0 or more."""
    safe = np.where(distance > 0, distance, 1.0)
    second = distance**2 if form == "best_of_n" else np.where(distance > 0, distance * np.log(safe), 0.0)
    return np.stack([distance, -second], axis=1)


def fit(
    kl: Sequence[float], gold: Sequence[float], form: Form, *, start: float, confidence: float = 0.95, seed: int = 0
) -> Curve:
    """Fit one of Gao's forms by least squares.

    Args:
        kl: KL from the initial policy (nats), 0 or more.
        gold: the gold reward at each.
        start: the initial policy's gold reward, from which gains are counted.
        seed: of the draws behind the peak's interval: of (alpha, beta) from their distribution.

    Raises:
        DanluError: fewer than four points, or all at one distance.
    """
    distance = np.sqrt(np.maximum(np.asarray(kl, float), 0.0))
    gain = np.asarray(gold, float) - start
    if len(distance) < 4 or np.ptp(distance) < 1e-9:
        raise DanluError(
            f"a curve of gold against KL needs four points at different distances; there are {len(distance)}.",
            "Measure more often along the run, or more values of n.",
        )
    columns = design(distance, form)
    estimate = np.asarray(np.linalg.lstsq(columns, gain)[0], np.float64)
    residuals = gain - columns @ estimate
    freedom = len(gain) - 2
    variance = float(residuals @ residuals) / freedom
    covariance = np.asarray(variance * np.linalg.pinv(columns.T @ columns), np.float64)
    width = float(stats.t.ppf((1 + confidence) / 2, freedom)) * np.sqrt(np.diag(covariance))
    alpha, beta = (Interval(float(e), float(e - w), float(e + w)) for e, w in zip(estimate, width, strict=True))
    peak = peak_of(alpha.value, beta.value, form)
    spread = float(((gain - gain.mean()) ** 2).sum())
    return Curve(
        form=form,
        alpha=alpha,
        beta=beta,
        peak=None if peak is None else _peak_interval(estimate, covariance, freedom, form, peak, confidence, seed),
        best=None if peak is None else float((design(np.array([peak]), form) @ estimate)[0]),
        peak_seen=peak is not None and bool(distance.min() <= peak <= distance.max()),
        r_squared=1.0 - float(residuals @ residuals) / spread if spread > 0 else math.nan,
        residual=math.sqrt(variance),
        points=len(gain),
        confidence=confidence,
    )


def peak_of(alpha: float, beta: float, form: Form) -> float | None:
    """Where a curve is highest (d); None where it has no highest point at a positive distance."""
    if beta <= 0.0 or (form == "best_of_n" and alpha <= 0.0):
        return None
    if form == "best_of_n":
        return alpha / (2 * beta)
    exponent = alpha / beta - 1
    return math.exp(exponent) if exponent < 700 else None


def _peak_interval(
    estimate: Array, covariance: Array, freedom: int, form: Form, peak: float, confidence: float, seed: int
) -> Interval:
    """By draws from the multivariate t distribution of (alpha, beta); curves that do not turn peak at infinity."""
    draws = np.atleast_2d(
        stats.multivariate_t.rvs(
            estimate, covariance, df=freedom, size=_DRAWS, random_state=np.random.default_rng(seed)
        )
        if covariance.any()
        else np.tile(estimate, (2, 1))
    )
    found = [peak_of(float(a), float(b), form) for a, b in draws]
    places = np.array([math.inf if place is None else place for place in found])
    low, high = np.quantile(places, [(1 - confidence) / 2, (1 + confidence) / 2], method="nearest")
    return Interval(peak, float(low), float(high))


def proxy_misleads(proxy: Sequence[float], gold: Sequence[float], window: int = 8, confidence: float = 0.95) -> bool:
    """Whether over the last measurements the proxy has risen while gold has fallen, both beyond chance.

    Args:
        proxy, gold: rewards at equal steps along a run, in order.
        window: how many of the last are looked at; at least four are needed for an answer other than no.
    """
    count = min(window, len(proxy), len(gold))
    if count < 4:
        return False
    return _rises(proxy[-count:], confidence) and _rises([-x for x in gold[-count:]], confidence)


def _rises(values: Sequence[float], confidence: float) -> bool:
    y = np.asarray(values, float)
    if np.ptp(y) == 0.0:
        return False
    return bool(stats.linregress(np.arange(len(y)), y, alternative="greater").pvalue < 1 - confidence)
