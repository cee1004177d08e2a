"""What a person should know before money follows a fit: each finding is a sentence with its figure and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danlu.scaling.ensemble import Member
from danlu.scaling.estimate import Problem, descend, influence
from danlu.scaling.laws import Array
from danlu.scaling.prediction import Panel
from danlu.scaling.rows import Rows
from danlu.scaling.setup_checks import check_places, check_setup
from danlu.scaling.table import Table

_POOR, _USELESS = 0.02, 0.08
"""Typical residual (share of the loss) that is worth a word, and that makes a law unfit for use."""
_POOR_SHARE, _USELESS_SHARE = 0.04, 0.15
"""The same for accuracies, in points."""
_MOVED = 3.0
"""Standard errors that a parameter may move before it is said."""
_ODD = 5.0
"""Robust standard deviations from the law at which a row is an outlier."""
_ILL = 1e4
"""Condition number beyond which parameters cannot be told apart."""
_MOST_SIZES = 24


@dataclass(frozen=True)
class Finding:
    """A warning."""

    code: str
    """Stable name."""
    sentence: str
    """What was found, with its figure, and what to do."""
    grave: bool = False
    """Whether the fit must not be used as it is."""


def diagnose(
    table: Table,
    rows: Rows,
    lead: Member,
    panel: Panel,
    draws: Array,
    condition: float,
    weak: Sequence[Mapping[str, float]],
    *,
    copies: int = 0,
) -> list[Finding]:
    """Everything found about a fit and the table it rests on.

    Args:
        table, rows: what was fitted to, as it came and as it was read.
        lead: the law that counts most, on all rows.
        draws: its bootstrap refits (refits, p).
        condition, weak: as `weak_directions` gives them.
        copies: rows left out because they were equal to others in every column.
    """
    found = [*_misfit(rows, lead), *_bend(rows, lead), *_backtests(panel)]
    found += _bounds(lead, draws)
    found += _identification(lead, condition, weak)
    found += _outliers(rows, lead)
    found += _delta(rows, lead)
    found += _left_out(rows, lead)
    found += _patterns(rows, lead)
    found += [Finding(*said) for said in check_setup(table, rows)]
    if copies:
        rest = "row was" if copies == 1 else "rows were"
        found.append(
            Finding("duplicates", f"{copies} {rest} equal to another in every column and left out; check the export.")
        )
    count, free = len(rows), int(lead.problem.free.sum())
    if count < 3 * free:
        found.append(
            Finding(
                "few_rows",
                f"{count} rows for {free} parameters of {lead.law.name}: intervals rest mostly on what other tables"
                f" have shown. Give {3 * free} rows or more.",
            )
        )
    return found


def diagnose_places(
    table: Table, fitted: Array, asked: Array, rows: Rows, places: Rows, factors: Mapping[str, float]
) -> list[Finding]:
    """What is found about places where the fit is used: how far they lie beyond the rows, and whether they are alike.

    Args:
        table: all rows; `fitted` and `asked` say which were fitted and which are predicted (n,).
        factors: how many times each variable lies beyond the rows.
    """
    return [Finding(*said) for said in check_places(table, fitted, asked, rows, places, factors)]


def _misfit(rows: Rows, lead: Member) -> list[Finding]:
    typical = float(np.sqrt(np.mean(lead.residuals**2)))
    useless, poor = (_USELESS_SHARE, _POOR_SHARE) if rows.is_share else (_USELESS, _POOR)
    unit = "points of accuracy" if rows.is_share else "of the loss"
    if typical > useless:
        return [
            Finding(
                "misfit",
                f"{lead.law.name} misses its own rows by {typical:.1%} {unit} (root mean square): this is not the law"
                " of these rows. Look for a break, mixed units or mixed recipes, or keep one recipe with --where.",
                grave=True,
            )
        ]
    if typical > poor:
        return [
            Finding(
                "poor_fit",
                f"{lead.law.name} misses its own rows by {typical:.1%} {unit} (root mean square); clean ladders come"
                " to under 1%. Keep 2 to 200 tokens a parameter and one recipe with --where.",
            )
        ]
    return []


def _bend(rows: Rows, lead: Member) -> list[Finding]:
    """A slope that grows with scale: a law with a floor, or none, can only flatten."""
    name = next((v for v in lead.law.variables if v in ("C", "N", "D")), None)
    if name is None or rows.is_share or len(lead.law.variables) > 1 or len(rows) < 8:
        return []
    x, y = np.log(rows.values[name]), np.log(rows.losses)
    order = np.argsort(x)
    half = len(order) // 2
    slopes = [_slope(x[part], y[part]) for part in (order[:half], order[half:])]
    (low, low_error), (high, high_error) = slopes
    gap = low - high  # positive when the upper half falls faster
    if gap > _MOVED * np.hypot(low_error, high_error) and gap > 0.25 * abs(low) and gap > 0.01:
        return [
            Finding(
                "break",
                f"The loss falls as {name}^{high:.3f} in the upper half of the rows and as {name}^{low:.3f} in the"
                " lower: it falls faster with scale, which no power law does. Something sets in on the way; do not"
                " extrapolate. Fit --law broken above the break, or add rows beyond it.",
                grave=True,
            )
        ]
    return []


def _slope(x: Array, y: Array) -> tuple[float, float]:
    away = x - x.mean()
    spread = float(np.sum(away**2))
    if spread == 0:
        return 0.0, np.inf
    slope = float(np.sum(away * y) / spread)
    left = y - y.mean() - slope * away
    return slope, float(np.sqrt(np.sum(left**2) / max(len(x) - 2, 1) / spread))


def _backtests(panel: Panel) -> list[Finding]:
    if not panel.ratios:
        return [
            Finding(
                "no_backtest",
                "The table is too small to forecast its own top from the rest, so the intervals are not checked"
                " against it. Add rows below and above, until twice as many as parameters remain without the top.",
            )
        ]
    if panel.stretch > 2.0:
        return [
            Finding(
                "backtests_missed",
                f"Forecasts of the table's own top missed by {panel.backtest_error or 0:.2%}, {max(panel.ratios):.1f}"
                f" times what the laws expected at worst; the intervals are {panel.stretch:.1f} times as wide for it."
                " Look at the largest runs: are they of the same recipe?",
            )
        ]
    return []


def _bounds(lead: Member, draws: Array) -> list[Finding]:
    lows, highs = lead.problem.limits
    found = []
    for index, parameter in enumerate(lead.problem.parameters):
        if not lead.problem.free[index] or not np.isfinite([lows[index], highs[index]]).any():
            continue
        width = 0.02 if lead.problem.logs[index] else 1e-3 * abs(highs[index] - lows[index])
        at = [side for side, end in (("lowest", lows[index]), ("highest", highs[index]))]
        ends = dict(zip(at, (lows[index], highs[index]), strict=True))
        near = [side for side, end in ends.items() if abs(lead.theta[index] - end) < width]
        value = lead.parameters[parameter.name]
        small = parameter.kind == "coefficient" and parameter.positive and _negligible(lead, index)
        if near or small:
            what = "zero" if small else f"{value:.4g}, the {near[0]} that is allowed"
            found.append(
                Finding(
                    "at_bound",
                    f"{parameter.name} of {lead.law.name} ended at {what}: the rows do not determine it, so do not"
                    " quote it. Add runs that vary what it stands for, or choose a --law without it.",
                )
            )
    return found


def _negligible(lead: Member, index: int) -> bool:
    problem = lead.problem
    shape = {name: lead.parameters[name] for name in lead.law.shape}
    part = np.asarray(lead.law.basis(shape, problem.values)[index]) * lead.parameters[problem.parameters[index].name]
    return bool(np.max(np.abs(part)) < 1e-4 * np.mean(np.abs(problem.targets)))


def _identification(lead: Member, condition: float, weak: Sequence[Mapping[str, float]]) -> list[Finding]:
    parts = sorted({name for direction in weak for name in direction})
    if not parts and condition < _ILL:
        return []
    those = " and ".join(parts) if parts else "the parameters"
    return [
        Finding(
            "not_identified",
            f"The rows hardly tell {those} of {lead.law.name} apart (condition number {condition:.2g}): other values"
            " fit as well. Quote predictions, or these parameters with their intervals only.",
        )
    ]


def _outliers(rows: Rows, lead: Member) -> list[Finding]:
    """Rows far off a law that is fitted without them, and what they do to its parameters."""
    problem, count = lead.problem, len(rows)
    if count < 12:
        return []
    keep, theta = np.ones(count, dtype=bool), lead.theta
    for _ in range(6):
        away = np.abs(problem.linearise(theta[None])[0][0])
        scale = np.median(away[keep]) / 0.6745
        new = away <= max(_ODD * scale, 1e-12)
        if (~new).sum() > 0.2 * count or new.sum() < problem.free.sum() + 3:
            return []
        if np.array_equal(new, keep):
            break
        keep = new
        theta = descend(problem, theta[None], keep.astype(float)[None], rounds=100, tolerance=1e-8, patience=2)[0][0]
    odd = int((~keep).sum())
    if not odd:
        return []
    factor = influence(problem, theta[None], keep.astype(float)[None], rows.clusters)[0]
    farthest = np.argsort(-np.abs(problem.linearise(theta[None])[0][0]))[:odd]
    few, moved = odd, _moves(problem, theta, lead.theta, factor)
    for count_out in (1, 2, 3, 5, 8):
        part = _without(problem, lead.theta, farthest[:count_out], factor) if moved and count_out < odd else {}
        if part and max(m[2] for m in part.values()) > 0.8 * max(m[2] for m in moved.values()):
            few, moved = count_out, part
            break
    lines = rows.lines[farthest[:few]]
    where = ", ".join(str(line) for line in sorted(lines[:6].tolist())) + (", ..." if few > 6 else "")
    rest = "row lies" if odd == 1 else "rows lie"
    if not moved:
        return [
            Finding(
                "outliers",
                f"{odd} {rest} more than {_ODD:g} robust standard deviations off the law (row {where}); they do not"
                " move its parameters beyond their errors. Check those runs.",
            )
        ]
    name, (old, new_value, errors) = max(moved.items(), key=lambda item: item[1][2])
    return [
        Finding(
            "outliers_decide",
            f"{few} of {count} rows (row {where}) move {name} by {errors:.1f} standard errors: {old:.3f} with them,"
            f" {new_value:.3f} without; {odd} in all lie {_ODD:g} robust standard deviations or more off the law. Find"
            " out whether those runs are sound, and leave them out with --where if not.",
        )
    ]


def _without(
    problem: Problem, theta: Array, left: NDArray[np.intp], factor: Array
) -> dict[str, tuple[float, float, float]]:
    """Parameters that move when some rows are left out."""
    weights = np.ones(len(problem.targets))
    weights[left] = 0.0
    other = descend(problem, theta[None], weights[None], rounds=100, tolerance=1e-8, patience=2)[0][0]
    return _moves(problem, other, theta, factor)


def _moves(problem: Problem, base: Array, other: Array, factor: Array) -> dict[str, tuple[float, float, float]]:
    """Shape parameters that differ between two fits by more than three errors: values and the errors."""
    found = {}
    errors = np.sqrt(np.sum(factor**2, axis=1))
    numbers, others = problem.named(base), problem.named(other)
    for index in range(problem.num_coefficients, len(problem.parameters)):
        name = problem.parameters[index].name
        if problem.free[index] and errors[index] > 0:
            far = abs(other[index] - base[index]) / errors[index]
            if far > _MOVED:
                found[name] = (others[name], numbers[name], float(far))
    return found


def _delta(rows: Rows, lead: Member) -> list[Finding]:
    """Whether another turning point of the Huber loss would say something else."""
    problem = lead.problem
    factor = influence(problem, lead.theta[None], np.ones((1, len(rows))), rows.clusters)[0]
    worst: tuple[str, float, float, float, float] | None = None
    for delta in (1e-4, 1e-2, 1e-1):
        other = Problem(problem.law, problem.values, problem.targets, delta, problem.fixed)
        theta = descend(other, lead.theta[None], rounds=100, tolerance=1e-7, patience=2)[0][0]
        for name, (new, old, errors) in _moves(problem, lead.theta, theta, factor).items():
            if worst is None or errors > worst[4]:
                worst = (name, old, new, delta, errors)
    if worst is None:
        return []
    name, old, new, delta, errors = worst
    return [
        Finding(
            "delta_decides",
            f"{name} depends on where the Huber loss turns: {old:.3f} at {problem.delta:g}, {new:.3f} at {delta:g},"
            f" {errors:.1f} standard errors apart: some rows are of another kind. Look at the outliers, and quote"
            f" {name} with its --delta.",
        )
    ]


def _left_out(rows: Rows, lead: Member) -> list[Finding]:
    """Whether one size decides an exponent."""
    if "N" not in rows.values or "N" not in lead.law.variables:
        return []
    sizes = np.unique(rows.values["N"])
    if not 4 <= len(sizes) <= _MOST_SIZES:
        return []
    problem = lead.problem
    weights = np.stack([(rows.values["N"] != size).astype(float) for size in sizes])
    theta, _ = descend(
        problem, np.repeat(lead.theta[None], len(sizes), axis=0), weights, rounds=60, tolerance=1e-6, patience=2
    )
    factor = influence(problem, lead.theta[None], np.ones((1, len(rows))), rows.clusters)[0]
    worst = None
    for size, row in zip(sizes.tolist(), theta, strict=True):
        for name, (new, old, errors) in _moves(problem, lead.theta, row, factor).items():
            if worst is None or errors > worst[4]:
                worst = (name, old, new, size, errors)
    if worst is None:
        return []
    name, old, new, size, errors = worst
    return [
        Finding(
            "one_size_decides",
            f"Without the rows of N = {size:.4g}, {name} is {new:.3f} and not {old:.3f} ({errors:.1f} standard errors):"
            " one size decides it. Check that size's learning rate, or add sizes near it.",
        )
    ]


def _patterns(rows: Rows, lead: Member) -> list[Finding]:
    """Residuals that are not alike for small and large models, or for short and long training."""
    found = []
    sides: dict[str, tuple[str, Array]] = {}
    if "N" in rows.values:
        sides["residuals_by_size"] = ("sizes", rows.values["N"])
    if {"N", "D"} <= rows.values.keys():
        sides["residuals_by_ratio"] = ("tokens a parameter", rows.values["D"] / rows.values["N"])
    for code, (words, known) in sides.items():
        if len(np.unique(known)) < 4 or len(rows) < 12:
            continue
        edges = np.quantile(known, [1 / 3, 2 / 3])
        for side, part in (("lowest", known <= edges[0]), ("highest", known >= edges[1])):
            own = lead.residuals[part]
            if part.sum() < 4:
                continue
            mean, error = float(own.mean()), float(own.std(ddof=1) / np.sqrt(len(own)))
            if abs(mean) > max(_MOVED * error, 0.003 if not rows.is_share else 0.01):
                # a residual is predicted over measured
                way = "lower" if mean > 0 else "higher"
                found.append(
                    Finding(
                        code,
                        f"The third of the rows with the {side} {words} has losses {abs(mean):.2%} {way} than"
                        f" {lead.law.name} on average: the law bends otherwise there. Distrust it beyond that end, or"
                        " fit a narrower range with --where.",
                    )
                )
                break
    return found
