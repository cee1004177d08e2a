"""Least squares for laws that are sums of power terms: a grid over the exponents, then many refinements at once.

The trouble with fitting E + A/N^alpha + B/D^beta is the start: the five parameters together are badly conditioned, and
optimisers stop short (Besiroglu et al. 2024 on Hoffmann et al. 2022). For fixed exponents the coefficients are a
non-negative linear least-squares problem, so a grid over the exponents alone finds the valley without a lucky start
(variable projection, Golub and Pereyra 1973). From the best nodes a damped Gauss-Newton iteration finishes the job on
the true objective, the sum of Huber losses of the log residuals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from danlu.scaling.laws import Array, Law

LOWEST_EXPONENT, HIGHEST_EXPONENT = 0.01, 2.0
_NODES = {1: 120, 2: 40}
_STARTS = 6
_SMALLEST = 1e-9
"""A coefficient below this share of the loss is taken as zero."""


@dataclass(frozen=True)
class Pull:
    """A prior on the exponents: each is log-normal around `centre`."""

    centre: float | tuple[float, ...]
    """Median of each exponent; one for all, or one for each."""
    spread: float
    """Standard deviation of each exponent's natural logarithm."""
    noise: float
    """Standard deviation of a log residual; says what one unit of the prior weighs against the points."""


@dataclass(frozen=True)
class Problem:
    """One law, one set of points, and the rule that makes a fit good."""

    law: Law
    values: Mapping[str, Array]
    """The law's variables, each (n,)."""
    delta: float
    """Where the Huber loss turns from squares to absolute values (natural log of the loss)."""
    floor: float = 0.0
    """Lowest value that the law's constant may take (nats per token)."""
    pull: Pull | None = None
    """Prior on the exponents, or none."""
    fixed: bool = False
    """Whether the law's constant is the floor itself, known beforehand, and not fitted."""

    @property
    def centred(self) -> Array:
        """Log of each term's variable less its mean, (terms, n); zeros for a constant."""
        return self.place(self.values)

    def place(self, values: Mapping[str, Array]) -> Array:
        """Log of each term's variable at other places, less its mean over the points (terms, places)."""
        size = len(next(iter(values.values())))
        names = [term.variable for term in self.law.terms]
        return np.stack([np.log(values[name]) - self._mean(name) if name else np.zeros(size) for name in names])

    def _mean(self, variable: str) -> float:
        return float(np.log(self.values[variable]).mean())

    @property
    def exponent_of(self) -> list[int]:
        """Index of each term's exponent, or -1 for a constant."""
        return [self.law.exponents.index(t.exponent) if t.exponent else -1 for t in self.law.terms]

    def parameters(self, theta: Array) -> dict[str, float]:
        """Named parameters from one row of logs (coefficients at the points' mean, then exponents)."""
        count = len(self.law.terms)
        exponents = dict(zip(self.law.exponents, np.exp(theta[count:]).tolist(), strict=True))
        result: dict[str, float] = {}
        for term, log_coefficient in zip(self.law.terms, theta[:count].tolist(), strict=True):
            if term.variable is None or term.exponent is None:
                result[term.coefficient] = float(np.exp(log_coefficient)) + self.floor
            else:
                shift = exponents[term.exponent] * self._mean(term.variable)
                result[term.coefficient] = float(np.exp(log_coefficient + shift))
        return result | exponents

    def theta(self, parameters: Mapping[str, float]) -> Array:
        """One row of logs from named parameters, the inverse of `parameters`; what is zero gets a tiny value."""
        logs = []
        for term in self.law.terms:
            if term.variable is None or term.exponent is None:
                logs.append(np.log(max(parameters[term.coefficient] - self.floor, _SMALLEST)))
            else:
                shift = parameters[term.exponent] * self._mean(term.variable)
                logs.append(np.log(max(parameters[term.coefficient], np.finfo(float).tiny)) - shift)
        return np.array(logs + [np.log(parameters[name]) for name in self.law.exponents])

    def predict(self, theta: Array, values: Mapping[str, Array]) -> Array:
        """Losses (R, places) of many rows of log parameters (R, p) at other places."""
        losses: Array = np.sum(self._parts(theta, self.place(values)), axis=0) + self.floor
        return losses

    def _parts(self, theta: Array, places: Array) -> list[Array]:
        """Each term's share of the losses, (R, places)."""
        count = len(self.law.terms)
        parts: list[Array] = []
        for index, (row, k) in enumerate(zip(places, self.exponent_of, strict=True)):
            slope = np.exp(theta[:, count + k])[:, None] * row if k >= 0 else np.zeros(len(row))
            parts.append(np.exp(theta[:, index][:, None] - slope))
        return parts


