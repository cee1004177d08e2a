"""What passes from the readers to the corpus: raw texts, faults, and entries that are ready to be written."""

import hashlib
import json
import unicodedata
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Literal, NamedTuple, TypeAlias

from danlu.corpus.document import Document

Reason: TypeAlias = Literal[
    "encoding", "unreadable_record", "no_text_field", "empty", "too_short", "too_long", "duplicate"
]
"""Why a record did not become a document of the corpus."""

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Fault(NamedTuple):
    """A record that could not be read."""

    source: str
    """Name of the source it belongs to."""
    reason: Reason
    """Why."""
    where: str
    """File and line, for the user."""


class Entry(NamedTuple):
    """A clean document as it will be written, with what the corpus needs to sort and count it."""

    line: bytes
    """The document as a line of JSON."""
    key: int
    """The first 64 bits of the SHA-256 of its text: the same text has the same key wherever it comes from."""
    num_bytes: int
    """Length of the text (UTF-8 bytes)."""
    source: str
    """Name of its source."""
    logprob: float | None
    """Logarithm of the probability of the choices that made it (nats), where known."""

    def document(self) -> Document:
        """The document itself."""
        return Document(**json.loads(self.line))


Block: TypeAlias = list[Entry | Fault]
Blocks: TypeAlias = Generator[Block]


def normalise(text: str) -> str:
    """The form of a text that is kept and hashed: NFC, lines ended by a newline alone, no byte-order mark, no blank
    lines before it and no white space after it.

    Raises:
        UnicodeEncodeError: the text holds half a character (a lone surrogate), which no encoding can write.
    """
    if not text.isascii():
        text.encode()
        text = unicodedata.normalize("NFC", text.removeprefix("\ufeff"))
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.rstrip().lstrip("\n")


def prepare(document: Document, where: str, min_characters: int, max_characters: int) -> Entry | Fault:
    """Clean, check and hash a document, and write it as a line of JSON.

    Args:
        where: file and line, told to the user where the document is refused.
    """
    source = document.source
    try:
        text = normalise(document.text)
    except UnicodeEncodeError:
        return Fault(source, "encoding", where)
    if not text:
        return Fault(source, "empty", where)
    if len(text) < min_characters:
        return Fault(source, "too_short", where)
    if len(text) > max_characters:
        return Fault(source, "too_long", where)
    data = text.encode()
    record: dict[str, object] = {"text": text, "source": source}
    if document.labels:
        record["labels"] = document.labels
    if document.logprob is not None:
        record["logprob"] = document.logprob
    return Entry(
        line=_to_json(record).encode() + b"\n",
        key=int.from_bytes(hashlib.sha256(data).digest()[:8], "big"),
        num_bytes=len(data),
        source=source,
        logprob=document.logprob,
    )


def in_blocks(entries: Iterable[Entry | Fault], count: int, max_bytes: int) -> Blocks:
    """Group entries into blocks of at most `count` entries and about `max_bytes` of text."""
    block: Block = []
    size = 0
    for entry in entries:
        block.append(entry)
        size += entry.num_bytes if isinstance(entry, Entry) else 0
        if len(block) == count or size >= max_bytes:
            yield block
            block, size = [], 0
    if block:
        yield block


def up_to(blocks: Blocks, max_bytes: float) -> Blocks:
    """The same blocks until they hold `max_bytes` of text or just more; the source is closed then."""
    with closing(blocks):
        for block in blocks:
            for position, entry in enumerate(block, start=1):
                max_bytes -= entry.num_bytes if isinstance(entry, Entry) else 0
                if max_bytes <= 0:
                    yield block[:position]
                    return
            yield block
