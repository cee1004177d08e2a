"""Fitting laws to the points of a ladder: the surface over parameters and tokens, and the frontier over compute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.remark import Remark
from danlu.common.strict import from_mapping, to_mapping
from danlu.scaling.config import ForecastConfig
from danlu.scaling.design import FEWEST_SIZES
from danlu.scaling.estimate import Prior, Problem, descend
from danlu.scaling.grid import grid_starts
from danlu.scaling.laws import FLOOR_FREE, FRONTIER, LAWS, SURFACE, TIED_SURFACE, Array, Law
from danlu.scaling.points import Point
from danlu.scaling.repetition import HALF_LIFE, effective_params, effective_tokens

FEWEST_POINTS = 4
_NOISE_WEIGHT = 4.0
"""How many points' worth of evidence stands behind the noise that is expected before any point is seen."""
_ODD = 3.5
"""Standard deviations from the law at which a point is named."""
_SANE_RATIO = (2.0, 200.0)
"""Tokens a parameter within which one surface holds (reference fits on public tables)."""
_WISHED_SIZES = 5

_CENTRES = {"alpha": 0.35, "beta": 0.35, "g": 0.17}
"""Where published fits of these exponents lie: alpha .29 to .35, beta .28 to .58 (Hoffmann et al. 2022; Besiroglu et
al. 2024; McLeish et al. 2025); a frontier's g is alpha beta / (alpha + beta), seen from .10 to .20."""
_SPREAD = 0.5
"""Standard deviation of an exponent's logarithm over those fits and over what smaller scales may bring."""


@dataclass(frozen=True)
class LawFit:
    """A law fitted to points."""

    law: str
    """Name of the law."""
    formula: str
    """Its formula."""
    parameters: dict[str, float]
    """Its parameters, unrounded; losses in nats per token."""
    objective: float
    """Sum over the points of the Huber loss of the log residual, and the priors' share."""
    at_bound: tuple[str, ...]
    """Parameters that ended at the edge of what is allowed."""
    residuals: tuple[float, ...]
    """Log of predicted over measured loss, one for each point."""

    def predict(self, values: Mapping[str, Array | float]) -> Array:
        """Loss (nats per token) at the values of the law's variables."""
        return LAWS[self.law].predict(self.parameters, values)


@dataclass(frozen=True)
class Fit:
    """What the points of a ladder say."""

    points: tuple[Point, ...]
    """The points, in the order they came."""
    ratio: float
    """Effective tokens an effective parameter at which the frontier is taken."""
    surface: LawFit
    """Loss over N and D: for the allocation."""
    frontier: LawFit
    """Loss over C = 6 N D at `ratio`: for the forecast."""
    others: tuple[LawFit, ...]
    """Other laws on the same points, to compare."""
    noise: float
    """Standard deviation of one point about the law (share of the loss), what is expected of seeds weighed in."""
    half_life: float
    """R* of the worth of repeated text that the effective tokens were reckoned with."""
    entropy: float
    """Known entropy of the source (nats per token), which is the laws' constant; 0 where unknown."""
    warnings: tuple[Remark | str, ...]
    """What a reader should know; files of older versions hold sentences."""
    bytes_per_token: float | None = None
    """Of the held-out text, where known."""


def fit_law(
    law: Law,
    values: Mapping[str, Array],
    losses: Array,
    *,
    delta: float = 1e-3,
    priors: Mapping[str, Prior] | None = None,
    constant: float | None = None,
    weights: Array | float = 1.0,
) -> LawFit:
    """Fit one law: minimise the summed Huber loss of the log residuals (Hoffmann et al. 2022, equation 3).

    Args:
        values: the law's variables, each (n,).
        losses: (n,), nats per token.
        delta: where the Huber loss turns from squares to absolute values.
        priors: what is expected of the exponents.
        constant: the law's constant, where it is known (nats per token).
        weights: what each point counts, (n,) or one number.
    """
    known = {law.floor: constant} if law.floor and constant is not None else {}
    used = {name: values[name] for name in law.variables}
    problem = Problem(law, used, losses, delta, known, priors or {})
    thetas, costs = descend(problem, grid_starts(problem), weights)
    best = int(np.argmin(costs))
    parameters = problem.named(thetas[best])
    return LawFit(
        law=law.name,
        formula=law.formula,
        parameters=parameters,
        objective=float(costs[best]),
        at_bound=_at_bound(law, parameters, values, losses, known),
        residuals=tuple(np.log(law.predict(parameters, values) / losses).tolist()),
    )


