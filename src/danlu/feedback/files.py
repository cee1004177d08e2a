"""Rows out of files and into them: JSON lines, a JSON list, parquet. What they mean is for `formats`."""

import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.common.files import write_atomic, writing

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
                    yield f"{path}, row {number}", {key: value for key, value in row.items() if value is not None}
    except pyarrow.ArrowException as error:
        raise DanluError(f"{path} is damaged: {error}.", _DAMAGED) from error


def _pyarrow(path: Path) -> tuple[Any, Any]:
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
    match path.suffix.lower():
        case ".jsonl":
            write_atomic(path, "".join(_line(row) for row in table))
        case ".parquet":
            pyarrow, parquet = _pyarrow(path)
            sink = io.BytesIO()
            parquet.write_table(pyarrow.Table.from_pylist(list(table)), sink)
            with writing(path):
                write_atomic(path, sink.getvalue())
        case _:
            raise DanluError(f"cannot write {path}.", "Give a name that ends in .jsonl or .parquet.")


def _line(row: Mapping[str, Any]) -> str:
    """A row as a line of JSON; one with broken Unicode is written in escapes, which hold everything."""
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(row)
    return text + "\n"
