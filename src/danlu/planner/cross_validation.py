"""How far the fitted model errs on sources that it never saw, each left out in turn; the intervals follow from it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from danlu.planner.calibrate import Chosen, Observed, fit_coefficients, group_errors, select
from danlu.planner.cases import Array, stack
from danlu.planner.coefficients import Calibration, Coefficients, Spread
from danlu.planner.step import step
from danlu.planner.uncertainty import deviations, sensitivities

HIDDEN_LAYOUT = 0.15
"""Spread (in logs) of measured over predicted where the layout is not known: between the eight sources of
`BEHIND_BEST` 0.125, and within one 0.08."""
UNFAMILIAR = 0.087
"""Spread (in logs) of a chip that no fit saw: the root mean square of what leaving out the V100, the B200, the
TPU v5e and the Ascend 910B in turn gives for the one source of each (-0.08, 0.09, 0.03, 0.12)."""
LEVEL = 0.8
"""Share of rows that an interval is to hold."""


@dataclass(frozen=True)
class HeldOut:
    """Predictions of every row by what the other groups teach: seconds, and the ends of the 80% interval."""

    seconds: Array
    low: Array
    high: Array
    deviation: Array
    """Standard deviation of log(measured / predicted) that is expected of each."""


def spread_of(observed: Observed, k: Coefficients, keep: Chosen, reach: float = 1.0) -> Spread:
    """What the kept rows say of the model's errors; groups weigh alike.

    The covariance is that of least squares about the fitted coefficients: a group counts as one observation with the
    rows' mean square error, for a source's rows err alike, and a coefficient that none informs is as open as its
    bounds (a uniform distribution between them).
    """
    cases = select(stack(observed.jobs), keep)
    error = np.log((observed.seconds / observed.behind)[keep]) - np.log(step(cases, k).seconds)
    names = np.array(observed.groups)[keep].tolist()
    sizes = Counter(names)
    weight = np.array([1 / sizes[name] for name in names])
    noise = float((weight * error**2).sum() / weight.sum())
    slopes = sensitivities(cases, k)
    width = np.array([np.log(item.metadata["high"] / item.metadata["low"]) for item in fields(Coefficients)])
    information = (slopes * (weight / noise)[:, None]).T @ slopes + np.diag(12 / width**2)
    covariance = np.linalg.inv(information)
    jobs = [job for job, kept in zip(observed.jobs, keep, strict=True) if kept]
    mixed = np.array([job.shape.moe is not None for job in jobs])
    known = np.einsum("ni,ij,nj->n", slopes, covariance, slopes) + noise
    alone = weight * mixed
    more = float((alone * (error**2 - known)).sum() / alone.sum()) if mixed.any() else 0.0
    return Spread(
        source=noise**0.5,
        experts=max(more, 0.0) ** 0.5,
        hidden_layout=HIDDEN_LAYOUT,
        unfamiliar=UNFAMILIAR,
        reach=reach,
        covariance=tuple(tuple(float(f"{value:.5g}") for value in row) for row in covariance.tolist()),
    )


def reach_of(groups: Sequence[str], scaled: Array) -> float:
    """Deviations from the middle that hold `LEVEL` of a further source's rows.

    A quantile of |error| / deviation over rows of sources that the fits never saw, as split conformal prediction takes
    it: with G sources at the level `LEVEL` (G + 1) / G, since the next one may as well be the worst as any of these.
    Rows weigh as one over the square root of their group's number: between every row and every group alike. Both
    directions are taken together: which way a new source errs, a dozen sources do not tell.
    """
    sizes = Counter(groups)
    weight = np.array([sizes[name] ** -0.5 for name in groups])
    level = min(LEVEL * (len(sizes) + 1) / len(sizes), 0.99)
    order = np.argsort(np.abs(scaled))
    place = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    return float(np.interp(level, place, np.abs(scaled)[order]))


def held_out(observed: Observed, given: Calibration) -> HeldOut:
    """Every row predicted with its group left out: coefficients, their spread and familiar chips are the others'.

    The reach of a group's interval comes from the other groups' own held-out errors, whose fits saw this group: a leak
    of second order.
    """
    names = np.array(observed.groups)
    predicted, deviation, reach = (np.zeros(len(names)) for _ in range(3))
    for group in dict.fromkeys(observed.groups):
        out = names == group
        k = fit_coefficients(observed, ~out, given.coefficients)
        cases = select(stack(observed.jobs), out)
        predicted[out] = step(cases, k).seconds * observed.behind[out]
        jobs = [observed.jobs[index] for index in np.flatnonzero(out)]
        unsure = [observed.unsure[index] for index in np.flatnonzero(out)]
        familiar = {observed.jobs[index].accelerator.name for index in np.flatnonzero(~out)}
        spread = spread_of(observed, k, ~out)
        deviation[out] = deviations(jobs, unsure, sensitivities(cases, k), spread, sorted(familiar))
    scaled = np.log(observed.seconds / predicted) / deviation
    for group in dict.fromkeys(observed.groups):
        others = names != group
        reach[~others] = reach_of(names[others].tolist(), scaled[others])
    ends = np.exp(reach * deviation)
    return HeldOut(predicted, predicted / ends, predicted * ends, deviation)


def refit(observed: Observed, given: Calibration) -> tuple[Calibration, dict[str, Any]]:
    """A new calibration with its cross-validated errors."""
    k = fit_coefficients(observed, begin=given.coefficients)
    others = held_out(observed, replace(given, coefficients=k))
    reach = reach_of(observed.groups, np.log(observed.seconds / others.seconds) / others.deviation)
    everything = np.ones(len(observed.jobs), dtype=bool)
    inside = step(stack(observed.jobs), k).seconds * observed.behind
    errors = {
        "held_out": group_errors(observed.groups, observed.seconds, others.seconds),
        "in_sample": group_errors(observed.groups, observed.seconds, inside),
    }
    covered = (others.low <= observed.seconds) & (observed.seconds <= others.high)
    for name, each in errors["held_out"].items():
        each["coverage"] = float(covered[np.array(observed.groups) == name].mean())
    fitted = replace(
        given,
        coefficients=k,
        spread=spread_of(observed, k, everything, reach),
        familiar=tuple(sorted({job.accelerator.name for job in observed.jobs})),
    )
    return fitted, errors
