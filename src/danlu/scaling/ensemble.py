"""Several laws fitted to several windows of a table, and what they say together.

One law fitted once says nothing about its own mistakes. A member is a law and the share of the table, from the top, that
it is fitted to: a law that bends in a way it cannot follow gives another answer from the upper half than from the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from danlu.scaling.estimate import Problem, descend, starts
from danlu.scaling.laws import Array, Law
from danlu.scaling.rows import Rows

WINDOWS = (1.0, 0.7, 0.5)
"""Shares of the rows, highest first, that members are fitted to."""
_ROWS_PER_PARAMETER = 2.0
"""A window smaller than the table has at least this many rows for each parameter."""


@dataclass(frozen=True)
class Member:
    """A law fitted to a window of the rows."""

    problem: Problem
    """The law and its window."""
    window: float
    """Share of the rows, highest first."""
    theta: Array
    """The fit, one row (p,)."""
    objective: float
    """Sum of the Huber losses."""
    spread_of_starts: float
    """Share of the starts that came to the best objective (to 1e-6 of it)."""
    inside: Array
    """Which rows of the table the window holds, (n,) of bool."""

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

    def predict(self, values: Mapping[str, Array]) -> Array:
        """Losses at other places (m,)."""
        return self.law.predict(self.parameters, values)

    def redraw(self, clusters: Array, rng: np.random.Generator, count: int) -> Array:
        """Refits to bootstrap samples of whole clusters, as rows of theta (count, p).

        Args:
            clusters: which rows of the table are of one run (n,).
        """
        own = clusters[self.inside]
        weights = draw_weights(own, rng, count)
        theta, _ = descend(self.problem, np.repeat(self.theta[None], count, axis=0), weights, rounds=60, tolerance=1e-6)
        return theta


def draw_weights(clusters: Array, rng: np.random.Generator, count: int) -> Array:
    """How often each row is drawn in bootstrap samples of whole clusters, (count, n)."""
    names, index = np.unique(clusters, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
    return drawn[:, index].astype(np.float64)


def fit_member(
    law: Law,
    rows: Rows,
    *,
    delta: float,
    order: Array,
    window: float = 1.0,
    fixed: Mapping[str, float] | None = None,
    near: Member | None = None,
) -> Member | None:
    """Fit one law to one window; None where the window is too small for it.

    Args:
        delta: where the Huber loss turns.
        order: what the rows are ordered by (n,); the window is the top of it.
        fixed: parameters that are known.
        near: a fit of the same law to more rows, to start from beside the grid.
    """
    fixed = fixed or {}
    inside = np.ones(len(rows), dtype=bool)
    free = len(law.parameters) - len(fixed)
    if window < 1.0:
        inside = order >= np.quantile(order, 1.0 - window)
        if inside.sum() < max(_ROWS_PER_PARAMETER * free, free + 3) or inside.all():
            return None
    part = rows.some(inside)
    if len(part) < free + 1:
        return None
    problem = Problem(law, {name: part.values[name] for name in law.variables}, part.losses, delta, dict(fixed))
    begin = starts(problem) if near is None else np.concatenate([_move(near, problem), starts(problem, 2)])
    theta, costs = descend(problem, begin, rounds=600 if near is None else 200)
    best = int(np.argmin(costs))
    agreed = float(np.mean(costs <= costs[best] * (1 + 1e-6)))
    return Member(problem, window, theta[best], float(costs[best]), agreed, inside)


def _move(near: Member, problem: Problem) -> Array:
    """A fit's parameters as a row of theta for other rows of the same law (1, p)."""
    numbers = np.array([near.parameters[p.name] for p in problem.parameters])
    shape = {p.name: np.full((1, 1), v) for p, v in zip(problem.parameters, numbers, strict=True) if p.kind == "shape"}
    theta = numbers.copy()
    parts = problem.law.basis(shape, problem.values)
    tiny = np.finfo(float).tiny
    for index in np.flatnonzero(problem.logs):
        theta[index] = np.log(max(numbers[index], tiny))
        if index < problem.num_coefficients:
            theta[index] += np.mean(np.log(np.broadcast_to(parts[index], (1, len(problem.targets)))))
    return theta[None]


def fit_members(
    laws: Sequence[Law],
    rows: Rows,
    *,
    delta: float,
    order: Array,
    fixed: Mapping[str, float] | None = None,
    windows: Sequence[float] = WINDOWS,
) -> list[Member]:
    """Every law on every window that is large enough for it."""
    found = []
    for law in laws:
        whole = fit_member(law, rows, delta=delta, order=order, fixed=fixed)
        if whole is None:
            continue
        found.append(whole)
        for window in windows:
            if window < 1.0:
                part = fit_member(law, rows, delta=delta, order=order, window=window, fixed=fixed, near=whole)
                if part is not None:
                    found.append(part)
    return found
