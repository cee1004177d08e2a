"""Fitting a law: a grid over its shape parameters, then many damped Gauss-Newton descents at once.

The trouble with fitting E + A/N^alpha + B/D^beta is the start: the five parameters together are badly conditioned, and
optimisers stop short (Besiroglu et al. 2024 on Hoffmann et al. 2022). For given shape parameters the coefficients are a
non-negative linear least-squares problem, so a grid over the shape alone finds the valley (variable projection, Golub
and Pereyra 1973; for scaling laws Open-Athena 2026). From the best nodes the descent finishes the job on the true
objective, the sum (never the mean) of the Huber losses of the log residuals.

Everything is done for R problems at once that share their points but not their weights, which is what a bootstrap is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from danlu.scaling.laws import Array, Law, Parameter

SMALLEST = 1e-9
"""A term below this share of the loss is taken as zero."""
_LARGEST = 1e3


@dataclass(frozen=True)
class Prior:
    """What is expected of a positive shape parameter: it is log-normal around `centre`."""

    centre: float
    """Its median."""
    spread: float
    """Standard deviation of its natural logarithm."""
    noise: float
    """Standard deviation of a log residual; says what one unit of the prior weighs against the points."""

    @property
    def strength(self) -> float:
        """Second derivative of its share of the objective by the parameter's logarithm."""
        return (self.noise / self.spread) ** 2


