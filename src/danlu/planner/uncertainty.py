"""How sure a predicted step time is: what the coefficients leave open, and what differs from source to source."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np

from danlu.planner.cases import Array, Cases, Job
from danlu.planner.coefficients import Calibration, Coefficients, Spread
from danlu.planner.step import step

NUDGE = 1e-3
"""By how much the logarithm of a coefficient is moved to see what it does to the step time."""


@dataclass(frozen=True)
class Interval:
    """The middle 80% of measured over predicted step time."""

    low: float
    high: float


def sensitivities(cases: Cases, k: Coefficients) -> Array:
    """Derivatives of log step time by the logarithms of the coefficients (n, number of coefficients).

    Every case is priced once as it is and once with each coefficient nudged, all in one pass: a coefficient may be an
    array with one value a case, since the model's formulas broadcast.
    """
    names = [field.name for field in fields(Coefficients)]
    n, times = len(cases.batch), len(names) + 1
    nudges = np.vstack([np.zeros(len(names)), NUDGE * np.eye(len(names))])
    columns: dict[str, Any] = {
        name: np.tile(getattr(k, name) * np.exp(nudges[:, place]), n) for place, name in enumerate(names)
    }
    many = cases  # a single one broadcasts
    if n > 1:
        many = Cases(**{field.name: np.repeat(getattr(cases, field.name), times, axis=0) for field in fields(Cases)})
    logs = np.log(step(many, Coefficients(**columns)).seconds).reshape(n, times)
    return np.asarray((logs[:, 1:] - logs[:, :1]) / NUDGE)


def deviations(
    jobs: Sequence[Job], assumed: Sequence[bool], slopes: Array, spread: Spread, familiar: Sequence[str]
) -> Array:
    """Standard deviation of log(measured / predicted) of every job (n,); independent doubts add in quadrature.

    Args:
        assumed: layout, batch or shape was filled in.
        slopes: the jobs' `sensitivities`: a step is as unsure as the coefficients are that it hangs on.
        familiar: chips that the fit saw.
    """
    open_coefficients = ((slopes @ _matrix(spread.covariance)) * slopes).sum(axis=1)
    new = [float(job.accelerator.name not in familiar) + float(job.precision.name == "fp4") for job in jobs]
    experts = np.array([job.shape.moe is not None for job in jobs], dtype=float)
    return np.asarray(
        np.sqrt(
            open_coefficients
            + spread.source**2
            + experts * spread.experts**2
            + np.array(assumed, dtype=float) * spread.hidden_layout**2
            + np.array(new) * spread.unfamiliar**2
        )
    )


@cache
def _matrix(rows: tuple[tuple[float, ...], ...]) -> Array:
    return np.array(rows)


def intervals_of(jobs: Sequence[Job], assumed: Sequence[bool], cases: Cases, given: Calibration) -> list[Interval]:
    """The 80% interval of every job; `cases` are the jobs as arrays."""
    slopes = sensitivities(cases, given.coefficients)
    ends = given.spread.reach * deviations(jobs, assumed, slopes, given.spread, given.familiar)
    return [Interval(float(np.exp(-end)), float(np.exp(end))) for end in ends]
