"""One call from a table of runs to a law with intervals, warnings and predictions: `danlu.scaling.fit`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.scaling.backtest import cuts_of, reach
from danlu.scaling.candidates import Candidates, candidates, named_candidates
from danlu.scaling.columns import Taken
from danlu.scaling.diagnostics import Finding, diagnose, diagnose_places
from danlu.scaling.ensemble import WINDOWS, Member, draw_weights, fit_members
from danlu.scaling.estimate import descend, weak_directions
from danlu.scaling.expression import select
from danlu.scaling.laws import FLOOR_FREE, FLOOR_FREE_D, FLOOR_FREE_N, FLOOR_FREE_SURFACE, Array, Law
from danlu.scaling.prediction import PER_DROP, Panel, Prediction, make_panel
from danlu.scaling.rows import Rows, condition_columns, read_rows, require
from danlu.scaling.table import Table, table_of
from danlu.scaling.table_files import read_table

_BOOTSTRAP_NUMBERS = 150_000
"""Derivatives held at once in the bootstrap: what fits in a core's cache."""

TableLike = Table | Path | str | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Estimate:
    """A fitted parameter."""

    value: float
    low: float
    high: float
    """Ends of its interval: the bootstrap's, stretched as the backtests say."""
    se: float
    """Standard deviation of the bootstrap's refits, not stretched."""


