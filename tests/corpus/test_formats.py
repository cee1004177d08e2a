import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.corpus.formats import cut, format_of, read_file
from danlu.corpus.records import Fault


def _texts(path: Path, piece_bytes: int = 2048, text_field: str = "text") -> list[str | Fault]:
    form = format_of(path)
    assert form is not None
    found = list(read_file(path, form, "s", text_field, piece_bytes))
    return [item if isinstance(item, Fault) else item[0] for item in found]


def test_the_format_is_told_by_the_name() -> None:
    assert format_of(Path("a.txt")) == "text"
    assert format_of(Path("README.MD")) == "text"
    assert format_of(Path("a.b.jsonl.gz")) == "jsonl"
    assert format_of(Path("a.md.zst")) == "text"
    assert format_of(Path("a.parquet")) == "parquet"
    for other in ("a.pdf", "a", "a.gz", "a.parquet.gz", "txt"):
        assert format_of(Path(other)) is None


@given(st.text(max_size=3000), st.integers(64, 500))
def test_pieces_are_the_text_are_short_enough_and_never_split_a_character(text: str, size: int) -> None:
    data = text.encode("utf-8", "surrogatepass")
    pieces = list(cut(io.BytesIO(data), size))
    assert b"".join(piece for _, piece in pieces) == data
    assert all(0 < len(piece) <= size for _, piece in pieces)
    assert [offset for offset, _ in pieces] == [sum(len(p) for _, p in pieces[:i]) for i in range(len(pieces))]
    if data.decode("utf-8", "ignore") == text:
        for _, piece in pieces:
            piece.decode()


def test_a_piece_ends_at_the_best_border_in_its_second_half() -> None:
    words = b"word " * 8
    blank = words + b"\n\n" + words + b"\n" + words
    assert next(cut(io.BytesIO(blank), 80))[1] == words + b"\n\n"
    line = words + b"\n" + words + words
    assert next(cut(io.BytesIO(line), 80))[1] == words + b"\n"
    sentence = b"One two three four five six seven eight nine ten. One two three four five six seven eight"
    assert next(cut(io.BytesIO(sentence), 70))[1].endswith(b"ten. ")
    assert next(cut(io.BytesIO(b"word " * 30), 72))[1] == b"word " * 14
    assert next(cut(io.BytesIO("长".encode() * 100), 64))[1] == "长".encode() * 21


def test_a_text_file_is_cut_and_a_piece_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * 60 + b"\n\n" + b"\xff" * 60 + b"\n\n" + b"b" * 60)
    first, second, third = _texts(path, piece_bytes=64)
    assert (first, third) == ("a" * 60 + "\n\n", "b" * 60)
    assert second == Fault("s", "encoding", f"{path}, byte 62")


def test_a_bad_line_of_jsonl_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        b'{"text": "one"}',
        b"{not json",
        b"",
        b'{"text": "\xff"}',
        b'["text"]',
        b'{"other": 1}',
        b'{"text": 5}',
        '{"text": "二"}'.encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    assert _texts(path) == [
        "one",
        Fault("s", "unreadable_record", f"{path}, line 2"),
        Fault("s", "encoding", f"{path}, line 4"),
        Fault("s", "unreadable_record", f"{path}, line 5"),
        Fault("s", "no_text_field", f"{path}, line 6"),
        Fault("s", "unreadable_record", f"{path}, line 7"),
        "二",
    ]


def test_jsonl_without_the_text_field_names_file_line_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"question": "?", "answer": "!"}\n')
    with pytest.raises(DanluError, match=r"a\.jsonl, line 2: there is no field 'text'; fields: question, answer"):
        _texts(path)
    assert _texts(path, text_field="answer") == ["!"]


def test_of_several_text_fields_each_record_gives_the_first_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"answer": "1"}\n{"answer": "2", "text": "two"}\n{"a,b": "3"}\n{"answer": "4", "a,b": "four"}\n')
    assert _texts(path, text_field="text, answer") == ["1", "two", Fault("s", "no_text_field", f"{path}, line 3"), "4"]
    with pytest.raises(DanluError, match=r"no field 'text' or 'body'; fields: answer\."):
        _texts(path, text_field="text,body")
    path.write_text('{"a,b": "3"}\n')
    assert _texts(path, text_field="a,b") == ["3"]


def test_parquet_is_read_by_row(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["one", None, "三"], "id": [1, 2, 3]}), path)
    assert _texts(path) == ["one", Fault("s", "unreadable_record", f"{path}, row 2"), "三"]
    assert _texts(path, text_field="body,text")[0] == "one"
    with pytest.raises(DanluError, match="no field 'content'; fields: text, id"):
        _texts(path, text_field="content")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DanluError, match=r"a\.parquet is damaged"):
        _texts(path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DanluError, match=r"danlu\[hub\]"):
        _texts(tmp_path / "a.parquet")


def test_a_line_of_jsonl_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "x" * 3_000_000}))
    assert _texts(path) == ["x" * 3_000_000]