def huber(residuals: Array, delta: float) -> Array:
    """Huber loss of each residual: squares halved up to `delta`, then a straight line."""
    size = np.abs(residuals)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def starts(problem: Problem, losses: Array) -> Array:
    """The best few local minima of a grid over the exponents, as rows of log parameters (starts, p)."""
    nodes = np.geomspace(0.03, 1.2, _NODES[len(problem.law.exponents)])
    axes = np.meshgrid(*[nodes] * len(problem.law.exponents), indexing="ij")
    grid = np.stack([axis.ravel() for axis in axes], axis=1)  # (G, K)
    coefficients, cost = _project(problem, grid, losses)
    order = _local_minima(cost.reshape(axes[0].shape))[:_STARTS]
    logs = np.log(np.maximum(coefficients[order], _SMALLEST * losses.mean()))
    return np.concatenate([logs, np.log(grid[order])], axis=1)


def _project(problem: Problem, grid: Array, losses: Array) -> tuple[Array, Array]:
    """Non-negative coefficients (G, T) of least relative squares at each node of the grid, and their cost (G,).

    With at most three terms, the best of all subsets of terms whose plain solution is positive is exact.
    """
    slopes = np.stack([grid[:, k] if k >= 0 else np.zeros(len(grid)) for k in problem.exponent_of], axis=1)
    basis = np.exp(-slopes[:, :, None] * problem.centred) / losses  # (G, T, n)
    target = 1.0 - problem.floor / losses  # (n,)
    gram = basis @ basis.transpose(0, 2, 1)
    moment = basis @ target
    best = np.full(len(grid), np.inf)
    coefficients = np.zeros(slopes.shape)
    count = slopes.shape[1]
    for subset in chain.from_iterable(combinations(range(count), size) for size in range(1, count + 1)):
        columns = list(subset)
        if problem.fixed and any(problem.law.terms[index].variable is None for index in columns):
            continue
        part = gram[:, columns][:, :, columns]
        ridge = 1e-13 * np.trace(part, axis1=1, axis2=2)[:, None, None] * np.eye(len(columns))
        solution = np.linalg.solve(part + ridge, moment[:, columns][:, :, None])[:, :, 0]
        cost = np.sum((target - np.einsum("gt,gtn->gn", solution, basis[:, columns])) ** 2, axis=1)
        better = np.all(solution >= 0, axis=1) & (cost < best)
        best[better] = cost[better]
        coefficients[better] = 0.0
        coefficients[np.ix_(np.flatnonzero(better), np.array(columns))] = solution[better]
    return coefficients, best


def _local_minima(cost: Array) -> NDArray[np.intp]:
    """Flat indices of the nodes no worse than their neighbours, best first."""
    padded = np.pad(cost, 1, constant_values=np.inf)
    lowest = np.ones(cost.shape, dtype=bool)
    for axis in range(cost.ndim):
        for shift in (-1, 1):
            neighbour = np.roll(padded, shift, axis=axis)[tuple(slice(1, -1) for _ in range(cost.ndim))]
            lowest &= cost <= neighbour
    flat = np.flatnonzero(lowest & np.isfinite(cost))
    return flat[np.argsort(cost.ravel()[flat], kind="stable")]


