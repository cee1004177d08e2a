"""Tables in files: CSV in whatever writing and encoding, JSON, JSON lines, Parquet, and what trackers export."""

import csv
import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError

_DELIMITERS = (",", ";", "\t", "|")
_FEWEST_ROWS = 5
"""Rows from which on the digits of a column say how its numbers are printed."""
_SHORTER = 3
"""Fewer digits than in any other row by which a last number seems cut off, where the others differ."""

_CHINESE = re.compile("参数|损失|训练|计算|词元|数据|模型|芯片|集群|精度|备注|实验")
"""What Chinese tables of runs say somewhere: bytes that spell one of these are Chinese and not Windows' Latin."""
LEFT_OVER = "(more)"
"""Where a row keeps cells for which the header has no column, if such rows are not refused."""

Records = list[dict[str, Any]] | dict[str, list[Any]]


@dataclass
class Sheet:
    """What a file holds."""

    path: Path
    lenient: bool = False
    """Whether rows of another length than the header, and an end that looks cut off, are left to the reader."""
    records: Records = field(default_factory=list)
    """Rows, or columns of one length."""
    notes: list[str] = field(default_factory=list)
    """What was made of the file that a person should know."""
    delimiter: str = ","
    """What parts a line's cells, in a file of lines."""


def read_sheet(path: Path, *, lenient: bool = False) -> Sheet:
    """Read a table by its suffix: .csv, .tsv, .txt, .jsonl (or .ndjson), .json, each also .gz, and .parquet.

    Args:
        lenient: keep rows of another length than the header (the rest of a long one under `LEFT_OVER`).

    Raises:
        DanluError: missing, unreadable, or cut off.
    """
    if path.is_dir():
        raise DanluError(f"{path} is a folder.", "Give a table: a CSV, JSON lines or Parquet file.")
    readers: dict[str, Callable[[Sheet], Records]] = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".txt": _read_csv,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".json": _read_json,
        ".parquet": _read_parquet,
    }
    suffix = path.suffixes[-2] if path.suffix.lower() == ".gz" and len(path.suffixes) > 1 else path.suffix
    reader = readers.get(suffix.lower())
    if reader is None:
        more = (
            " A spreadsheet can save itself as CSV." if suffix.lower() in (".xlsx", ".xls", ".ods", ".numbers") else ""
        )
        raise DanluError(
            f"{path} is of a kind that danlu cannot read as a table.", f"Give one of {', '.join(readers)}.{more}"
        )
    sheet = Sheet(path, lenient)
    try:
        sheet.records = reader(sheet)
    except FileNotFoundError as error:
        raise DanluError(f"there is no table at {path}.", "Check the path.") from error
    except (OSError, EOFError) as error:
        raise DanluError(f"cannot read {path}: {error}.", "Check the file.") from error
    return sheet


