"""Rows out of files and into them: JSON lines, a JSON list, parquet. What they mean is for `formats`."""

import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.common.files import write_atomic

READABLE = "jsonl, json and parquet (the first two also with .gz)"
_DAMAGED = "Correct it, or fetch the file again."


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row of a file with its place (file and line).

    Raises:
        DanluError: the file is missing, of no known kind or damaged, or a row is no object.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    try:
        match kind:
            case ".jsonl":
                yield from _json_lines(path)
            case ".json":
                yield from _json_list(path)
            case ".parquet":
                yield from _parquet(path)
            case _:
                raise DanluError(f"{path} is no file of feedback.", f"Feedback is read from {READABLE}.")
    except FileNotFoundError as error:
        raise DanluError(f"there is no file {path}.", "Check the path.") from error
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise DanluError(f"{path} is damaged: {error}.", _DAMAGED) from error
    except OSError as error:
        raise DanluError(
            f"cannot read {path}: {error.strerror or error}.", "Check that it is a file and that you may read it."
        ) from error


def is_store(path: Path) -> bool:
    """Whether a file is an annotation page's store (an SQLite database)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _text(path: Path) -> io.TextIOBase:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with _text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise DanluError(f"{where} is no JSON: {error.msg}.", _DAMAGED) from error
            yield where, _object(value, where)


def _json_list(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with _text(path) as file:
        try:
            values = json.load(file)
        except json.JSONDecodeError as error:
            raise DanluError(f"{path}, line {error.lineno} is no JSON: {error.msg}.", _DAMAGED) from error
    if not isinstance(values, list):
        raise DanluError(f"{path} is no list of rows.", "Write one JSON object a line, in a file that ends in .jsonl.")
    for number, value in enumerate(values, 1):
        where = f"{path}, row {number}"
        yield where, _object(value, where)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DanluError(f"{where} is no JSON object.", "Write each row as an object with keys and values.")
    return value


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    pyarrow, parquet = _pyarrow(path)
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    number += 1
                    # A column that some rows lack holds nothing there: as in JSON, where the key is missing.
                    known = {key: value for key, value in row.items() if value is not None}
                    if isinstance(known.get(_FREE), str):
                        known[_FREE] = json.loads(known[_FREE])
                    yield f"{path}, row {number}", known
    except pyarrow.ArrowException as error:
        raise DanluError(f"{path} is damaged: {error}.", _DAMAGED) from error


def _pyarrow(path: Path | str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DanluError(
            f"{path}: parquet needs the package pyarrow, which is not installed.",
            'Install it with: pip install "danlu[hub]"',
        ) from error
    return pyarrow, pyarrow.parquet


def write_rows(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines or parquet, by the file's name; the same rows make the same file.

    Raises:
        DanluError: the name promises another kind of file, or the place cannot be written.
    """
    write_atomic(path, encode_rows(str(path), table))


def encode_rows(name: str, table: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as the bytes of a file of that name, JSON lines or parquet.

    Raises:
        DanluError: the name promises another kind of file, or parquet cannot hold them.
    """
    match Path(name).suffix.lower():
        case ".jsonl":
            return "".join(_line(row) for row in table).encode()
        case ".parquet":
            return _encode_parquet(name, table)
        case _:
            raise DanluError(f"cannot write {name}.", "Give a name that ends in .jsonl or .parquet.")


def packages_for(name: str) -> dict[str, str]:
    """The versions of what made the bytes of a file of that name, beside danlu."""
    return {"pyarrow": _pyarrow(name)[0].__version__} if name.lower().endswith(".parquet") else {}


def _encode_parquet(name: str, table: Sequence[Mapping[str, Any]]) -> bytes:
    pyarrow, parquet = _pyarrow(name)
    # All columns, for pyarrow takes those of the first row alone.
    columns = {
        key: [_cell(key, row.get(key)) for row in table] for key in dict.fromkeys(key for row in table for key in row)
    }
    sink = io.BytesIO()
    try:
        parquet.write_table(pyarrow.table(columns), sink)
    except (pyarrow.ArrowException, UnicodeEncodeError) as error:
        raise DanluError(
            f"parquet cannot hold {name}: {error}.", "Write it as .jsonl, which holds everything."
        ) from error
    return sink.getvalue()


_FREE = "labels"
"""The one field that may hold any JSON, other things in each row: a column of text in parquet."""


def _cell(key: str, value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if key == _FREE and value is not None else value


def _line(row: Mapping[str, Any]) -> str:
    """A row as a line of JSON; one with broken Unicode is written in escapes, which hold everything."""
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(row)
    return text + "\n"
