"""Fitting the step-time model to published runs, with each source left out in turn."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from danlu.common.errors import DanluError
from danlu.planner.cases import Array, Cases, Job, stack
from danlu.planner.coefficients import Calibration, Coefficients, Interval, starts
from danlu.planner.flops import printed_flops
from danlu.planner.predict import Z80, interval_of
from danlu.planner.step import step
from danlu.planner.table import BEHIND_BEST, row_job
from danlu.planner.table_row import number

HIDDEN_LAYOUT = 0.15
"""Spread (in logs) of measured over predicted where the layout is not known: between the eight sources of
`BEHIND_BEST` 0.125, and within one 0.08."""
LEAST_UNFAMILIAR = 0.087
"""Least spread (in logs) of a chip that no fit saw: the root mean square of what leaving out the V100, the B200, the
TPU v5e and the Ascend 910B in turn gives for the one source of each (-0.08, 0.09, 0.03, 0.12)."""
Chosen = NDArray[np.bool_]

HUBER = 0.1
"""Residual (in logs) from which an error counts linearly: one odd row must not bend the model."""
PRIOR = 0.06
"""Pull of every coefficient (in logs) towards its first value, beside a group's mean residual."""


@dataclass(frozen=True)
class Observed:
    """Rows with a measured pace: what was run, and its seconds a step."""

    jobs: tuple[Job, ...]
    seconds: Array
    groups: tuple[str, ...]
    unsure: tuple[bool, ...]
    ids: tuple[str, ...]
    behind: Array
    """Step time over the predicted one that is expected of each: `BEHIND_BEST` where the layout was searched."""


def measured_seconds(row: Mapping[str, str], job: Job) -> float | None:
    """Seconds a step that a row measured: printed, or from its tokens or FLOPs a second; None where it has none."""
    tokens = job.batch * job.seq_len
    chips = job.layout.chips
    printed = number(row, "step_time_s")
    if printed:
        return printed
    for name, scale in (("tokens_per_s_total", 1), ("tokens_per_s_per_chip", chips)):
        rate = number(row, name)
        if rate:
            return tokens / (rate * scale)
    rate = number(row, "tflops_per_chip")
    if rate:
        flops = printed_flops(job.shape, job.seq_len, row.get("tflops_kind", ""), job.layout)
        return flops.per_token * tokens / (rate * 1e12 * chips)
    return None


def observe(rows: Sequence[Mapping[str, str]], given: Calibration) -> Observed:
    """The rows that measured a pace; those that cannot be read are left out."""
    jobs, seconds, groups, unsure, ids, behind = [], [], [], [], [], []
    for row in rows:
        try:
            job, read, _ = row_job(row, given)
            measured = measured_seconds(row, job)
        except DanluError:
            continue
        if measured:
            jobs.append(job)
            seconds.append(measured)
            groups.append(row.get("group", ""))
            unsure.append(read.unsure)
            ids.append(row.get("run_id", ""))
            behind.append(BEHIND_BEST if read.layout is None else 1.0)
    return Observed(tuple(jobs), np.array(seconds), tuple(groups), tuple(unsure), tuple(ids), np.array(behind))


def fit_coefficients(
    observed: Observed,
    keep: Chosen | None = None,
    begin: Coefficients | None = None,
) -> Coefficients:
    """The coefficients that explain the pace of the kept rows, every group of equal weight.

    Least squares on log(predicted / measured) with a soft threshold, all coefficients in logs within their bounds and
    drawn weakly to their first values, so that what no row informs stays physical.

    Args:
        keep: rows to use (booleans, one a row); all by default.
        begin: where the search starts, which changes its length and not its goal.
    """
    chosen = np.ones(len(observed.jobs), dtype=bool) if keep is None else keep
    cases = _select(stack(observed.jobs), chosen)
    target = np.log((observed.seconds / observed.behind)[chosen])
    names = np.array(observed.groups)[chosen]
    sizes = Counter(names.tolist())
    weight = np.array([1 / np.sqrt(sizes[name]) for name in names.tolist()])
    items = fields(Coefficients)
    low, high = (np.log([item.metadata[end] for item in items]) for end in ("low", "high"))
    start = np.log([getattr(starts(), item.name) for item in items])

    def residuals(theta: Array) -> Array:
        error = np.log(step(cases, Coefficients(*np.exp(theta).tolist())).seconds) - target
        soft = np.sign(error) * HUBER * np.sqrt(2 * (np.sqrt(1 + (error / HUBER) ** 2) - 1))
        return np.concatenate([weight * soft, PRIOR * (theta - start)])

    first = np.log([getattr(begin, item.name) for item in items]) if begin else start
    inside = np.clip(first, low + 1e-3, high - 1e-3)
    found = least_squares(residuals, inside, bounds=(low, high), max_nfev=60, ftol=1e-5, xtol=1e-5)
    return Coefficients(*np.exp(found.x).tolist())


def leave_one_out(observed: Observed, begin: Coefficients | None = None) -> Array:
    """Predicted seconds of every row by coefficients fitted on the other groups."""
    names = np.array(observed.groups)
    cases = stack(observed.jobs)
    predicted = np.zeros(len(names))
    for group in dict.fromkeys(observed.groups):
        out = names == group
        predicted[out] = step(_select(cases, out), fit_coefficients(observed, ~out, begin)).seconds
    return predicted * observed.behind