def _read_text(sheet: Sheet) -> str:
    """A file's text, in UTF-8, UTF-16 (as Excel's "Unicode text"), GB 18030 or Windows' Latin."""
    path, notes = sheet.path, sheet.notes
    data = path.read_bytes()
    if path.suffix.lower() == ".gz":
        data = gzip.decompress(data)
    if data.startswith(b"PK\x03\x04"):
        raise DanluError(f"{path} is a ZIP archive or a spreadsheet, not text.", "Save the sheet as CSV.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\x00" in data[:200]:
        return data.decode("utf-16-be" if data[:1] == b"\x00" else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    for encoding, name in (("gb18030", "GB 18030"), ("cp1252", "Windows-1252")):
        text = data.decode(encoding, errors="replace")
        if encoding != "gb18030" or ("\ufffd" not in text and _CHINESE.search(text)):
            notes.append(f"The file is not in UTF-8; it is read as {name}.")
            return text
    raise AssertionError


def _read_csv(sheet: Sheet) -> Records:
    path, text = sheet.path, _read_text(sheet)
    lines = [line for line in re.split(r"\r\n?|\n", text) if line.strip()]
    while lines and (lines[0].startswith("#") or re.fullmatch(r"sep=.", lines[0].strip().lower())):
        lines.pop(0)  # a comment, or Excel's word about the delimiter
    if not lines:
        return {}
    delimiter, rows = _split(sheet, lines)
    sheet.delimiter = delimiter
    if delimiter not in (",", "\t"):
        sheet.notes.append(f"Its columns are parted by {_delimiter_name(delimiter)}s.")
    header = [name.strip() or f"column_{index + 1}" for index, name in enumerate(rows[0])]
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise DanluError(f"{path} has two columns of the name '{doubled[0]}'.", "Rename one of them.")
    if sheet.lenient:
        return [_uneven(header, row) for row in rows[1:]]
    ended = text.endswith(("\n", "\r"))
    for number, row in enumerate(rows[1:], start=1):
        if len(row) == len(header):
            continue
        if number == len(rows) - 1 and len(row) < len(header) and not ended:
            raise DanluError(
                f"{path} seems to be cut off: its last row has {len(row)} of {len(header)} cells and no line break.",
                "Get the whole file, or remove the last row.",
            )
        raise DanluError(
            f"{path}, row {number} has {len(row)} cells, but the table has {len(header)} columns.",
            f"Quote cells that hold a {_delimiter_name(delimiter)}, or correct the row.",
        )
    if not ended and len(rows) > _FEWEST_ROWS:
        _check_end(path, [row[-1].strip() for row in rows[1:]], lines[-1])
    _check_chart(path, header)
    return {name: [row[index] for row in rows[1:]] for index, name in enumerate(header)}


def _uneven(header: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    """A row by its columns' names, of whatever length."""
    found: dict[str, Any] = dict(zip(header, row, strict=False))
    if len(row) > len(header):
        found[LEFT_OVER] = ",".join(row[len(header) :])
    return found


def _split(sheet: Sheet, lines: Sequence[str]) -> tuple[str, list[list[str]]]:
    """The delimiter that parts the header into most names, and the rows."""

    def header(delimiter: str) -> int:
        return len(next(csv.reader(lines[:1], delimiter=delimiter)))

    try:
        delimiter = max(_DELIMITERS, key=header)
        if header(delimiter) == 1:
            words = [line.split() for line in lines]
            if len(words[0]) > 1 and len({len(row) for row in words}) == 1:
                return " ", words
        if delimiter == "|":
            lines = [line.strip().strip("|") for line in lines if not re.fullmatch(r"[|\s:+-]+", line)]
        reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
        return delimiter, [row for row in reader if sheet.lenient or any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DanluError(f"{sheet.path} is not CSV: {error}.", "Correct the file.") from error


def _delimiter_name(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}[delimiter]


def _check_end(path: Path, column: Sequence[str], line: str) -> None:
    """Whether the file's last number is cut off: no line break, and fewer digits than the column's others."""
    digits = [len(found[1]) for cell in column if (found := re.fullmatch(r"-?\d+[.,](\d+)", cell))]
    fixed = len(set(digits[:-1])) == 1
    last = column[-1]
    short = len(digits) == len(column) and digits[-1] <= min(digits[:-1]) - (1 if fixed else _SHORTER)
    bare = len(digits) == len(column) - 1 and re.fullmatch(r"-?\d*[.,]?", last)
    if short or bare or line.count('"') % 2:
        raise DanluError(
            f"{path} seems to be cut off: it ends in '{last}' without a line break, and other rows have more digits.",
            "Get the whole file, or remove the last row; if the number is whole, end it with a line break.",
        )


def _check_chart(path: Path, header: Sequence[str]) -> None:
    """A chart that wandb exported has a column for each run, and no sizes."""
    runs = [name for name in header if f"{name}__MIN" in header and " - " in name]
    if len(runs) > 1:
        raise DanluError(
            f"{path} is a chart's export: a column for each of {len(runs)} runs ('{runs[0]}', ...), and nothing says"
            " their parameters and tokens.",
            "Export the table of runs (in wandb: Runs, Export, CSV), or write one row a run: params, tokens, loss.",
        )


def _read_json_lines(sheet: Sheet) -> Records:
    rows = []
    path, text = sheet.path, _read_text(sheet)
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines) and not text.endswith("\n"):
                raise DanluError(
                    f"{path} seems to be cut off: its last line is no whole JSON object.", "Remove that line."
                ) from error
            raise DanluError(f"{path}, line {number} is not JSON: {error}.", "Correct or remove that line.") from error
        if not isinstance(row, dict):
            raise DanluError(f"{path}, line {number} is not an object with names.", "Write one JSON object a line.")
        rows.append(row)
    return rows


def _read_json(sheet: Sheet) -> Records:
    """A list of rows, or columns as pandas and wandb write them."""
    path = sheet.path
    try:
        data: Any = json.loads(_read_text(sheet))
    except json.JSONDecodeError as error:
        raise DanluError(f"{path} is not JSON: {error}.", "Correct it, or give another form.") from error
    if isinstance(data, dict) and isinstance(data.get("columns"), list) and isinstance(data.get("data"), list):
        return [dict(zip(data["columns"], row, strict=False)) for row in data["data"]]
    if isinstance(data, dict) and data and all(isinstance(column, list) for column in data.values()):
        return dict(data)
    if isinstance(data, dict) and data and all(isinstance(column, Mapping) for column in data.values()):
        index = dict.fromkeys(key for column in data.values() for key in column)
        return [{name: column.get(key) for name, column in data.items()} for key in index]
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DanluError(
            f"{path} is not a list of rows.", "Write a list of JSON objects, or one object a line (.jsonl)."
        )
    return list(data)


def _read_parquet(sheet: Sheet) -> Records:
    path = sheet.path
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
