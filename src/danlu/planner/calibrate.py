"""Fitting the step-time model to published runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from danlu.common.errors import DanluError
from danlu.planner.cases import Array, Cases, Job, stack
from danlu.planner.coefficients import Calibration, Coefficients, starts
from danlu.planner.flops import printed_flops
from danlu.planner.step import step
from danlu.planner.table import BEHIND_BEST, row_job
from danlu.planner.table_row import number

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
    cases = select(stack(observed.jobs), chosen)
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


def select(cases: Cases, chosen: Chosen) -> Cases:
    """The chosen cases."""
    return Cases(**{item.name: getattr(cases, item.name)[chosen] for item in fields(Cases)})
