"""Backtests: the top of the table left out, the laws fitted to the rest, and their forecasts held against it.

They decide two things: how much each law is trusted, and how much wider the intervals must be than the laws themselves
would have them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from danlu.scaling.ensemble import Mask, Member, scale_of
from danlu.scaling.laws import Array
from danlu.scaling.rows import Rows

SCALES = ("C", "N", "D")
"""Variables along which a table is cut, and a target lies beyond it."""
_SHARES = {"C": (0.15, 0.3, 0.45), "N": (0.25, 0.45), "D": (0.25, 0.45)}
"""Shares of the rows that cuts leave out, by variable."""
_FEWEST_ROWS = 4
"""Rows that a cut leaves in at least."""


@dataclass(frozen=True)
class Cut:
    """One backtest's part of the table."""

    along: str
    """The variable whose largest values are left out, or the run that is."""
    held: Mask
    """The rows left out (n,)."""


def cuts_of(rows: Rows, order: str) -> list[Cut]:
    """The backtests that a table allows.

    Points of whole loss curves are left out a curve at a time; other rows from the top of C, of N and of D.

    Args:
        order: the variable that the table is ordered by; others are cut only where they vary on their own.
    """
    if "S1" in rows.values:
        runs = np.unique(rows.clusters)
        return [Cut(f"run {run}", rows.clusters == run) for run in runs] if len(runs) > 1 else []
    found: list[Cut] = []
    for name in (order, *(other for other in SCALES if other != order)):
        if name not in rows.values or not np.isfinite(rows.values[name]).all():
            continue
        known = rows.values[name]
        levels = np.unique(known)
        if len(levels) < _FEWEST_ROWS:
            continue
        for share in _SHARES.get(name, _SHARES["C"]):
            edge = np.quantile(known, 1 - share)
            held = known >= max(edge, levels[1]) * (1 - 1e-9)
            if held.all() or (~held).sum() < _FEWEST_ROWS or any(np.array_equal(held, cut.held) for cut in found):
                continue
            found.append(Cut(name, held))
    return found


def errors(member: Member, rows: Rows, cuts: Sequence[Cut]) -> list[Array | None]:
    """A member's errors on each cut's rows: log of predicted over measured, or their difference (held rows,)."""
    found: list[Array | None] = []
    for index, cut in enumerate(cuts):
        theta = member.cut_thetas[index]
        if theta is None:
            found.append(None)
            continue
        values = {name: rows.values[name][cut.held] for name in member.law.variables}
        said = scale_of(member.law, member.problem.predict(theta[None], values)[0])
        found.append(said - scale_of(member.law, rows.losses[cut.held]))
    return found


_PRIOR_FLOOR_FREE = 0.05
"""What a law without a floor counts before its backtests are seen: published ladders have all shown one."""


def trust(members: Sequence[Member], misses: Sequence[Sequence[Array | None]], without: int | None = None) -> Array:
    """How much each member counts (members,), summing to one: by how likely its backtests' errors make it.

    Each backtest counts as one normal error of unknown size. A member that has none of them counts as if it had been as
    bad as the worst.

    Args:
        misses: errors by member and cut.
        without: a cut that is not looked at.
    """
    count = len(misses[0])
    least = max(min(member.noise for member in members), 1e-6)
    logs = np.full((len(members), count), np.nan)
    for i, row in enumerate(misses):
        for k, error in enumerate(row):
            if error is not None and len(error) and k != without:
                logs[i, k] = np.log(np.mean(np.minimum(error**2, 1.0)) + 0.25 * least**2)
    prior = np.array([_PRIOR_FLOOR_FREE if is_floor_free(member) else 1.0 for member in members])
    used = [k for k in range(count) if k != without and not np.isnan(logs[:, k]).all()]
    if not used:
        weights = prior / prior.sum()
        return np.asarray(weights)
    for k in used:
        column = logs[:, k]
        column[np.isnan(column)] = np.nanmax(column)
    score = -0.5 * logs[:, used].sum(axis=1)
    weights = prior * np.exp(score - score.max())
    return np.asarray(weights / weights.sum())


def is_floor_free(member: Member) -> bool:
    """Whether a member's law goes to zero without end."""
    return member.law.response == "loss" and member.law.link == "loss" and not _has_constant(member)


def _has_constant(member: Member) -> bool:
    law = member.law
    shape = {name: member.parameters[name] for name in law.shape}
    some = {name: member.problem.values[name][:2] for name in law.variables}
    return any(np.ndim(part) == 0 and np.real(part) == 1.0 for part in law.basis(shape, some))


def reach(rows: Rows, values: Mapping[str, Array], names: Sequence[str]) -> Array:
    """How far places lie beyond the rows: the largest natural log of a variable over the rows' range, 0 inside,
    (m,)."""
    far = np.zeros(len(next(iter(values.values()))))
    for name in names:
        known, there = rows.values[name], values[name]
        if known.ndim == 1:
            far = np.maximum(far, np.log(there / known.max()))
            far = np.maximum(far, np.log(known.min() / there))
    return far