@dataclass(frozen=True)
class Held:
    """Rows that were predicted, beside what was measured at them where that is known; arrays are (m,)."""

    rows: Rows
    prediction: Prediction
    narrow: Prediction
    """The same with intervals of 80%."""
    baseline: Array
    """What the law without a floor says."""

    @property
    def errors(self) -> Array:
        """Predicted over measured, less one; of shares the difference."""
        measured = self.rows.losses
        away = self.prediction.predicted - measured
        return np.asarray(away if self.rows.is_share else away / measured)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Whether each interval holds what was measured."""
        return np.asarray((self.prediction.low <= self.rows.losses) & (self.rows.losses <= self.prediction.high))

    @property
    def mare(self) -> float:
        """Mean absolute relative error."""
        return float(np.mean(np.abs(self.errors)))

    @property
    def baseline_mare(self) -> float:
        """The same for the law without a floor; nan where there is none."""
        away = self.baseline - self.rows.losses
        return float(np.mean(np.abs(away if self.rows.is_share else away / self.rows.losses)))

    @property
    def coverage(self) -> float:
        """Share of the rows that their intervals hold."""
        return float(np.mean(self.inside))

    @property
    def narrow_coverage(self) -> float:
        """The same for the intervals of 80%."""
        held = (self.narrow.low <= self.rows.losses) & (self.rows.losses <= self.narrow.high)
        return float(np.mean(held))


@dataclass(frozen=True)
class TableFit:
    """What a table of runs says."""

    source: str
    """The table's name."""
    rows: Rows
    """The rows that the laws are fitted to."""
    lead: Member
    """The law that counts most, on all rows; its parameters are the ones reported."""
    panel: Panel
    """All laws, their weights, and what their backtests make of the intervals."""
    params: Mapping[str, Estimate]
    """The lead's parameters, and numbers derived from them."""
    draws: Array
    """The lead's bootstrap refits, rows of its parameters in the law's order (refits, p)."""
    condition: float
    """Condition number of the lead's derivatives by the logs of its parameters."""
    baseline: Member | None
    """The law without a floor."""
    level: float
    """Probability of every interval."""
    chosen: Candidates
    """Which laws were tried, and why."""
    findings: tuple[Finding, ...]
    """What a reader should know, the grave ones first."""
    holdout: Held | None
    """The rows that were held out, predicted."""

    @property
    def law(self) -> Law:
        """The law that counts most."""
        return self.lead.law

    @property
    def trusted(self) -> bool:
        """Whether nothing was found that makes the fit unfit for use."""
        return not any(finding.grave for finding in self.findings)

    @cached_property
    def taken(self) -> tuple[Taken, ...]:
        """Which column was taken for what."""
        return tuple(self.rows.taken.values())

    def weights(self) -> dict[str, float]:
        """How much each law counts in a prediction, its windows together, most first."""
        found: dict[str, float] = {}
        for member, weight in zip(self.panel.members, self.panel.weights.tolist(), strict=True):
            found[member.law.name] = found.get(member.law.name, 0.0) + weight
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def predict(self, values: Mapping[str, Array | float], level: float | None = None) -> Prediction:
        """Losses with intervals at other places.

        Args:
            values: the laws' variables by name, N (parameters), D (tokens), C (FLOPs) and others, numbers or (m,);
                a missing one of N, D, C follows from C = 6 N D.
            level: probability of the intervals; by default the fit's.

        Raises:
            DanluError: a variable of the laws is missing.
        """
        return self.panel.predict(self._complete(values), level or self.level)

    def _complete(self, values: Mapping[str, Array | float]) -> dict[str, Array]:
        given = {name: np.atleast_1d(np.asarray(value, dtype=np.float64)) for name, value in values.items()}
        size = max(len(value) for value in given.values())
        given = {name: np.broadcast_to(v, (size, *v.shape[1:])) for name, v in given.items()}
        own_compute = "C" in self.rows.taken
        if "C" not in given and {"N", "D"} <= given.keys() and not own_compute:
            given["C"] = 6.0 * given["N"] * given["D"]
        needed = {name for member in self.panel.members for name in member.law.variables}
        if missing := sorted(needed - given.keys()):
            raise DanluError(f"a prediction needs {', '.join(missing)}.", f"Give {' and '.join(sorted(needed))}.")
        return given

    def reach(self, values: Mapping[str, Array | float]) -> dict[str, float]:
        """How many times each of C, N, D and D/N lies beyond the rows at the farthest place; 1 inside."""
        return reach_of(self.rows, self._complete(values))

    @property
    def method(self) -> str:
        """How predictions and intervals are made, in words with figures."""
        panel = self.panel
        laws = ", ".join(f"{name} {weight:.0%}" for name, weight in self.weights().items() if weight >= 0.005)
        tests = len(panel.ratios)
        along = ", ".join(dict.fromkeys(cut.along for cut in panel.cuts if not cut.along.startswith("run")))
        where = f" along {along}" if along else ", a run at a time" if tests else ""
        checked = (
            f"{tests} backtests{where}, whose errors were {np.sqrt(np.mean(np.square(panel.ratios))):.2f} times what"
            f" was reckoned"
            if tests
            else "no backtest (too few rows)"
        )
        return (
            f"laws weighted by backtest ({laws}); the interval sums what the laws differ by, redrawing of runs, a row's"
            f" noise, and {PER_DROP:.0%} of the drop beyond the rows, stretched {panel.stretch:.2f} times after"
            f" {checked}"
        )


def reach_of(rows: Rows, values: Mapping[str, Array]) -> dict[str, float]:
    """How many times C, N, D and D/N lie beyond the rows at the farthest of some places; 1 inside."""
    found = {
        name: float(np.exp(reach(rows, values, [name]).max()))
        for name in ("C", "N", "D")
        if name in rows.values and name in values
    }
    if {"N", "D"} <= found.keys():
        known, there = rows.values["D"] / rows.values["N"], values["D"] / values["N"]
        found["D/N"] = float(max(1.0, there.max() / known.max(), known.min() / there.min()))
    return found


