"""Where a fit begins: a grid over a law's shape parameters, with the best coefficients at every node.

For given shape parameters the coefficients are a non-negative linear least-squares problem (variable projection, Golub
and Pereyra 1973), so that the grid sees the whole valley and no lucky start is needed.
"""

from collections.abc import Mapping
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from danlu.scaling.estimate import SMALLEST, Problem
from danlu.scaling.laws import Array

_STARTS = 6
_GRID_POINTS = 300
"""Points that the grid looks at; a descent looks at all."""
_GRID_NUMBERS = 4e6
"""Numbers held at once while the grid is reckoned."""


def grid_starts(problem: Problem, count: int = _STARTS) -> Array:
    """The best few local minima of the grid over the shape parameters, as rows of theta (starts, p)."""
    grid = _Grid(problem, stride=1)
    coefficients, cost = grid.project(np.ones(len(problem.targets)))
    order = grid.minima(cost)[:count]
    return _theta(problem, coefficients[order], grid.nodes[order])


def weighted_starts(problem: Problem, weights: Array, count: int = 2) -> list[Array]:
    """The same for many rows of weights (R, n) on a coarser grid: `count` arrays of one start for each (R, p)."""
    grid = _Grid(problem, stride=2)
    found: list[list[Array]] = [[] for _ in range(count)]
    for row in weights:
        coefficients, cost = grid.project(row)
        order = grid.minima(cost)
        for rank in range(count):
            place = order[min(rank, len(order) - 1)]
            found[rank].append(_theta(problem, coefficients[[place]], grid.nodes[[place]])[0])
    return [np.stack(rows) for rows in found]


class _Grid:
    """Nodes of the shape parameters, and the law's terms at them."""

    def __init__(self, problem: Problem, stride: int) -> None:
        axes = [_thinned(problem.nodes(p), stride) for p in problem.parameters[problem.num_coefficients :]]
        self._problem = problem
        self._size = tuple(len(axis) for axis in axes)
        mesh = np.meshgrid(*axes, indexing="ij")
        self.nodes = np.stack([axis.ravel() for axis in mesh], axis=1) if axes else np.zeros((1, 0))
        total = len(problem.targets)
        self._chosen = np.unique(np.linspace(0, total - 1, _GRID_POINTS).astype(int)) if total > _GRID_POINTS else None

    def project(self, weights: Array) -> tuple[Array, Array]:
        """Coefficients (G, T) at each node and the weighted squares left over (G,)."""
        problem = self._problem
        chosen = np.arange(len(weights)) if self._chosen is None else self._chosen
        chosen = chosen[weights[chosen] > 0]
        values = {name: problem.values[name][chosen] for name in problem.law.variables}
        widest = max(int(np.prod(value.shape)) for value in values.values())
        rows = max(1, int(_GRID_NUMBERS / (widest * problem.num_coefficients)))
        parts = [
            _project(problem, self.nodes[begin : begin + rows], values, problem.targets[chosen])
            for begin in range(0, len(self.nodes), rows)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def minima(self, cost: Array) -> NDArray[np.intp]:
        """Flat indices of the local minima, best first."""
        return _local_minima(cost.reshape(self._size)) if self._size else np.array([0])


def _thinned(nodes: tuple[float, ...], stride: int) -> tuple[float, ...]:
    return nodes[:: stride if len(nodes) >= 16 else 1]


def _theta(problem: Problem, coefficients: Array, shape: Array) -> Array:
    theta = np.concatenate([coefficients, shape], axis=1)
    log_shape = problem.logs.copy()
    log_shape[: problem.num_coefficients] = False
    theta[:, log_shape] = np.log(theta[:, log_shape])
    _, parts = problem.basis_at(theta)
    smallest = SMALLEST * np.mean(np.abs(problem.targets))
    for index in range(problem.num_coefficients):
        if problem.logs[index]:
            mean = np.mean(np.log(parts[index]), axis=1)
            theta[:, index] = np.log(np.maximum(coefficients[:, index], np.exp(-mean) * smallest)) + mean
    return theta


def _project(problem: Problem, grid: Array, values: Mapping[str, Array], targets: Array) -> tuple[Array, Array]:
    """Coefficients (G, T) of least relative squares at each node of the grid, within their bounds, and the cost (G,).

    With at most four terms, the best of all subsets of terms whose plain solution keeps the bounds is exact.
    """
    law, count = problem.law, problem.num_coefficients
    shape = {p.name: grid[:, [i]] for i, p in enumerate(problem.parameters[count:])}
    parts = [np.broadcast_to(part, (len(grid), len(targets))) for part in law.basis(shape, values)]
    if law.link == "log":
        scale, goal = np.ones(len(targets)), np.log(targets)
    elif law.response == "share":
        scale, goal = np.ones(len(targets)), targets
    else:
        scale, goal = targets, np.ones(len(targets))
    basis = np.stack(parts, axis=1) / scale  # (G, T, n)
    known = [index for index in range(count) if not problem.free[index]]
    offset = sum((problem.fixed[law.coefficients[index]] * basis[:, index] for index in known), np.zeros(()))
    target = np.broadcast_to(goal - offset, (len(grid), len(targets)))
    size = np.sqrt(np.mean(basis**2, axis=2, keepdims=True)) + np.finfo(float).tiny
    basis = basis / size
    gram = basis @ basis.transpose(0, 2, 1)
    moment = np.einsum("gtn,gn->gt", basis, target)
    cost = np.sum(target**2, axis=1)
    coefficients = np.zeros((len(grid), count))
    fitted = [index for index in range(count) if problem.free[index]]
    signed = [index for index in fitted if not problem.parameters[index].positive]
    for columns in _subsets(fitted, signed):
        part = gram[:, columns][:, :, columns]
        ridge = 1e-13 * np.trace(part, axis1=1, axis2=2)[:, None, None] * np.eye(len(columns))
        solution = np.linalg.solve(part + ridge, moment[:, columns][:, :, None])[:, :, 0]
        left = np.sum((target - np.einsum("gt,gtn->gn", solution, basis[:, columns])) ** 2, axis=1)
        held = [place for place, index in enumerate(columns) if problem.parameters[index].positive]
        better = np.all(solution[:, held] >= 0, axis=1) & (left < cost)
        cost[better] = left[better]
        coefficients[better] = 0.0
        coefficients[np.ix_(np.flatnonzero(better), np.array(columns))] = solution[better]
    coefficients = coefficients / size[:, :, 0]
    for index in known:
        coefficients[:, index] = problem.fixed[law.coefficients[index]]
    return coefficients, cost


def _subsets(fitted: list[int], signed: list[int]) -> list[list[int]]:
    """Subsets of the terms to solve for; those that may have either sign are always in."""
    rest = [index for index in fitted if index not in signed]
    found = chain.from_iterable(combinations(rest, size) for size in range(len(rest) + 1))
    return [sorted([*signed, *subset]) for subset in found if signed or subset]


def _local_minima(cost: Array) -> NDArray[np.intp]:
    """Flat indices of the nodes no worse than their neighbours, best first."""
    padded = np.pad(cost, 1, constant_values=np.inf)
    lowest = np.ones(cost.shape, dtype=bool)
    inside = tuple(slice(1, -1) for _ in range(cost.ndim))
    for axis in range(cost.ndim):
        for shift in (-1, 1):
            lowest &= cost <= np.roll(padded, shift, axis=axis)[inside]
    flat = np.flatnonzero(lowest & np.isfinite(cost))
    return flat[np.argsort(cost.ravel()[flat], kind="stable")]
