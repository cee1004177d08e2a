"""Several laws fitted to several windows of a table: what they say together, and how sure each is.

One law fitted once says nothing about its own mistakes. A member is a law and the share of the table, from the top,
that it is fitted to: a law that bends in a way it cannot follow gives another answer from the upper half than from the
whole. Each member is fitted again with parts of the table left out (backtest.py); all those fits share their points
and differ in weights only, so that they are done at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from danlu.scaling.estimate import Problem, descend, influence
from danlu.scaling.grid import grid_starts, weighted_starts
from danlu.scaling.laws import Array, Law
from danlu.scaling.rows import Rows

WINDOWS = (1.0, 0.6)
"""Shares of the rows, highest first, that members are fitted to."""
_ROWS_PER_PARAMETER = 3.0
"""A window smaller than the table has at least this many rows for each parameter."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Member:
    """A law fitted to a window of the rows, and again with each cut's upper part left out."""

    problem: Problem
    """The law and all rows."""
    window: float
    """Share of the rows, highest first."""
    inside: Mask
    """Which rows the window holds (n,)."""
    theta: Array
    """The fit, one row (p,)."""
    objective: float
    """Sum of the Huber losses over the window."""
    agreed: float
    """Share of the starts that came to the best objective (to 1e-6 of it)."""
    factor: Array
    """Square root of the covariance of theta, (p, p); its columns are independent moves of one standard deviation."""
    cut_thetas: tuple[Array | None, ...] = ()
    """The fit without each cut's upper part; None where too few rows remain."""
    cut_factors: tuple[Array | None, ...] = ()
    """The square roots of their covariances."""

    @property
    def law(self) -> Law:
        """The law."""
        return self.problem.law

    @property
    def name(self) -> str:
        """The law's name and the window."""
        return self.law.name if self.window == 1.0 else f"{self.law.name} on the top {self.window:.0%}"

    @cached_property
    def parameters(self) -> dict[str, float]:
        """The fit's parameters by name."""
        return self.problem.named(self.theta)

    @cached_property
    def residuals(self) -> Array:
        """Predicted over measured, natural log (or their difference, of shares), for every row (n,)."""
        return self.problem.linearise(self.theta[None])[0][0]

    @cached_property
    def noise(self) -> float:
        """Standard deviation of a row about the law, from the window's residuals."""
        return residual_scale(self.residuals[self.inside], int(self.problem.free.sum()))

    def outputs(self, values: Mapping[str, Array]) -> Array:
        """Log losses (or shares) at other places (m,)."""
        return scale_of(self.law, self.problem.predict(self.theta[None], values)[0])

    def spread(self, values: Mapping[str, Array], cut: int | None = None) -> tuple[Array, Array]:
        """What a fit says at other places and the standard error of it from resampling, both (m,), on the log scale.

        Args:
            cut: the fit without this cut's upper part; by default the fit to the window.
        """
        theta, factor = (self.theta, self.factor) if cut is None else (self.cut_thetas[cut], self.cut_factors[cut])
        assert theta is not None
        assert factor is not None
        step = 0.1
        lows, highs = self.problem.limits
        rows = np.clip(np.concatenate([theta[None], theta + step * factor.T, theta - step * factor.T]), lows, highs)
        said = scale_of(self.law, self.problem.predict(rows, values))
        half = len(factor)
        moves = (said[1 : half + 1] - said[half + 1 :]) / (2 * step)
        return said[0], np.sqrt(np.sum(moves**2, axis=0))


def scale_of(law: Law, predicted: Array) -> Array:
    """The scale on which errors of a law are judged: the log of a loss, a share as it is."""
    return predicted if law.response == "share" else np.log(np.maximum(predicted, np.finfo(float).tiny))


def residual_scale(residuals: Array, parameters: int) -> float:
    """Standard deviation of one row about the law, outliers tempered: the mean of the plain and the robust one."""
    freedom = max(len(residuals) - parameters, 1)
    plain = float(np.sum(residuals**2) / freedom)
    robust = float((np.median(np.abs(residuals)) / 0.6745) ** 2 * len(residuals) / freedom)
    return float(np.sqrt(0.5 * (plain + min(robust, plain))))