def fit_points(
    points: Sequence[Point],
    config: ForecastConfig,
    *,
    ratio: float | None = None,
    entropy: float | None = None,
    half_life: float = HALF_LIFE,
    bytes_per_token: float | None = None,
) -> Fit:
    """Fit the surface and the frontier to a ladder's points.

    The frontier is fitted to all points, each carried along the surface to the loss that its compute N D would reach at
    `ratio`. Its C is 6 N D: attention's products, which a small model spends more of its FLOPs on, do not lower the
    loss as weights and tokens do.

    Args:
        ratio: effective tokens an effective parameter to take the frontier at; by default the points' middle one.
        entropy: the source's exact entropy (nats per token), where known; never an upper bound of it. It then is the
            laws' constant: a large enough model of enough text comes down to it.
        half_life: R* of the worth of repeated text.
        bytes_per_token: of the held-out text; says what the constant may be (surfaces.py).

    Raises:
        DanluError: too few points or sizes.
    """
    points = [point for point in points if point.lr_factor == 1.0]
    sizes = {point.params for point in points}
    if len(points) < FEWEST_POINTS or len(sizes) < FEWEST_SIZES:
        raise DanluError(
            f"{len(points)} points of {len(sizes)} sizes are too few for a law.",
            f"Run a ladder with at least {FEWEST_POINTS} points and {FEWEST_SIZES} sizes.",
        )
    losses = np.array([point.loss for point in points])
    floor = entropy if entropy is not None and entropy < losses.min() else 0.0
    values = variables(points, half_life)
    at = ratio or float(np.exp(np.log(values["D"] / values["N"]).mean()))

    def fitted(law: Law, targets: Array) -> LawFit:
        return fit_law(
            law,
            values,
            targets,
            delta=config.huber_delta,
            priors={name: Prior(_CENTRES[name], _SPREAD, config.seed_noise) for name in law.exponents},
            constant=floor or None,
            weights=emphasis(values, config),
        )

    surface = fitted(SURFACE, losses)
    carried = losses * carry(surface, values, at)
    fit = Fit(
        points=tuple(points),
        ratio=at,
        surface=surface,
        frontier=fitted(FRONTIER, carried),
        others=(fitted(TIED_SURFACE, losses), fitted(FLOOR_FREE, carried)),
        noise=_noise(surface, config),
        half_life=half_life,
        entropy=floor,
        warnings=(),
        bytes_per_token=bytes_per_token,
    )
    return replace(fit, warnings=tuple(_warnings(fit, entropy)))


def variables(points: Sequence[Point], half_life: float = HALF_LIFE) -> dict[str, Array]:
    """The laws' variables at the points, each (n,): N and D (effective parameters and tokens) and C = 6 N D."""
    params = np.array([point.params for point in points], dtype=np.float64)
    tokens = np.array([point.tokens for point in points], dtype=np.float64)
    unique = np.array([point.unique_tokens for point in points], dtype=np.float64)
    used, worth = effective_params(params, unique), effective_tokens(tokens, unique, half_life)
    return {"N": used, "D": worth, "C": 6.0 * used * worth}


def carry(surface: LawFit, values: Mapping[str, Array], ratio: float) -> Array:
    """By what factor each point's loss changes when its compute is spent at `ratio` tokens a parameter (n,)."""
    params = np.sqrt(values["N"] * values["D"] / ratio)
    return surface.predict({"N": params, "D": params * ratio}) / surface.predict(values)