def refine(
    problem: Problem,
    theta: Array,
    losses: Array,
    weights: Array | float = 1.0,
    centres: Array | None = None,
    rounds: int = 400,
) -> tuple[Array, Array]:
    """Damped Gauss-Newton (Levenberg-Marquardt) on many problems that share their points' places, all at once.

    Args:
        theta: starts (R, p), logs of the coefficients at the points' mean and of the exponents.
        losses: (R, n), or (n,) for all.
        weights: (R, n), (n,) or one number, what each point counts.
        centres: (R, exponents), each problem's own centre of the pull (natural log); by default the pull's.

    Returns:
        The refined logs (R, p) and the objective (R,): sum of weights * Huber(log residual), and the pull's share.
    """
    theta = theta.copy()
    log_losses = np.broadcast_to(np.log(losses), (len(theta), problem.centred.shape[1]))
    weights = np.broadcast_to(weights, log_losses.shape)
    if centres is None:
        centres = np.full(
            (len(theta), len(problem.law.exponents)), np.log(problem.pull.centre if problem.pull else 1.0)
        )
    damping = np.full(len(theta), 1e-3)
    lows, highs = _limits(problem, losses)
    theta = np.clip(theta, lows, highs)
    residuals, jacobian = _linearise(problem, theta, log_losses)
    cost = _cost(problem, theta, residuals, weights, centres)
    quiet = np.zeros(len(theta), dtype=int)
    for _ in range(rounds):
        active = np.flatnonzero(quiet < 5)
        if not active.size:
            break
        weight = weights[active] * np.minimum(
            1.0, problem.delta / np.maximum(np.abs(residuals[active]), np.finfo(float).tiny)
        )
        weighted = jacobian[active] * weight[:, None, :]
        hessian = weighted @ jacobian[active].transpose(0, 2, 1)
        slope = np.einsum("rpn,rn->rp", weighted, residuals[active])
        _add_pull(problem, theta[active], hessian, slope, centres[active])
        diagonal = np.einsum("rpp->rp", hessian)
        scale = diagonal + 1e-9 * diagonal.max(axis=1, keepdims=True)
        # At a limit, a parameter that wants to go on through it is held.
        held = ((theta[active] <= lows) & (slope > 0)) | ((theta[active] >= highs) & (slope < 0))
        slope[held] = 0.0
        hessian[held[:, :, None] | held[:, None, :]] = 0.0
        step = np.linalg.solve(
            hessian + (damping[active, None] * scale + held * scale)[:, :, None] * np.eye(theta.shape[1]),
            -slope[:, :, None],
        )[:, :, 0]
        trial = np.clip(theta[active] + np.clip(step, -2.0, 2.0), lows, highs)
        trial_residuals, trial_jacobian = _linearise(problem, trial, log_losses[active])
        trial_cost = _cost(problem, trial, trial_residuals, weights[active], centres[active])
        better = trial_cost <= cost[active]
        small = cost[active] - trial_cost <= 1e-11 * cost[active]
        quiet[active] = np.where(better & small | (damping[active] > 1e12), quiet[active] + 1, 0)
        damping[active] = np.where(better, np.maximum(damping[active] / 5, 1e-12), damping[active] * 4)
        winners = active[better]
        theta[winners], cost[winners] = trial[better], trial_cost[better]
        residuals[winners], jacobian[winners] = trial_residuals[better], trial_jacobian[better]
    return theta, cost


def _limits(problem: Problem, losses: Array) -> tuple[Array, Array]:
    terms, exponents = len(problem.law.terms), len(problem.law.exponents)
    scale = float(np.log(np.mean(losses)))
    lows = [scale + np.log(_SMALLEST)] * terms + [np.log(LOWEST_EXPONENT)] * exponents
    highs = [scale + np.log(1e3)] * terms + [np.log(HIGHEST_EXPONENT)] * exponents
    for index, term in enumerate(problem.law.terms):
        if problem.fixed and term.variable is None:
            highs[index] = lows[index]
    return np.array(lows), np.array(highs)


def _linearise(problem: Problem, theta: Array, log_losses: Array) -> tuple[Array, Array]:
    """Log residuals (R, n) and their derivatives by the log parameters (R, p, n)."""
    terms = len(problem.law.terms)
    centred = problem.centred
    parts = problem._parts(theta, centred)
    total = np.sum(parts, axis=0) + problem.floor
    jacobian = np.zeros((len(theta), theta.shape[1], centred.shape[1]))
    for index, (row, part, k) in enumerate(zip(centred, parts, problem.exponent_of, strict=True)):
        share = part / total
        jacobian[:, index] = share
        if k >= 0:
            jacobian[:, terms + k] -= np.exp(theta[:, terms + k])[:, None] * row * share
    return np.log(total) - log_losses, jacobian


def _cost(problem: Problem, theta: Array, residuals: Array, weights: Array, centres: Array) -> Array:
    cost: Array = np.sum(weights * huber(residuals, problem.delta), axis=1)
    if problem.pull:
        away = (theta[:, len(problem.law.terms) :] - centres) / problem.pull.spread
        cost = cost + 0.5 * problem.pull.noise**2 * np.sum(away**2, axis=1)
    return cost


def _add_pull(problem: Problem, theta: Array, hessian: Array, slope: Array, centres: Array) -> None:
    if not problem.pull:
        return
    terms = len(problem.law.terms)
    strength = (problem.pull.noise / problem.pull.spread) ** 2
    slope[:, terms:] += strength * (theta[:, terms:] - centres)
    for index in range(terms, theta.shape[1]):
        hessian[:, index, index] += strength