def leave_chips_out(observed: Observed, begin: Coefficients) -> float:
    """How much further off (standard deviation of log step time) groups lie whose chip the fit never saw.

    Every kind of chip except the most frequent is left out in turn; the mean square of the groups' mean errors then,
    less that of the same groups with only themselves left out.
    """
    chips = np.array([job.accelerator.name for job in observed.jobs])
    groups, cases = np.array(observed.groups), stack(observed.jobs)
    seen = np.log(observed.seconds / leave_one_out(observed, begin))
    most = Counter(job.accelerator.vendor for job in observed.jobs).most_common(1)[0][0]
    known = np.array([job.accelerator.vendor == most and job.accelerator.released <= 2020 for job in observed.jobs])
    unseen, usual = [], []
    for chip in dict.fromkeys(chips[~known].tolist()):
        out = chips == chip
        model = step(_select(cases, out), fit_coefficients(observed, ~out, begin)).seconds * observed.behind[out]
        error = np.log(observed.seconds[out] / model)
        for group in dict.fromkeys(groups[out].tolist()):
            unseen.append(error[groups[out] == group].mean() ** 2)
            usual.append(seen[out & (groups == group)].mean() ** 2)
    return math.sqrt(max(float(np.mean(unseen) - np.mean(usual)), LEAST_UNFAMILIAR**2))


def intervals(
    observed: Observed, predicted: Array, keep: Chosen | None = None, level: float = 0.8
) -> tuple[Interval, Interval, Interval]:
    """The middle `level` of measured over predicted: dense and described, dense and assumed, with experts.

    Rows weigh as one over the square root of their group's number: between every row and every group alike.

    Args:
        keep: rows to use; all by default.
    """
    used = np.ones(len(predicted), dtype=bool) if keep is None else keep
    sizes = Counter(observed.groups)
    weight = np.array([1 / np.sqrt(sizes[name]) for name in observed.groups])
    ratio = observed.seconds / predicted
    experts = np.array([job.shape.moe is not None for job in observed.jobs])
    unsure = np.array(observed.unsure)
    ends = []
    for chosen in (used & ~experts & ~unsure, used & ~experts & unsure, used & experts):
        tail = (1 - level) / 2
        low = _quantile(ratio[chosen], weight[chosen], tail)
        high = _quantile(ratio[chosen], weight[chosen], 1 - tail)
        ends.append(Interval(low, high))
    # One source holds nearly all rows with experts: its own quantiles say little of another's, its models' spread more.
    models = np.array([job.shape.name for job in observed.jobs])
    errors = [np.log(ratio[experts & used & (models == name)]).mean() for name in set(models[experts & used].tolist())]
    spread = Z80 * float(np.sqrt(np.mean(np.square(errors)))) if errors else 0.0
    hidden = Z80 * HIDDEN_LAYOUT
    guessed = Interval(min(ends[1].low, math.exp(-hidden)), max(ends[1].high, math.exp(hidden)))
    few = Interval(min(ends[2].low, math.exp(-spread)), max(ends[2].high, math.exp(spread)))
    return ends[0], guessed, few


@dataclass(frozen=True)
class HeldOut:
    """Predictions of every row by what the other groups teach: seconds, and the ends of the 80% interval."""

    seconds: Array
    low: Array
    high: Array


def held_out(observed: Observed, given: Calibration) -> HeldOut:
    """Every row predicted with its group left out: coefficients, intervals and familiar chips are the others'.

    Intervals come from the other groups' own held-out errors, whose fits saw this group: a leak of second order.
    """
    predicted = leave_one_out(observed, given.coefficients)
    names = np.array(observed.groups)
    low, high = np.zeros(len(predicted)), np.zeros(len(predicted))
    for group in dict.fromkeys(observed.groups):
        out = names == group
        described, assumed, experts = intervals(observed, predicted, ~out)
        chips = {job.accelerator.name for job, name in zip(observed.jobs, names, strict=True) if name != group}
        others = replace(given, described=described, assumed=assumed, experts=experts, familiar=tuple(sorted(chips)))
        for index in np.flatnonzero(out):
            around = interval_of(observed.jobs[index], observed.unsure[index], others)
            low[index], high[index] = predicted[index] * around.low, predicted[index] * around.high
    return HeldOut(predicted, low, high)


def group_errors(groups: Sequence[str], measured: Array, predicted: Array) -> dict[str, dict[str, float]]:
    """By group: n, mean and median of |predicted / measured - 1|, and its mean with sign."""
    names = np.array(groups)
    table = {}
    for group in dict.fromkeys(groups):
        error = (predicted / measured - 1)[names == group]
        table[group] = {
            "n": len(error),
            "mean": float(np.abs(error).mean()),
            "median": float(np.median(np.abs(error))),
            "bias": float(error.mean()),
        }
    return table


def refit(observed: Observed, given: Calibration) -> tuple[Calibration, dict[str, Any]]:
    """A new calibration with its cross-validated errors."""
    coefficients = fit_coefficients(observed)
    others = leave_one_out(observed, coefficients)
    described, assumed, experts = intervals(observed, others)
    inside = step(stack(observed.jobs), coefficients).seconds * observed.behind
    errors = {
        "held_out": group_errors(observed.groups, observed.seconds, others),
        "in_sample": group_errors(observed.groups, observed.seconds, inside),
    }
    fitted = replace(
        given,
        coefficients=coefficients,
        described=described,
        assumed=assumed,
        experts=experts,
        familiar=tuple(sorted({job.accelerator.name for job in observed.jobs})),
        unfamiliar=leave_chips_out(observed, coefficients),
    )
    return fitted, errors


def _select(cases: Cases, chosen: Chosen) -> Cases:
    return Cases(**{item.name: getattr(cases, item.name)[chosen] for item in fields(Cases)})


def _quantile(values: Array, weights: Array, share: float) -> float:
    if not len(values):
        return 1.0  # no such rows: the doubts that `interval_of` adds are all there is
    order = np.argsort(values)
    total = np.cumsum(weights[order]) - weights[order] / 2
    return float(np.interp(share, total / weights.sum(), values[order]))