def emphasis(values: Mapping[str, Array], config: ForecastConfig) -> Array:
    """What each point counts (n,), 1 for the largest: the nearer to the target, the more."""
    return np.asarray((values["C"] / values["C"].max()) ** config.emphasis)


def write_fit(fit: Fit, path: Path) -> None:
    """Write `fit.json`."""
    write_json(path, to_mapping(fit))


def read_fit(path: Path) -> Fit:
    """Read `fit.json`.

    Raises:
        DanluError: missing, damaged, or of an older danlu.
    """
    data = read_json(path)
    try:
        return from_mapping(Fit, data, str(path))
    except DanluError as error:
        if not isinstance(data, dict) or not {"points", "surface"} <= data.keys():
            raise
        raise DanluError(
            f"{path} is from another version of danlu ({error.cause.removeprefix(f'{path}: ').rstrip('.')}).",
            "Make it anew: `danlu run` with the run's folder, which keeps what is trained; for a plan, danlu fit RUN"
            " --json fit.json.",
        ) from error


def _noise(surface: LawFit, config: ForecastConfig) -> float:
    """Residual scale, shrunk towards the expected seed noise as far as the points are few."""
    freedom = max(len(surface.residuals) - len(surface.parameters), 0)
    squares = float(np.sum(np.square(surface.residuals)))
    return float(np.sqrt((_NOISE_WEIGHT * config.seed_noise**2 + squares) / (_NOISE_WEIGHT + freedom)))


def _at_bound(
    law: Law, parameters: Mapping[str, float], values: Mapping[str, Array], losses: Array, known: Mapping[str, float]
) -> tuple[str, ...]:
    found = []
    small = 1e-4 * losses.mean()
    for term in law.terms:
        if term.variable is None:
            if term.coefficient not in known and parameters[term.coefficient] < small:
                found.append(term.coefficient)
            continue
        assert term.exponent is not None
        exponent = parameters[term.exponent]
        part = parameters[term.coefficient] * values[term.variable] ** -exponent
        if part.max() < small:
            found.append(term.coefficient)
        (limits,) = (parameter for parameter in law.parameters if parameter.name == term.exponent)
        if not 1.01 * limits.low < exponent < limits.high / 1.01 and term.exponent not in found:
            found.append(term.exponent)
    return tuple(found)


def _warnings(fit: Fit, entropy: float | None) -> list[Remark]:
    found = []
    if entropy is not None and fit.entropy != entropy:
        lowest = min(point.loss for point in fit.points)
        found.append(Remark.of("fit.entropy", entropy=entropy, lowest=lowest))
    for fitted in (fit.surface, fit.frontier):
        for name in fitted.at_bound:
            found.append(Remark.of("fit.bound", name=name, law=fitted.law, value=fitted.parameters[name]))
    for point in _not_falling(fit.points):
        found.append(Remark.of("fit.rising", rung=point.rung, tokens=point.tokens, loss=point.loss))
    for point, residual in zip(fit.points, fit.surface.residuals, strict=True):
        if abs(residual) > _ODD * fit.noise:
            odd = Remark.of("fit.odd", rung=point.rung, tokens=point.tokens, off=-residual, usual=fit.noise)
            found.append(odd)
    ratios = [point.tokens / point.params for point in fit.points]
    if min(ratios) < _SANE_RATIO[0] or max(ratios) > _SANE_RATIO[1]:
        sane_low, sane_high = _SANE_RATIO
        found.append(Remark.of("fit.ratios", low=min(ratios), high=max(ratios), sane_low=sane_low, sane_high=sane_high))
    if (sizes := len({point.params for point in fit.points})) < _WISHED_SIZES:
        found.append(Remark.of("fit.sizes", sizes=sizes, wished=_WISHED_SIZES))
    return found


def _not_falling(points: Sequence[Point]) -> list[Point]:
    """Points whose rung had a lower loss with fewer tokens."""
    return [
        point
        for point in points
        if any(p.rung == point.rung and p.tokens < point.tokens and p.loss < point.loss for p in points)
    ]