def fit_members(
    law: Law,
    rows: Rows,
    cuts: Sequence[Mask],
    *,
    delta: float,
    order: Array,
    fixed: Mapping[str, float] | None = None,
    windows: Sequence[float] = WINDOWS,
) -> list[Member]:
    """A law on every window that is large enough for it, and on each window with each cut's upper part left out.

    Args:
        cuts: for each backtest, the rows that are left out (n,).
        delta: where the Huber loss turns.
        order: what the rows are ordered by (n,); a window is the top of it.
        fixed: parameters that are known.
    """
    known = {name: value for name, value in (fixed or {}).items() if name in (*law.coefficients, *law.shape)}
    free = len(law.parameters) - len(known)
    if len(rows) < free + 1:
        return []
    problem = Problem(law, {name: rows.values[name] for name in law.variables}, rows.losses, delta, known)
    tops = [_window(order, window) for window in windows]
    kept = [
        (window, top)
        for window, top in zip(windows, tops, strict=True)
        if window == 1.0 or (not top.all() and top.sum() >= _ROWS_PER_PARAMETER * free)
    ]
    whole, costs = descend(problem, grid_starts(problem))
    best = whole[np.argmin(costs)]
    masks: list[Mask] = [top for _, top in kept]
    for window, _ in kept:
        for cut in cuts:
            rest = np.where(cut, -np.inf, order)
            masks.append(_window(rest, window) & ~cut)
    weights = np.array(masks, dtype=np.float64)
    enough = np.array([mask.sum() >= free + 1 for mask in masks])
    thetas, objectives, agreed = _refit(problem, best, weights[enough])
    factors = influence(problem, thetas, weights[enough], rows.clusters)
    place = np.cumsum(enough) - 1
    members = []
    for index, (window, top) in enumerate(kept):
        if not enough[index]:
            continue
        first = len(kept) + index * len(cuts)
        own = [int(place[first + k]) if enough[first + k] else None for k in range(len(cuts))]
        at = int(place[index])
        if window == 1.0 and costs.min() < objectives[at]:
            thetas[at], objectives[at] = best, costs.min()
        members.append(
            Member(
                problem,
                window,
                top,
                thetas[at],
                float(objectives[at]),
                float(np.mean(costs <= costs.min() * (1 + 1e-6))) if window == 1.0 else float(agreed[at]),
                factors[at],
                tuple(None if k is None else thetas[k] for k in own),
                tuple(None if k is None else factors[k] for k in own),
            )
        )
    return members


def _window(order: Array, share: float) -> Mask:
    """The top of the rows by `order`, of those that have one."""
    known = np.isfinite(order)
    if share >= 1.0:
        return known
    return known & (order >= np.quantile(order[known], 1.0 - share) * (1 - 1e-12))


def _refit(problem: Problem, best: Array, weights: Array) -> tuple[Array, Array, Array]:
    """The best of a few descents for each row of weights: its theta (R, p), objective (R,) and share of agreement."""
    begin = [np.repeat(best[None], len(weights), axis=0)]
    begin += weighted_starts(problem, weights)
    tries = [descend(problem, start, weights, rounds=150, tolerance=1e-9) for start in begin]
    costs = np.stack([cost for _, cost in tries])  # (tries, R)
    chosen = np.argmin(costs, axis=0)
    thetas = np.stack([theta for theta, _ in tries])[chosen, np.arange(len(weights))]
    return thetas, costs.min(axis=0), np.mean(costs <= costs.min(axis=0) * (1 + 1e-6), axis=0)


def draw_weights(clusters: NDArray[np.int64], rng: np.random.Generator, count: int) -> Array:
    """How often each row is drawn in bootstrap samples of whole runs, (count, n)."""
    names, index = np.unique(clusters, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
    return np.asarray(drawn[:, index], dtype=np.float64)
