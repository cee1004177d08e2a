"""Chinese and UTF-16 files are read as what they are; other encodings are left for a person to convert."""

import gzip
from pathlib import Path

import pytest
import zstandard

from danlu.corpus.encodings import encoding_of
from danlu.corpus.formats import format_of, read_file
from danlu.corpus.records import Fault

CHINESE = "炉火正红，丹未成。先生说：“火候到了，丹自然会成的。”\n\n学生问：什么时候才算到？" * 40
ENGLISH = "The furnace is hot, and the gold is cold.\n\n" * 200
TRADITIONAL = "爐火正紅，丹未成。先生說：「火候到了，丹自然會成的。」學生問：甚麼時候才算到？" * 40
JAPANESE = "炉の火は赤く、丹はまだ成らない。先生は言った。「火加減がよければ、丹はひとりでにできる」と。" * 40
KOREAN = "화로의 불은 붉지만 단은 아직 이루어지지 않았다. 선생님이 말씀하셨다. " * 40
FRENCH = "Le fourneau est brûlant et l'élève très étonné: où est donc passé l'or? " * 40


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (CHINESE, "gbk", "gb18030"),
        (CHINESE, "gb18030", "gb18030"),
        (f"{ENGLISH[:900]}{CHINESE}", "gb18030", "gb18030"),
        (CHINESE, "utf-8", "utf-8"),
        (CHINESE, "utf-8-sig", "utf-8"),
        (CHINESE, "utf-16", "utf-16"),
        (ENGLISH, "utf-16-le", "utf-16-le"),
        (ENGLISH, "utf-16-be", "utf-16-be"),
        (ENGLISH, "ascii", "utf-8"),
        (TRADITIONAL, "big5", "utf-8"),
        (JAPANESE, "euc-jp", "utf-8"),
        (JAPANESE, "shift-jis", "utf-8"),
        (KOREAN, "euc-kr", "utf-8"),
        (FRENCH, "latin-1", "utf-8"),
        ("", "ascii", "utf-8"),
    ],
)
def test_the_encoding_is_told_by_the_beginning(text: str, encoding: str, found: str) -> None:
    data = text.encode(encoding)
    assert encoding_of(data, whole=True) == found
    assert encoding_of(data[:4001], whole=False) == found  # in the middle of a character


def test_bytes_that_are_no_text_are_taken_for_no_encoding() -> None:
    assert encoding_of(b"\xff\xfd\x00\x80\x81 garbage" * 50, whole=True) == "utf-8"
    assert encoding_of(bytes(range(256)) * 20, whole=True) == "utf-8"


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst"])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8"])
def test_files_are_read_whole_whatever_they_are_in(tmp_path: Path, name: str, encoding: str) -> None:
    text = CHINESE * 60  # longer than what is looked at
    data = text.encode(encoding)
    path = tmp_path / name
    packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(packed(data))
    noted: list[tuple[Path, str]] = []
    found = list(read_file(path, "text", "s", "text", 2048, lambda *one: noted.append(one)))
    assert "".join(piece for piece, _ in found) == text  # type: ignore[misc]
    assert noted == ([] if encoding == "utf-8" else [(path, encoding)])


def test_records_in_gb18030_are_read_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(("".join(f'{{"text": "{i}：炉火正红，丹未成。"}}\n' for i in range(50))).encode("gb18030"))
    form = format_of(path)
    assert form == "jsonl"
    assert [text for text, _ in read_file(path, form, "s", "text", 64)][7] == "7：炉火正红，丹未成。"  # type: ignore[misc]


def test_a_piece_that_is_spoiled_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    one = "炉火正红，丹未成。" * 40
    path.write_bytes(b"\n\n".join([one.encode("gbk"), b"\xff\xff" + one.encode("gbk"), one.encode("gbk"), b""]))
    found = list(read_file(path, "text", "s", "text", 1300))
    assert [isinstance(each, Fault) for each in found] == [False, True, False]


def test_text_with_zero_bytes_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a few words\x00 and more of them")
    assert list(read_file(path, "text", "s", "text", 64)) == [Fault("s", "encoding", f"{path}, byte 0")]