def fit(
    table: TableLike,
    law: str | Sequence[str] = "auto",
    *,
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
    holdout: str | None = None,
    cluster: str | None = None,
    delta: float = 1e-3,
    level: float = 0.95,
    refits: int = 1000,
    fixed: Mapping[str, float] | None = None,
    seed: int = 0,
) -> TableFit:
    """Fit scaling laws to a table of runs.

    Args:
        table: a path, a `Table`, a mapping of columns, or rows.
        law: 'auto', which tries the laws that the columns allow and weighs them by backtest; or names of laws.
        columns: columns by role (N, D, C, loss, accuracy, ...) that are not to be guessed.
        where: condition for the rows to use.
        holdout: condition for rows that are predicted and not fitted to.
        cluster: the column that says which rows are of one run.
        delta: where the Huber loss of the log residuals turns from squares to absolute values.
        level: probability of the intervals.
        refits: bootstrap refits of the leading law.
        fixed: parameters that are known, such as E, the entropy of the text.
        seed: of the bootstrap.

    Raises:
        DanluError: the table cannot be read or cannot support a law; says what to do.
    """
    if not 0 < level < 1 or delta <= 0:
        raise DanluError("level must lie between 0 and 1, and delta above 0.", "Leave them out for the defaults.")
    data = _table(table)
    data, copies = data.without_copies()
    if where:
        data = data.rows(select(where, condition_columns(data, columns or {}), "--where"))
        _not_empty(data, "--where leaves no rows.", "Loosen the condition.")
    held = np.zeros(len(data), dtype=bool)
    if holdout:
        held = select(holdout, condition_columns(data, columns or {}), "--holdout")
        if not held.any():
            raise DanluError(f"--holdout '{holdout}' holds no row.", "Loosen the condition, or leave --holdout out.")
        _not_empty(data.rows(~held), "--holdout takes every row, so that none is left to fit.", "Tighten it.")
    names = [law] if isinstance(law, str) else list(law)
    target = "accuracy" if any(name.strip().lower() in ("sigmoid", "accuracy") for name in names) else "loss"
    everything = read_rows(data, columns or {}, cluster=cluster, target=target)
    rows = everything.some(~held)
    picked = candidates(rows) if [n.lower() for n in names] == ["auto"] else named_candidates(names, rows)
    for each in picked.laws:
        require(each, everything)
    _members, panel = _ensemble(rows, picked, delta, fixed)
    lead = _lead(panel)
    draws = _bootstrap(lead, rows, refits, seed)
    condition, weak = weak_directions(lead.problem, lead.theta)
    away = everything.some(held) if holdout else None
    findings = diagnose(data.rows(~held), rows, lead, panel, draws, condition, weak, copies=copies)
    if away is not None:
        factors = reach_of(rows, away.values)
        findings = [*findings, *diagnose_places(data, ~held, held, rows, away, factors)]
    baseline = _baseline(rows, picked, delta)
    return TableFit(
        source=data.source,
        rows=rows,
        lead=lead,
        panel=panel,
        params=_estimates(lead, draws, panel, level),
        draws=draws,
        condition=condition,
        baseline=baseline,
        level=level,
        chosen=picked,
        findings=tuple(sorted(findings, key=lambda finding: not finding.grave)),
        holdout=_held(away, panel, baseline, level) if away is not None else None,
    )


def predict_table(fitted: TableFit, table: TableLike, columns: Mapping[str, str] | None = None) -> Held:
    """Predictions for the rows of another table, whose losses, where it has any, are set beside them.

    Raises:
        DanluError: a column that the laws need is missing.
    """
    data = _table(table)
    target = "accuracy" if fitted.rows.is_share else "loss"
    rows = read_rows(data, columns or {}, target=target, need_loss=False)
    for member in fitted.panel.members:
        require(member.law, rows)
    return _held(rows, fitted.panel, fitted.baseline, fitted.level)


def _table(table: TableLike) -> Table:
    if isinstance(table, Table):
        return table
    if isinstance(table, str | Path):
        return read_table(Path(table))
    return table_of(table)


def _not_empty(table: Table, cause: str, remedy: str) -> None:
    if not len(table):
        raise DanluError(cause, remedy)