@dataclass(frozen=True)
class Problem:
    """One law, one set of points, and the rule that makes a fit good."""

    law: Law
    values: Mapping[str, Array]
    """The law's variables at the points, each (n, ...)."""
    targets: Array
    """What was measured at them (n,): losses in nats per token, or shares."""
    delta: float = 1e-3
    """Where the Huber loss turns from squares to absolute values (natural log of the loss)."""
    fixed: Mapping[str, float] = field(default_factory=dict)
    """Parameters that are known and not fitted."""
    priors: Mapping[str, Prior] = field(default_factory=dict)
    """What is expected of shape parameters."""

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in the order of a row of theta."""
        return self.law.parameters

    @cached_property
    def num_coefficients(self) -> int:
        """How many of them are coefficients; they come first."""
        return len(self.law.coefficients)

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Which parameters are fitted (p,)."""
        return np.array([parameter.name not in self.fixed for parameter in self.parameters])

    @cached_property
    def logs(self) -> NDArray[np.bool_]:
        """Which parameters stand in theta as logarithms (p,).

        A positive coefficient does where its term is positive everywhere, and then as the term's geometric mean over
        the points, which takes away nearly all of its correlation with the exponents.
        """
        positive = [np.all(part > 0) for part in self._middle_basis()]
        known = [name in self.fixed for name in self.law.coefficients]
        coefficients = [
            p.positive and good and not k for p, good, k in zip(self.parameters, positive, known, strict=False)
        ]
        shape = [p.low > 0 and p.name not in self.fixed for p in self.parameters[self.num_coefficients :]]
        return np.array([*coefficients, *shape]) & (self.law.link == "loss" or np.arange(len(self.parameters)) >= 0)

    def nodes(self, parameter: Parameter) -> tuple[float, ...]:
        """Where the grid looks for a shape parameter."""
        if parameter.name in self.fixed:
            return (self.fixed[parameter.name],)
        if parameter.spans is None:
            return parameter.nodes
        known = self.values[parameter.spans]
        return tuple(np.geomspace(known.min(), known.max(), 14).tolist())

    def named(self, theta: Array) -> dict[str, float]:
        """Named parameters from one row of theta (p,)."""
        numbers = self.natural(theta[None, :])[0]
        return dict(zip((p.name for p in self.parameters), numbers.tolist(), strict=True))

    def natural(self, theta: Array) -> Array:
        """Rows of parameters (R, p) from rows of theta (R, p)."""
        _shape, parts = self.basis_at(theta)
        result = np.where(self.logs, np.exp(np.where(self.logs, theta, 0.0)), theta)
        for index in range(self.num_coefficients):
            if self.logs[index]:
                result[:, index] = np.exp(theta[:, index] - np.mean(np.log(parts[index]), axis=1))
        return result

    def predict(self, theta: Array, values: Mapping[str, Array]) -> Array:
        """Losses (R, places) of rows of theta (R, p) at other places."""
        numbers = self.natural(theta)
        shape = {p.name: numbers[:, [i]] for i, p in enumerate(self.parameters) if p.kind == "shape"}
        parts = self.law.basis(shape, values)
        total: Array = np.zeros((len(theta), 1))
        for index, part in enumerate(parts):
            total = total + numbers[:, [index]] * part
        return np.exp(total) if self.law.link == "log" else total

    def linearise(self, theta: Array) -> tuple[Array, Array]:
        """Residuals (R, n), logs of predicted over measured or plain differences, and their derivatives (R, p, n)."""
        shape, parts = self.basis_at(theta)
        slopes = self.law.basis_slopes(shape, self.values)
        rows, count, points = len(theta), theta.shape[1], len(self.targets)
        total = np.zeros((rows, points))
        jacobian = np.zeros((rows, count, points))
        names = [p.name for p in self.parameters]
        for index, part in enumerate(parts):
            if self.logs[index]:
                log_mean = np.mean(np.log(part), axis=1, keepdims=True)
                share = part * np.exp(theta[:, [index]] - log_mean)
                jacobian[:, index] = share
            else:
                share = theta[:, [index]] * part
                jacobian[:, index] = part
            total += share
            for name, terms in slopes.items():
                if index not in terms or not self.free[names.index(name)]:
                    continue
                slope = np.broadcast_to(terms[index], (rows, points))
                if self.logs[index]:
                    relative = slope / part
                    jacobian[:, names.index(name)] += share * (relative - relative.mean(axis=1, keepdims=True))
                else:
                    jacobian[:, names.index(name)] += theta[:, [index]] * slope
        for index in range(self.num_coefficients, count):
            if self.logs[index]:
                jacobian[:, index] *= np.exp(theta[:, [index]])
        jacobian[:, ~self.free] = 0.0
        if self.law.response == "share":
            return total - self.targets, jacobian
        if self.law.link == "log":
            return total - np.log(self.targets), jacobian
        with np.errstate(divide="ignore", invalid="ignore"):
            residuals = np.log(total) - np.log(self.targets)
            jacobian = jacobian / total[:, None, :]
        bad = total <= 0
        if bad.any():
            residuals[bad] = 1e3
            jacobian.transpose(0, 2, 1)[bad] = 0.0
        return residuals, jacobian

    def cost(self, theta: Array, residuals: Array, weights: Array) -> Array:
        """The objective (R,): sum of weights times Huber losses, and the priors' share."""
        pulled = 0.5 * np.sum(self.pull * (theta - self.expected) ** 2, axis=1)
        return np.asarray(np.sum(weights * huber(residuals, self.delta), axis=1) + pulled)

    @cached_property
    def pull(self) -> Array:
        """Second derivative of the priors' share of the objective by each number of theta (p,); 0 without a prior."""
        return np.array([self.priors[p.name].strength if p.name in self.priors else 0.0 for p in self.parameters])

    @cached_property
    def expected(self) -> Array:
        """Where the priors pull each number of theta (p,)."""
        return np.array([np.log(self.priors[p.name].centre) if p.name in self.priors else 0.0 for p in self.parameters])

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """Lowest and highest theta (p,)."""
        lows, highs = [], []
        scale = float(np.log(np.mean(np.abs(self.targets))))
        for index, parameter in enumerate(self.parameters):
            if parameter.kind == "coefficient":
                log = self.logs[index]
                lows.append(scale + np.log(SMALLEST) if log else parameter.low)
                highs.append(scale + np.log(_LARGEST) if log else parameter.high)
            else:
                low, high = parameter.low, parameter.high
                if parameter.spans is not None:
                    known = self.values[parameter.spans]
                    low, high = known.min() / 10, known.max() * 10
                lows.append(np.log(low) if self.logs[index] else low)
                highs.append(np.log(high) if self.logs[index] else high)
        return np.array(lows), np.array(highs)

    def basis_at(self, theta: Array) -> tuple[dict[str, Array], list[Array]]:
        """Shape parameters by name (R, 1), and the law's terms at the points (R, n), of rows of theta."""
        shape = {}
        for index, parameter in enumerate(self.parameters):
            if parameter.kind == "shape":
                column = theta[:, [index]]
                shape[parameter.name] = np.exp(column) if self.logs[index] else column
        size = (len(theta), len(self.targets))
        return shape, [np.broadcast_to(part, size) for part in self.law.basis(shape, self.values)]

    def _middle_basis(self) -> list[Array]:
        shape = {}
        for parameter in self.parameters[self.num_coefficients :]:
            nodes = self.nodes(parameter)
            shape[parameter.name] = np.full((1, 1), nodes[len(nodes) // 2])
        return [np.asarray(part) for part in self.law.basis(shape, self.values)]


def huber(residuals: Array, delta: float) -> Array:
    """Huber loss of each residual: squares halved up to `delta`, then a straight line."""
    size = np.abs(residuals)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


def descend(
    problem: Problem,
    theta: Array,
    weights: Array | float = 1.0,
    *,
    rounds: int = 600,
    tolerance: float = 1e-11,
    patience: int = 5,
) -> tuple[Array, Array]:
    """Damped Gauss-Newton (Levenberg-Marquardt) on the Huber objective from many starts, or with many weights, at once.

    Args:
        theta: starts (R, p).
        weights: (R, n), (n,) or one number, what each point counts.
        rounds: steps at most.
        tolerance: a row is done when its objective changes by less than this share `patience` times in a row.
        patience: how often.

    Returns:
        The refined rows (R, p) and their objectives (R,).
    """
    lows, highs = problem.limits
    theta = np.clip(theta, lows, highs)
    for index in np.flatnonzero(~problem.free):
        theta[:, index] = problem.fixed[problem.parameters[index].name]
    weights = np.broadcast_to(weights, (len(theta), len(problem.targets)))
    damping = np.full(len(theta), 1e-3)
    residuals, jacobian = problem.linearise(theta)
    cost = problem.cost(theta, residuals, weights)
    quiet = np.zeros(len(theta), dtype=int)
    tiny = np.finfo(float).tiny
    for _ in range(rounds):
        active = np.flatnonzero(quiet < patience)
        if not active.size:
            break
        size = np.maximum(np.abs(residuals[active]), tiny)
        weighted = jacobian[active] * (weights[active] * np.minimum(1.0, problem.delta / size))[:, None, :]
        hessian = weighted @ jacobian[active].transpose(0, 2, 1)
        slope = (weighted @ residuals[active][:, :, None])[:, :, 0] + problem.pull * (theta[active] - problem.expected)
        hessian = hessian + np.diag(problem.pull)
        scale = np.einsum("rpp->rp", hessian).copy()
        scale = np.maximum(scale, 1e-9 * scale.max(axis=1, keepdims=True)) + tiny
        # At a limit, a parameter that wants to go on through it is held, and so is one that is known.
        held = ((theta[active] <= lows) & (slope > 0)) | ((theta[active] >= highs) & (slope < 0)) | ~problem.free
        slope[held] = 0.0
        hessian[held[:, :, None] | held[:, None, :]] = 0.0
        diagonal = (damping[active, None] + held) * scale
        step = np.linalg.solve(hessian + diagonal[:, :, None] * np.eye(theta.shape[1]), -slope[:, :, None])[:, :, 0]
        step = np.where(problem.logs, np.clip(step, -2.0, 2.0), step)
        trial = np.clip(theta[active] + step, lows, highs)
        trial[:, ~problem.free] = theta[active][:, ~problem.free]
        trial_residuals, trial_jacobian = problem.linearise(trial)
        trial_cost = problem.cost(trial, trial_residuals, weights[active])
        better = trial_cost <= cost[active]
        # At the end rounding makes a step a little better or a little worse by turns: both are no change.
        same = np.abs(cost[active] - trial_cost) <= tolerance * cost[active]
        quiet[active] = np.where(same | (damping[active] > 1e12), quiet[active] + 1, 0)
        damping[active] = np.where(better, np.maximum(damping[active] / 5, 1e-12), damping[active] * 4)
        winners = active[better]
        theta[winners], cost[winners] = trial[better], trial_cost[better]
        residuals[winners], jacobian[winners] = trial_residuals[better], trial_jacobian[better]
    return theta, cost


def influence(problem: Problem, theta: Array, weights: Array, clusters: NDArray[np.int64]) -> Array:
    """Square roots of the covariances of fits, (R, p, p), each with independent moves of one standard deviation in its
    columns: the sandwich of Huber's estimator, with the rows of one run counted together.

    A weak prior (a factor e for every logarithm, or one unit) keeps directions that the points say nothing about
    finite.

    Args:
        theta: the fits (R, p).
        weights: what each point counts in each, (R, n).
        clusters: which rows are of one run (n,).
    """
    residuals, jacobian = problem.linearise(theta)
    count = theta.shape[1]
    found = np.zeros((len(theta), count, count))
    _, runs = np.unique(clusters, return_inverse=True)
    free = problem.free
    for row in range(len(theta)):
        used = weights[row] > 0
        jac, res, w = jacobian[row][free][:, used], residuals[row][used], weights[row][used]
        freedom = max(int(used.sum()) - int(free.sum()), 1)
        typical = np.median(res**2) / 0.455
        noise = float(np.sum(np.minimum(res**2, 9 * typical)) / freedom)
        # The Huber loss bends where residuals are below delta; how many are is read off a wider window where few are.
        window = max(problem.delta, 0.8 * float(np.sqrt(typical)))
        bend = max(float(np.mean(np.abs(res) < window)), 0.2) * problem.delta / window
        scores = jac * (w * np.clip(res, -problem.delta, problem.delta))
        single = scores @ scores.T
        together = np.zeros((scores.shape[0], runs.max() + 1))
        np.add.at(together.T, runs[used], scores.T)
        inner = bend * ((jac * w) @ jac.T) + noise * bend * np.eye(len(jac))
        inverse = np.linalg.pinv(inner)
        grouped = np.trace(inverse @ together @ together.T)
        ratio = max(1.0, grouped / max(float(np.trace(inverse @ single)), np.finfo(float).tiny))
        middle = single * ratio * used.sum() / freedom + (noise * bend) ** 2 * np.eye(len(jac))
        covariance = inverse @ middle @ inverse
        strengths, directions = np.linalg.eigh((covariance + covariance.T) / 2)
        found[row][np.ix_(free, free)] = directions * np.sqrt(np.maximum(strengths, 0.0))
    return found


def weak_directions(problem: Problem, theta: Array, limit: float = 1.0) -> tuple[float, list[dict[str, float]]]:
    """How well the points tell the parameters apart at a fit.

    Args:
        theta: one row (p,).
        limit: a direction is weak when the points leave it uncertain by more than this (natural log of a parameter).

    Returns:
        The condition number of the residuals' derivatives by the logs of the law's own parameters, columns scaled to
        length one; and the weak directions, strongest parts only, by name.
    """
    numbers = problem.named(theta)
    names = [p.name for p in problem.parameters if p.name not in problem.fixed and numbers[p.name] != 0]
    gradient = problem.law.gradient(numbers, problem.values)
    predicted = problem.law.predict(numbers, problem.values)
    scale = np.ones_like(predicted) if problem.law.response == "share" else predicted
    jacobian = np.stack([gradient[name] * numbers[name] / scale for name in names], axis=1)  # (n, p)
    lengths = np.linalg.norm(jacobian, axis=0)
    singular = np.linalg.svd(jacobian / np.where(lengths > 0, lengths, 1.0), compute_uv=False)
    condition = float(singular[0] / max(singular[-1], np.finfo(float).tiny))
    residuals = np.log(predicted / problem.targets) if problem.law.response == "loss" else predicted - problem.targets
    freedom = max(len(residuals) - len(names), 1)
    noise = float(np.sqrt(np.sum(residuals**2) / freedom))
    _, strengths, directions = np.linalg.svd(jacobian, full_matrices=False)
    weak = []
    for strength, direction in zip(strengths, directions, strict=True):
        if noise / max(strength, np.finfo(float).tiny) > limit:
            parts = {name: float(part) for name, part in zip(names, direction, strict=True) if abs(part) > 0.2}
            weak.append(dict(islice(sorted(parts.items(), key=lambda item: -abs(item[1])), 3)))
    return condition, weak
