"""Texts out of files: plain text in pieces, jsonl by line, parquet by row. Everything streams."""

import functools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from danlu.common.errors import DanluError
from danlu.corpus.encodings import Encoding, as_utf8
from danlu.corpus.records import Fault
from danlu.corpus.streams import open_bytes, reading

Format: TypeAlias = Literal["text", "jsonl", "parquet"]

_SUFFIXES: dict[str, Format] = {".txt": "text", ".md": "text", ".jsonl": "jsonl", ".parquet": "parquet"}
READABLE = "txt, md, jsonl (each also with .gz or .zst) and parquet"
"""The kinds of file that can be read, for messages."""

_DAMAGED = "Fetch or make the file again, or leave it out of data."
_BORDERS = ((b"\n\n", b"\r\n\r\n"), (b"\n",), (b". ", "。".encode()), (b" ",))
_CHUNK = 1024 * 1024  # bytes read at once from a plain text


def format_of(path: Path) -> Format | None:
    """The format that a file's name promises, or None where it promises none that can be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = bool(suffixes) and suffixes[-1] in (".gz", ".zst")
    if packed:
        suffixes.pop()
    found = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    return None if packed and found == "parquet" else found


def read_file(
    path: Path,
    form: Format,
    source: str,
    text_field: str,
    piece_bytes: int,
    note: Callable[[Path, Encoding], None] = lambda path, encoding: None,
) -> Iterator[tuple[str, str] | Fault]:
    """Each text of a file with its place (file and line), or the fault that stands there instead.

    Args:
        note: is told of each file of text that is not in UTF-8, and what it is in.

    Raises:
        DanluError: the file is missing, unreadable or damaged; its records lack the text field.
    """
    with reading(path, _DAMAGED):
        match form:
            case "text" | "jsonl":
                with open_bytes(path) as packed:
                    stream, encoding = as_utf8(packed)
                    if encoding != "utf-8":
                        note(path, encoding)
                    if form == "text":
                        yield from _read_text(stream, path, source, piece_bytes, encoding)
                    else:
                        yield from _read_jsonl(stream, path, source, text_field, encoding)
            case "parquet":
                yield from _read_parquet(path, source, text_field)


def _read_text(
    stream: BinaryIO, path: Path, source: str, piece_bytes: int, encoding: Encoding
) -> Iterator[tuple[str, str] | Fault]:
    for offset, piece in cut(stream, piece_bytes):
        where = f"{path}, byte {offset}"
        text = _decoded(piece, encoding)
        yield (text, where) if text is not None and "\x00" not in text else Fault(source, "encoding", where)


def _decoded(data: bytes, encoding: Encoding) -> str | None:
    """A text, None where it is none; what was read from another encoding has U+FFFD where it is none."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if encoding != "utf-8" and "\ufffd" in text else text


def cut(stream: BinaryIO, piece_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Cut a stream of UTF-8 text into pieces of at most `piece_bytes` bytes, each with its offset.

    A piece ends where the best border lies in its second half: a blank line, else a line's end, else a sentence's end,
    else a space, else any character. Concatenated, the pieces are the stream.
    """
    buffer, start, offset = b"", 0, 0
    while chunk := stream.read(_CHUNK):
        buffer, start = buffer[start:] + chunk, 0
        while len(buffer) - start > piece_bytes:
            stop = _border(buffer, start, piece_bytes)
            yield offset, buffer[start:stop]
            offset += stop - start
            start = stop
    if start < len(buffer):
        yield offset, buffer[start:]


def _border(buffer: bytes, start: int, piece_bytes: int) -> int:
    half, limit = start + piece_bytes // 2, start + piece_bytes
    for separators in _BORDERS:
        ends = [at + len(mark) for mark in separators if (at := buffer.rfind(mark, half, limit)) >= 0]
        if ends:
            return max(ends)
    for stop in range(limit, limit - 4, -1):
        if buffer[stop] & 0xC0 != 0x80:  # not a byte 10xxxxxx, which continues a character
            return stop
    return limit  # not UTF-8, so the piece will be refused


def _read_jsonl(
    stream: BinaryIO, path: Path, source: str, text_field: str, encoding: Encoding
) -> Iterator[tuple[str, str] | Fault]:
    found_text = False
    for number, line in enumerate(stream, start=1):
        if line.isspace():
            continue
        where = f"{path}, line {number}"
        decoded = _decoded(line, encoding)
        if decoded is None:
            yield Fault(source, "encoding", where)
            continue
        try:
            record = json.loads(decoded.removeprefix("\ufeff"))
        except (json.JSONDecodeError, RecursionError):
            record = None
        if not isinstance(record, dict):
            yield Fault(source, "unreadable_record", where)
            continue
        if not found_text:
            field_of(record, text_field, where)
        found_text = True
        yield text_of(record, text_field, source, where)


def text_of(record: Mapping[str, Any], text_field: str, source: str, where: str) -> tuple[str, str] | Fault:
    """The text of a record with its place, or the fault that the record has none."""
    field = _first_of(text_field, record)
    if field is None:
        return Fault(source, "no_text_field", where)
    text = record[field]
    return (text, where) if isinstance(text, str) else Fault(source, "unreadable_record", where)


def field_of(fields: Collection[str], text_field: str, where: str) -> str:
    """The first of the text fields (one name, or several with commas between them) that is among these.

    Raises:
        DanluError: none is.
    """
    field = _first_of(text_field, fields)
    if field is None:
        wanted = " or ".join(f"'{name}'" for name in _names(text_field))
        raise DanluError(
            f"{where}: there is no field {wanted}; fields: {', '.join(fields) or 'none'}.",
            "Set text_field (danlu run: --corpus.text-field) to the one to read; where files differ, to several with"
            " commas between them: text,content.",
        )
    return field


def _first_of(text_field: str, fields: Collection[str]) -> str | None:
    return next((name for name in (text_field, *_names(text_field)) if name in fields), None)  # a name may have commas


@functools.cache
def _names(text_field: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text_field.split(","))


def _read_parquet(path: Path, source: str, text_field: str) -> Iterator[tuple[str, str] | Fault]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DanluError(
            f"{path}: reading parquet needs the package pyarrow, which is not installed.",
            'Install it with: pip install "danlu[hub]"',
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            field = field_of(file.schema_arrow.names, text_field, str(path))
            number = 0
            for batch in file.iter_batches(batch_size=256, columns=[field]):
                for text in batch.column(0).to_pylist():
                    number += 1
                    yield text_of({field: text}, field, source, f"{path}, row {number}")
    except pyarrow.ArrowException as error:
        raise DanluError(f"{path} is damaged: {error}.", _DAMAGED) from error
