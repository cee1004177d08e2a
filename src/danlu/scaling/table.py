"""Tables of runs from anywhere: CSV, JSON lines, Parquet, and what trackers export."""

import ast
import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.scaling.laws import Array

_EMPTY = frozenset({"", "nan", "na", "n/a", "none", "null"})
_NESTED = frozenset({"config", "summary"})
"""Columns in which a tracker's export holds a whole mapping as text."""


@dataclass(frozen=True)
class Table:
    """Rows and columns as they came."""

    source: str
    """Where it came from, for messages."""
    cells: Mapping[str, NDArray[Any]]
    """Each column as text, (rows,), None where empty."""
    lines: NDArray[np.int64]
    """Number of each row in the source, from 1 on."""

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.cells)

    def is_numeric(self, name: str) -> bool:
        """Whether a column is meant to hold numbers: most of its cells do, and not all are empty."""
        known = [cell for cell in self.cells[name] if cell is not None]
        return bool(known) and sum(_number(cell) is not None for cell in known) > len(known) / 2

    def column(self, name: str) -> NDArray[Any]:
        """A column for a condition: floats where every cell is a number or empty (nan), text otherwise."""
        numbers = [_number(cell) for cell in self.cells[name]]
        if all(number is not None for number in numbers):
            return np.array(numbers, dtype=np.float64)
        return np.array(["" if cell is None else cell for cell in self.cells[name]], dtype=object)

    def columns(self) -> dict[str, NDArray[Any]]:
        """All columns, as `column` gives them."""
        return {name: self.column(name) for name in self.names}

    def numbers(self, name: str, role: str) -> Array:
        """A column as numbers, nan where empty, (rows,).

        Raises:
            DanluError: a cell holds text.
        """
        result = np.full(len(self), math.nan)
        for index, cell in enumerate(self.cells[name]):
            if cell is None:
                continue
            number = _number(cell)
            if number is None:
                raise DanluError(
                    f"{self.source}, row {self.lines[index]}: column '{name}', taken as {role}, holds the text"
                    f" '{_short(cell)}'.",
                    "Write plain numbers there, without units, or leave such rows out with --where.",
                )
            result[index] = number
        return result

    def rows(self, chosen: NDArray[Any]) -> "Table":
        """Some of the rows: a mask or indices (rows,)."""
        return replace(
            self, cells={name: cells[chosen] for name, cells in self.cells.items()}, lines=self.lines[chosen]
        )

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


def read_table(path: Path) -> Table:
    """Read a table by its suffix: .csv, .tsv, .jsonl (or .ndjson), .json (a list of rows), .parquet.

    Raises:
        DanluError: missing, unreadable, or empty.
    """
    if path.is_dir():
        raise DanluError(f"{path} is a folder.", "Give a table: a CSV, JSON lines or Parquet file.")
    readers = {
        ".csv": lambda: _read_csv(path, ","),
        ".tsv": lambda: _read_csv(path, "\t"),
        ".txt": lambda: _read_csv(path, ","),
        ".jsonl": lambda: _read_json_lines(path),
        ".ndjson": lambda: _read_json_lines(path),
        ".json": lambda: _read_json(path),
        ".parquet": lambda: _read_parquet(path),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DanluError(
            f"{path} is of a kind that danlu cannot read as a table.", f"Give one of {', '.join(readers)}."
        )
    try:
        rows = reader()
    except FileNotFoundError as error:
        raise DanluError(f"there is no table at {path}.", "Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DanluError(f"cannot read {path}: {error}.", "Check the file.") from error
    return table_of(rows, str(path))


def table_of(rows: Iterable[Mapping[str, Any]] | Mapping[str, Sequence[Any]], source: str = "the table") -> Table:
    """A table from rows, or from a mapping of columns to sequences; nested mappings become `outer.inner` columns.

    Raises:
        DanluError: no rows.
    """
    flat = [_flatten(row) for row in (_from_columns(rows) if isinstance(rows, Mapping) else rows)]
    names = dict.fromkeys(name for row in flat for name in row)
    if not flat or not names:
        raise DanluError(f"{source} holds no rows.", "A table has a row of names and at least one row of numbers.")
    cells = {name: np.array([_cell(row.get(name)) for row in flat] + [None], dtype=object)[:-1] for name in names}
    return Table(source, cells, np.arange(1, len(flat) + 1))


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


def _number(cell: str | None) -> float | None:
    """The number in a cell; nan where it says that there is none; None where it is text."""
    if cell is None:
        return math.nan
    if cell.lower() in _EMPTY:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None


def _short(cell: str) -> str:
    return cell if len(cell) <= 40 else f"{cell[:37]}..."


def _read_csv(path: Path, delimiter: str) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            rows = [row for row in reader if any(cell.strip() for cell in row)]
        except csv.Error as error:
            raise DanluError(f"{path}, line {reader.line_num} is not CSV: {error}.", "Correct the line.") from error
    if not rows:
        return []
    header = [name.strip() or f"column_{index + 1}" for index, name in enumerate(rows[0])]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DanluError(f"{path} has two columns of the name '{doubled[0]}'.", "Rename one of them.")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise DanluError(
                f"{path}, row {number} has {len(row)} cells, but the table has {len(header)} columns.",
                "Quote cells that hold a comma, or correct the row.",
            )
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def _read_json_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DanluError(f"{path}, line {number} is not JSON: {error}.", "Correct or remove that line.") from error
        if not isinstance(row, dict):
            raise DanluError(f"{path}, line {number} is not an object with names.", "Write one JSON object a line.")
        rows.append(row)
    return rows


def _read_json(path: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DanluError(f"{path} is not JSON: {error}.", "Correct it, or give another form.") from error
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DanluError(
            f"{path} is not a list of rows.", "Write a list of JSON objects, or one object a line (.jsonl)."
        )
    return data


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        raise DanluError(
            "Parquet needs the package pyarrow.", "pip install 'danlu[hub]', or give a CSV file."
        ) from error
    import pyarrow

    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise DanluError(f"{path} is not a Parquet file: {error}.", "Check the file.") from error
    return rows
