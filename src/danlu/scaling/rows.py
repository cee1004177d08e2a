"""From a table to what a law is fitted to: variables in one unit, losses, and which rows belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.scaling.columns import Taken, match_columns
from danlu.scaling.laws import Array, Law, schedule_variables
from danlu.scaling.table import Table

_SCALE = ("N", "D", "C", "U")
_UNIT_RATIO = (1e-3, 1e6)
"""Tokens a parameter between which any training run lies."""
_FEWEST_PARAMETERS = 300.0
"""Below this many parameters, a column is in thousands, millions or billions."""
_GAP = 1e4
"""Neighbouring values this far apart in one column are in two units."""


@dataclass(frozen=True)
class Rows:
    """What the rows of a table say to a law."""

    values: Mapping[str, Array]
    """Variables by name, each (n, ...): N, D, C and whatever else the table has."""
    losses: Array
    """(n,), nats per token; shares where accuracies are fitted; nan where unknown (rows to predict)."""
    clusters: NDArray[np.int64]
    """Which rows are of one run, (n,)."""
    lines: NDArray[np.int64]
    """Row numbers in the table, (n,)."""
    taken: Mapping[str, Taken]
    """Which column was taken for what."""
    notes: tuple[str, ...] = ()
    """What was worked out rather than read."""
    is_share: bool = False
    """Whether `losses` are shares (accuracies)."""

    def __len__(self) -> int:
        return len(self.losses)

    def some(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Rows":
        """Some of the rows."""
        values = {name: value[chosen] for name, value in self.values.items()}
        parts = (values, self.losses[chosen], self.clusters[chosen], self.lines[chosen])
        return Rows(*parts, self.taken, self.notes, self.is_share)


def read_rows(
    table: Table,
    given: Mapping[str, str],
    *,
    cluster: str | None = None,
    target: str = "loss",
    need_loss: bool = True,
) -> Rows:
    """Work out the variables and losses of a table.

    Missing ones of N, D, C follow from C = 6 N D, in floating point. Where the table has steps and a learning rate, the
    sums of the schedule are reckoned for each run.

    Args:
        given: columns that a person named, by role.
        cluster: the column that says which rows are of one run.
        target: the role that is fitted: loss or accuracy.
        need_loss: whether rows without a loss are an error.

    Raises:
        DanluError: no loss, nothing to fit it on, numbers that cannot be, units that do not go together.
    """
    named = dict(given)
    if cluster is not None:
        named["run"] = cluster
    taken = _match(table, named)
    if target not in taken and need_loss:
        raise DanluError(
            f"no column of {table.source} looks like a {target}.",
            f"Name it with --{target}. Its columns are {', '.join(table.names)}.",
        )
    values: dict[str, Array] = {}
    for role, column in taken.items():
        if role in ("run", "schedule", target):
            continue
        known = table.numbers(column.column, role) * column.scale
        if role in _SCALE and not column.given and np.isnan(known).all():
            continue
        values[role] = known
    losses = np.full(len(table), np.nan)
    if target in taken:
        losses = table.numbers(taken[target].column, target)
        if taken[target].log:
            with np.errstate(divide="ignore", invalid="ignore"):
                losses = np.log(losses)
    if need_loss:
        _check_losses(table, losses, taken[target].column, target)
    notes = _complete(table, values, taken, target)
    clusters = _clusters(table, taken)
    if "step" in values and "lr" in values:
        notes += _schedules(values, clusters)
    if target != "loss" and "loss" in taken:
        values["loss"] = table.numbers(taken["loss"].column, "loss")
    return Rows(values, losses, clusters, table.lines, taken, tuple(notes), target != "loss")


def condition_columns(table: Table, given: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """What a condition may name: the table's columns as they are, and N, D, C and the other roles as they are taken.

    A column of that very name, whatever its case, goes before a role. Cells that are no number are nan.

    Args:
        given: columns that a person named, by role.
    """
    found = table.columns()
    known = {name.lower() for name in found}
    roles: dict[str, NDArray[Any]] = {}
    for role, taken in _match(table, given).items():
        column = table.column(taken.column)
        if column.dtype.kind == "f":
            with np.errstate(divide="ignore", invalid="ignore"):
                roles[role] = np.log(column) if taken.log else column * taken.scale
    if "C" not in roles and {"N", "D"} <= roles.keys():
        roles["C"] = 6.0 * roles["N"] * roles["D"]
    for missing, other in (("D", "N"), ("N", "D")):
        if missing not in roles and {"C", other} <= roles.keys():
            roles[missing] = roles["C"] / (6.0 * roles[other])
    return found | {role: column for role, column in roles.items() if role.lower() not in known}


def _match(table: Table, given: Mapping[str, str]) -> dict[str, Taken]:
    return match_columns(table.names, {name: table.is_numeric(name) for name in table.names}, given, table.source)


def _check_losses(table: Table, losses: Array, column: str, target: str) -> None:
    bad = ~np.isfinite(losses) if target != "loss" else ~(np.isfinite(losses) & (losses > 0))
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    count = int(bad.sum())
    shown = table.cells[column][first]
    what = "no value" if shown is None else f"the value {shown}"
    more = f", and {count - 1} more rows likewise" if count > 1 else ""
    raise DanluError(
        f"{table.source}, row {table.lines[first]}: column '{column}', taken as {target}, has {what}{more}.",
        f"A {target} is a finite number above zero. Leave such rows out with --where '{_quoted(column)} > 0'.",
    )


def _quoted(column: str) -> str:
    return column if column.isidentifier() else f"`{column}`"


def _complete(table: Table, values: dict[str, Array], taken: Mapping[str, Taken], target: str) -> list[str]:
    """Check N, D, C, and work out the one that is missing from the others. Returns what was done, in sentences."""
    notes = []
    for role in _SCALE:
        if role in values:
            _check_scale(table, values[role], taken[role])
    if "N" in values and "D" in values:
        _check_units(values, taken)
        if "C" not in values:
            values["C"] = 6.0 * values["N"] * values["D"]
            notes.append("C (training FLOPs) is reckoned as 6 N D.")
    elif "C" in values and ("N" in values or "D" in values):
        known, missing = ("N", "D") if "N" in values else ("D", "N")
        other = values["C"] / (6.0 * values[known])
        ratio = float(np.median(other / values[known] if missing == "D" else values[known] / other))
        if _UNIT_RATIO[0] <= ratio <= _UNIT_RATIO[1]:
            values[missing] = other
            notes.append(f"{missing} is reckoned as C / (6 {known}).")
        else:
            notes.append(
                f"{missing} is not known: C / (6 {known}) would give {ratio:.3g} tokens a parameter, so '"
                f"{taken['C'].column}' is in a unit of its own."
            )
    elif not any(role in values for role in _SCALE) and "step" not in values and target == "loss":
        notes.append(_lone_variable(table, values, taken, target))
    return notes


def _lone_variable(table: Table, values: dict[str, Array], taken: Mapping[str, Taken], target: str) -> str:
    """A table of two columns needs no names: what is not the loss is the scale."""
    used = {column.column for column in taken.values()}
    left = [n for n in table.names if n not in used and table.is_numeric(n)]
    varied = [n for n in left if len(np.unique(table.column(n))) > 2 and (table.column(n) > 0).all()]
    if len(varied) != 1:
        raise DanluError(
            f"no column of {table.source} looks like parameters, tokens or FLOPs.",
            f"Name them with --n, --d or --c. Its columns are {', '.join(table.names)}.",
        )
    values["C"] = table.numbers(varied[0], "C")
    return f"'{varied[0]}', the only other column of numbers, is taken as the scale C."


def _check_scale(table: Table, known: Array, taken: Taken) -> None:
    bad = ~(np.isfinite(known) & (known > 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise DanluError(
            f"{table.source}, row {table.lines[first]}: column '{taken.column}', taken as {taken.role}"
            f" ({taken.meaning}), is {table.cells[taken.column][first] or 'empty'}.",
            f"It must be above zero. Leave such rows out with --where '{_quoted(taken.column)} > 0'.",
        )
    ordered = np.unique(known)
    steps = ordered[1:] / ordered[:-1]
    if taken.role in ("N", "D") and len(steps) and steps.max() >= _GAP:
        place = int(np.argmax(steps))
        raise DanluError(
            f"column '{taken.column}' of {table.source} jumps from {ordered[place]:.6g} to {ordered[place + 1]:.6g}:"
            " its rows seem to be in different units.",
            "Write all of them as plain numbers (125e6, not 125), or leave some out with --where.",
        )
    if taken.role == "N" and np.median(known) < _FEWEST_PARAMETERS:
        raise DanluError(
            f"column '{taken.column}', taken as N (parameters), has the median {np.median(known):.6g}: it seems to be"
            " in thousands, millions or billions.",
            "Write plain numbers (125e6, not 125), or name another column with --n.",
        )


def _check_units(values: Mapping[str, Array], taken: Mapping[str, Taken]) -> None:
    ratio = float(np.median(values["D"] / values["N"]))
    if not _UNIT_RATIO[0] <= ratio <= _UNIT_RATIO[1]:
        raise DanluError(
            f"columns '{taken['N'].column}' (N) and '{taken['D'].column}' (D) give {ratio:.3g} tokens a parameter: one"
            " of them seems to be in another unit, such as millions.",
            "Write both as plain numbers, or name other columns with --n and --d.",
        )


def _clusters(table: Table, taken: Mapping[str, Taken]) -> NDArray[np.int64]:
    """Rows of one run share a number; without a column for it every row is its own."""
    curves = "step" in taken and "lr" in taken  # one schedule is one run only where the rows are points of curves
    names = [taken[role].column for role in (("run", "schedule") if curves else ("run",)) if role in taken]
    if not names:
        return np.arange(len(table))
    keys = [tuple(table.cells[name][row] for name in names) for row in range(len(table))]
    order = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    numbers = np.array([order[key] for key in keys])
    return numbers if ("run" in taken and taken["run"].given) or len(order) > 1 else np.arange(len(table))


def _schedules(values: dict[str, Array], clusters: NDArray[np.int64]) -> list[str]:
    """The sums of the learning rate that the annealing laws use, run by run."""
    parts: dict[str, Array] = {}
    for run in np.unique(clusters):
        rows = np.flatnonzero(clusters == run)
        order = rows[np.argsort(values["step"][rows], kind="stable")]
        steps, rates = values["step"][order], values["lr"][order]
        if len(order) < 3 or len(np.unique(steps)) < len(steps) or not np.isfinite(steps + rates).all():
            return []
        for name, known in schedule_variables(steps, rates).items():
            parts.setdefault(name, np.zeros((len(clusters), *known.shape[1:])))[order] = known
    values |= parts
    return ["S1 and S2, the sums of the learning rate and of its falls, are reckoned run by run."]


def usable(law: Law, rows: Rows) -> bool:
    """Whether the rows have every variable of a law."""
    return all(name in rows.values and np.isfinite(rows.values[name]).all() for name in law.variables)


def require(law: Law, rows: Rows) -> None:
    """Check that the rows have every variable of a law.

    Raises:
        DanluError: one is missing.
    """
    missing: Sequence[str] = [name for name in law.variables if name not in rows.values]
    if missing:
        raise DanluError(
            f"the law {law.name} ({law.formula}) needs {', '.join(missing)}, which the table does not have.",
            f"Name the column with --{missing[0].lower()}, or choose another --law.",
        )
    gaps = [name for name in law.variables if not np.isfinite(rows.values[name]).all()]
    if gaps:
        raise DanluError(
            f"the law {law.name} needs {gaps[0]}, which some rows do not have.",
            f"Leave those rows out with --where '{_quoted(rows.taken[gaps[0]].column)} > 0'.",
        )
