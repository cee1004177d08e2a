import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.corpus.document import Document
from danlu.corpus.records import Block, Blocks, Entry, Fault, in_blocks, normalise, prepare, up_to


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_normal_text_stays_as_it_is(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert "\r" not in once


def test_line_ends_marks_and_outer_blanks_are_made_uniform() -> None:
    assert normalise("\ufeff\r\n  café\r\nb\rc \n\n") == "  café\nb\nc"
    assert normalise("cafe\u0301") == "café"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("half \ud800 a character", "encoding"),
        (" \r\n\t", "empty"),
        ("ab", "too_short"),
        ("abcdefghijk", "too_long"),
    ],
)
def test_a_document_that_is_refused_says_why_and_where(text: str, reason: str) -> None:
    assert prepare(Document(text, "s"), "a.txt, byte 0", 3, 10) == Fault("s", reason, "a.txt, byte 0")  # type: ignore[arg-type]


def test_an_entry_carries_the_document_and_the_hash_of_its_text() -> None:
    document = Document("二 plus two", "toy", {"sum": [2, 2], "even": True}, -12.5)
    entry = prepare(document, "", 1, 100)
    assert isinstance(entry, Entry)
    assert entry.document() == document
    assert entry.num_bytes == document.num_bytes
    assert entry.key == int(hashlib.sha256(document.text.encode()).hexdigest()[:16], 16)
    assert entry.line.count(b"\n") == 1


def _entry(size: int) -> Entry:
    return Entry(b"", 0, size, "s", None)


def test_blocks_are_limited_by_count_and_by_size() -> None:
    entries = [_entry(10), _entry(10), _entry(10), _entry(99), Fault("s", "empty", ""), _entry(1)]
    assert [len(block) for block in in_blocks(entries, 2, 50)] == [2, 2, 2]
    assert [len(block) for block in in_blocks(entries, 9, 20)] == [2, 2, 2]


def test_a_source_is_closed_when_there_is_enough() -> None:
    closed = []

    def source() -> Blocks:
        try:
            while True:
                yield [_entry(10), _entry(10)]
        finally:
            closed.append(True)

    taken: list[Block] = list(up_to(source(), 45))
    assert [len(block) for block in taken] == [2, 2, 1]
    assert closed
