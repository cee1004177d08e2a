"""Rows and columns of runs, as people and trackers write them, and the numbers in them."""

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danlu.common.cells import has_unit, is_unclear, read_columns
from danlu.common.errors import DanluError
from danlu.scaling.laws import Array

_NESTED = frozenset({"config", "summary"})
"""Columns in which a tracker's export holds a whole mapping as text."""


@dataclass(frozen=True)
class Table:
    """Rows and columns as they came."""

    source: str
    """Where it came from, for messages."""
    cells: Mapping[str, NDArray[Any]]
    """Each column as text, (rows,), None where empty."""
    parsed: Mapping[str, NDArray[Any]]
    """What each cell says as a number: nan where empty, None where it is text."""
    lines: NDArray[np.int64]
    """Number of each row in the source, from 1 on."""
    notes: tuple[str, ...] = ()
    """What was made of the file that a reader should know."""

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.cells)

    def is_numeric(self, name: str) -> bool:
        """Whether a column is meant to hold numbers: most of its cells do, and not all are empty."""
        known = [index for index, cell in enumerate(self.cells[name]) if cell is not None]
        numbers = sum(self.parsed[name][i] is not None or is_unclear(self.cells[name][i]) for i in known)
        return bool(known) and numbers > len(known) / 2

    def holds_lists(self, name: str) -> bool:
        """Whether a column's cells are lists or mappings, such as whole loss curves: they name nothing."""
        known = [cell for cell in self.cells[name] if cell is not None]
        return bool(known) and all(
            re.fullmatch(r"\s*(?:\[.*\]|\{.*\}|\(.*,.*\))\s*", cell, re.DOTALL) for cell in known
        )

    def column(self, name: str) -> NDArray[Any]:
        """A column for a condition: floats where every cell is a number or empty (nan), text otherwise."""
        numbers = self.parsed[name]
        if all(number is not None for number in numbers):
            return np.array(numbers, dtype=np.float64)
        return np.array(["" if cell is None else cell for cell in self.cells[name]], dtype=object)

    def reading(self, name: str) -> str | None:
        """A sentence about cells of a column that hold more than a plain number, or hold it in another writing."""
        odd = [
            (cell, number)
            for cell, number in zip(self.cells[name], self.parsed[name], strict=True)
            if cell is not None and number is not None and not math.isnan(number) and not _is_plain(cell, number)
        ]
        if not odd:
            return None
        more = f" ({len(odd)} cells in all)" if len(odd) > 1 else ""
        return f"'{name}' holds '{_short(odd[0][0])}', read as {odd[0][1]:.6g}{more}."

    def columns(self) -> dict[str, NDArray[Any]]:
        """All columns, as `column` gives them."""
        return {name: self.column(name) for name in self.names}

    def numbers(self, name: str, role: str) -> Array:
        """A column as numbers, nan where empty, (rows,).

        Raises:
            DanluError: a cell holds text.
        """
        for index, number in enumerate(self.parsed[name]):
            if number is not None:
                continue
            cell = self.cells[name][index]
            where = f"{self.source}, row {self.lines[index]}: column '{name}', taken as {role},"
            if is_unclear(cell):
                either = cell.replace(",", ".")
                raise DanluError(
                    f"{where} holds '{_short(cell)}', which may mean {either} or {cell.replace(',', '')}.",
                    "Write numbers with a point for the fraction and nothing between thousands.",
                )
            raise DanluError(
                f"{where} holds the text '{_short(cell)}'.",
                f"Write a number there, or leave such rows out with --where '{quoted(name)} > 0'.",
            )
        return np.array(self.parsed[name], dtype=np.float64)

    def units(self, name: str) -> NDArray[np.bool_]:
        """Which cells of a column bring a unit of their own, as `125M` does, (rows,)."""
        return np.array([cell is not None and has_unit(cell) for cell in self.cells[name]])

    def rows(self, chosen: NDArray[Any]) -> "Table":
        """Some of the rows: a mask or indices (rows,)."""
        cells, parsed = ({name: all_of[chosen] for name, all_of in each.items()} for each in (self.cells, self.parsed))
        return replace(self, cells=cells, parsed=parsed, lines=self.lines[chosen])

    def without_copies(self) -> tuple["Table", int]:
        """The table with rows that are equal in every column counted once, and how many were left out."""
        seen: set[tuple[Any, ...]] = set()
        kept = []
        for index in range(len(self)):
            key = tuple(cells[index] for cells in self.cells.values())
            if key not in seen:
                seen.add(key)
                kept.append(index)
        return self.rows(np.array(kept, dtype=np.int64)), len(self) - len(kept)


def table_of(
    rows: Iterable[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
    source: str = "the table",
    notes: tuple[str, ...] = (),
) -> Table:
    """A table from rows, or from a mapping of columns to sequences; nested mappings become `outer.inner` columns.

    Raises:
        DanluError: no rows.
    """
    flat = [_flatten(row) for row in (_from_columns(rows) if isinstance(rows, Mapping) else rows)]
    names = dict.fromkeys(name for row in flat for name in row)
    if not flat or not names:
        raise DanluError(f"{source} holds no rows.", "A table has a row of names and at least one row of numbers.")
    cells = {name: [_cell(row.get(name)) for row in flat] for name in names}
    parsed = read_columns(cells)
    return Table(source, _arrays(cells), _arrays(parsed), np.arange(1, len(flat) + 1), notes)


def quoted(column: str) -> str:
    """A column's name as a condition may hold it."""
    return column if column.isidentifier() else f"`{column}`"


def _arrays(columns: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.array([*cells, None], dtype=object)[:-1] for name, cells in columns.items()}


def _is_plain(cell: str, number: float) -> bool:
    try:
        return float(cell) == number
    except ValueError:
        return False


def _from_columns(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise DanluError("the table's columns differ in length.", "Give every column one value a row.")
    return [{name: values[i] for name, values in columns.items()} for i in range(lengths.pop() if lengths else 0)]


def _flatten(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{before}{key}"
        inner = _mapping(value) if not before and str(key).lower() in _NESTED else value
        if isinstance(inner, Mapping):
            result |= _flatten(inner, f"{name}.")
        else:
            result[name] = value
    return result


def _mapping(value: Any) -> Any:
    """A mapping that an export wrote as text, or the value as it is."""
    if not isinstance(value, str) or not value.strip().startswith("{"):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value)
        except (ValueError, SyntaxError, RecursionError):
            continue
    return value


def _cell(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    text = repr(float(value)) if isinstance(value, float | np.floating) else str(value).strip()
    return None if text == "" else text


def _short(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:37]}..."