def _ensemble(
    rows: Rows, picked: Candidates, delta: float, fixed: Mapping[str, float] | None
) -> tuple[list[Member], Panel]:
    cuts = cuts_of(rows, picked.order)
    masks = [cut.held for cut in cuts]
    order = rows.values[picked.order]
    windows = WINDOWS if picked.auto else (1.0,)
    members = [
        member
        for law in picked.laws
        for member in fit_members(law, rows, masks, delta=delta, order=order, fixed=fixed, windows=windows)
    ]
    if not members:
        fewest = min(len(law.parameters) for law in picked.laws)
        raise DanluError(
            f"{len(rows)} rows are too few: {' and '.join(law.name for law in picked.laws)} have {fewest} parameters or"
            " more.",
            f"Give at least {fewest + 1} rows, better {3 * fewest}, or a --law with fewer parameters.",
        )
    return members, make_panel(rows, members, cuts)


def _lead(panel: Panel) -> Member:
    total: dict[str, float] = {}
    for member, weight in zip(panel.members, panel.weights.tolist(), strict=True):
        total[member.law.name] = total.get(member.law.name, 0.0) + weight
    best = max(total, key=lambda name: total[name])
    return next(member for member in panel.members if member.law.name == best and member.window == 1.0)


def _bootstrap(lead: Member, rows: Rows, refits: int, seed: int) -> Array:
    """Refits of the lead to redrawn runs, as natural parameters (refits, p)."""
    problem = lead.problem
    weights = draw_weights(rows.clusters, np.random.default_rng(seed), refits)
    size = max(10, _BOOTSTRAP_NUMBERS // (len(rows) * len(lead.theta)))
    found = []
    for first in range(0, refits, size):
        part = weights[first : first + size]
        begin = np.repeat(lead.theta[None], len(part), axis=0)
        theta, _ = descend(problem, begin, part, rounds=40, tolerance=1e-5, patience=2)
        found.append(problem.natural(theta))
    return np.concatenate(found)


def _estimates(lead: Member, draws: Array, panel: Panel, level: float) -> dict[str, Estimate]:
    law = lead.law
    names = [parameter.name for parameter in law.parameters]
    values = dict(lead.parameters)
    columns = {name: draws[:, index] for index, name in enumerate(names)}
    if law.derived is not None:
        derived = [law.derived(dict(zip(names, row, strict=True))) for row in draws.tolist()]
        more = law.derived(values)
        columns |= {name: np.array([each[name] for each in derived]) for name in more}
        values |= more
    return {name: _estimate(value, columns[name], panel, level) for name, value in values.items()}


def _estimate(value: float, drawn: Array, panel: Panel, level: float) -> Estimate:
    """Both the refits' quantiles, stretched, and a t interval of their spread: whichever reaches farther."""
    logs = value > 0 and float(drawn.min()) > 0
    centre, moved = (np.log(value), np.log(drawn)) if logs else (value, drawn)
    tail = (1 - level) / 2
    low, inner_low, inner_high, high = np.quantile(moved, [tail, 0.16, 0.84, 1 - tail]) - centre
    half = panel.width(level) * (inner_high - inner_low) / 2
    ends = centre + min(panel.stretch * low, -half), centre + max(panel.stretch * high, half)
    low, high = np.exp(ends) if logs else ends
    return Estimate(value, float(low), float(high), float(np.std(drawn)))


def _baseline(rows: Rows, picked: Candidates, delta: float) -> Member | None:
    """The law without a floor that the rows allow; over N and D the surface where they vary on their own."""
    for law in (FLOOR_FREE, FLOOR_FREE_N, FLOOR_FREE_D, FLOOR_FREE_SURFACE):
        if rows.is_share or not all(name in rows.values for name in law.variables):
            continue
        found = fit_members(law, rows, [], delta=delta, order=rows.values[picked.order], windows=(1.0,))
        if found:
            return found[0]
    return None


def _held(rows: Rows, panel: Panel, baseline: Member | None, level: float) -> Held:
    plain = np.full(len(rows), np.nan)
    if baseline is not None and all(name in rows.values for name in baseline.law.variables):
        plain = baseline.law.predict(baseline.parameters, rows.values)
    return Held(rows, panel.predict(rows.values, level), panel.predict(rows.values, 0.8), plain)
