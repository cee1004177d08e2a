"""From a table to what a law is fitted to: variables in one unit, losses, and which rows belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.scaling.columns import Taken, match_columns
from danlu.scaling.laws import Array, Law, schedule_variables
from danlu.scaling.table import Table, quoted

_SCALE = ("N", "D", "C", "U")
_UNIT_RATIO = (1e-3, 1e6)
"""Tokens a parameter between which any training run lies."""
_COMPUTE_RATIO = (1e-2, 1e2)
"""C over 6 N D where all three go together: experts that rest make it less, attention and repeated passes more."""
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
    unused: tuple[str, ...] = ()
    """Columns of numbers that were taken for nothing."""

    def __len__(self) -> int:
        return len(self.losses)

    def some(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Rows":
        """Some of the rows."""
        values = {name: value[chosen] for name, value in self.values.items()}
        parts = (values, self.losses[chosen], self.clusters[chosen], self.lines[chosen])
        return Rows(*parts, self.taken, self.notes, self.is_share, self.unused)


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
    notes = list(table.notes)
    for role, column in taken.items():
        if role in ("run", "schedule"):
            continue
        if role == target:
            losses = _reading(table, column)
        else:
            known = _reading(table, column)
            if role in _SCALE and not column.given and np.isnan(known).all():
                continue
            values[role] = known
        if role in ("N", "D", "C", "U", "ratio", target) and (read := table.reading(column.column)):
            notes.append(read)
    if target not in taken:
        losses = np.full(len(table), np.nan)
    if target == "accuracy" and np.nanmax(losses, initial=0.0) > 1:
        losses = losses / 100
        notes.append(f"'{taken[target].column}' is taken as percent.")
    if need_loss:
        _check_losses(table, losses, taken[target].column, target)
    for role in _SCALE:
        if role in values:
            _check_scale(table, values[role], taken[role])
    notes += _complete(values, taken)
    if "D" in values and "N" in values:
        _check_units(values, taken)
    if not any(role in values for role in _SCALE) and "step" not in values and target == "loss":
        notes.append(_lone_variable(table, values, taken))
    clusters = _clusters(table, taken)
    if "step" in values and "lr" in values:
        notes += _schedules(values, clusters)
    used = {column.column for column in taken.values()}
    unused = tuple(name for name in table.names if name not in used and _tells(table, name))
    return Rows(values, losses, clusters, table.lines, taken, tuple(notes), target != "loss", unused)


def condition_columns(table: Table, given: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """What a condition may name: the table's columns as they are, and N, D, C and the other roles as they are taken.

    A column of that very name, whatever its case, goes before a role. Cells that are no number are nan.

    Args:
        given: columns that a person named, by role.
    """
    found = table.columns()
    known = {name.lower() for name in found}
    taken = _match(table, given)
    roles: dict[str, Array] = {}
    for role, column in taken.items():
        if table.column(column.column).dtype.kind == "f":
            roles[role] = _reading(table, column)
    _complete(roles, taken)
    return found | {role: column for role, column in roles.items() if role.lower() not in known}


def _reading(table: Table, taken: Taken) -> Array:
    """The numbers of a column that was taken for a role, in the role's unit.

    Raises:
        DanluError: a cell holds text; some cells have a unit of their own and the column's name has one too.
    """
    numbers, scale = table.numbers(taken.column, taken.role), taken.scale
    if scale != 1 and (own := table.units(taken.column)).any():
        if not own[np.isfinite(numbers)].all():
            raise DanluError(
                f"column '{taken.column}' of {table.source} names a unit, and some of its cells have one of their own.",
                "Write all of them as plain numbers.",
            )
        scale = 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(numbers) if taken.log else numbers * scale


def _tells(table: Table, name: str) -> bool:
    """Whether a column holds numbers that differ."""
    return table.is_numeric(name) and len({number for number in table.parsed[name] if number is not None}) > 1


def _match(table: Table, given: Mapping[str, str]) -> dict[str, Taken]:
    lists = frozenset(name for name in table.names if table.holds_lists(name))
    numeric = {name: table.is_numeric(name) for name in table.names}
    return match_columns(table.names, numeric, given, table.source, lists)


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
        f"A {target} is a finite number above zero. Leave such rows out with --where '{quoted(column)} > 0'.",
    )


def _complete(values: dict[str, Array], taken: dict[str, Taken]) -> list[str]:
    """Work out which of N, D and C is missing from the others. Returns what was done, in sentences.

    Raises:
        DanluError: the three do not go together.
    """
    notes = []
    if "N" in values and "D" not in values and (tokens := _tokens(values, taken)):
        values["D"], said = tokens
        notes.append(said)
    elif "ratio" in values:
        del values["ratio"], taken["ratio"]  # said already by N and D
    if {"N", "D", "C"} <= values.keys():
        notes += _compare(values, taken)
    if {"N", "D"} <= values.keys():
        if "C" not in values:
            values["C"] = 6.0 * values["N"] * values["D"]
            notes.append("C (training FLOPs) is reckoned as 6 N D.")
    elif "C" in values and ("N" in values or "D" in values):
        known, missing = ("N", "D") if "N" in values else ("D", "N")
        other = values["C"] / (6.0 * values[known])
        ratio = _middle(other / values[known] if missing == "D" else values[known] / other)
        if _UNIT_RATIO[0] <= ratio <= _UNIT_RATIO[1]:
            values[missing] = other
            notes.append(f"{missing} is reckoned as C / (6 {known}).")
        else:
            notes.append(
                f"{missing} is not known: C / (6 {known}) would give {ratio:.3g} tokens a parameter, so '"
                f"{taken['C'].column}' is in a unit of its own."
            )
    return notes


def _tokens(values: Mapping[str, Array], taken: Mapping[str, Taken]) -> tuple[Array, str] | None:
    """Training tokens from what else a table says of them, and how; None where it does not."""
    if "ratio" in values:
        return values["N"] * values["ratio"], f"D (training tokens) is '{taken['ratio'].column}' times N."
    if "step" not in values or "batch" not in values:
        return None
    step, batch = taken["step"].column, taken["batch"].column
    tokens, said = values["step"] * values["batch"], f"'{step}' times '{batch}'"
    if "token" not in batch.lower():
        if "context" not in values:
            return None
        tokens, said = tokens * values["context"], f"{said} times '{taken['context'].column}'"
    if not _UNIT_RATIO[0] <= _middle(tokens / values["N"]) <= _UNIT_RATIO[1]:
        return None
    return tokens, f"D (training tokens) is reckoned as {said}."


def _compare(values: dict[str, Array], taken: dict[str, Taken]) -> list[str]:
    """Whether C is about 6 N D; one that a name only seemed to mean is dropped where it is far less."""
    ratio = _middle(values["C"] / (6.0 * values["N"] * values["D"]))
    if _COMPUTE_RATIO[0] <= ratio <= _COMPUTE_RATIO[1]:
        return []
    column = taken["C"].column
    if ratio < 1 and not taken["C"].given:
        del values["C"], taken["C"]
        return [
            f"'{column}' was not taken as C: it is {ratio:.2g} times 6 N D, so it is a rate or in a unit of its own."
        ]
    names = ", ".join(f"'{taken[role].column}' ({role})" for role in "NDC" if role in taken)
    raise DanluError(
        f"columns {names} do not go together: C is {ratio:.3g} times 6 N D.",
        "One of them counts something else (sequences, FLOPs a second) or has another unit: write plain numbers of"
        " parameters, tokens and FLOPs, or name other columns with --n, --d and --c.",
    )


def _middle(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 1.0


def _lone_variable(table: Table, values: dict[str, Array], taken: Mapping[str, Taken]) -> str:
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
            f"It must be above zero. Leave such rows out with --where '{quoted(taken.column)} > 0'.",
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
        names = " and ".join(f"'{taken[role].column}' ({role})" for role in "ND" if role in taken)
        raise DanluError(
            f"columns {names} give {ratio:.3g} tokens a parameter: one"
            " of them seems to be in another unit, such as millions, or a logarithm.",
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
            f"Leave those rows out with --where '{quoted(rows.taken[gaps[0]].column)} > 0'.",
        )
