from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.corpus.config import CorpusConfig
from danlu.corpus.records import Entry
from danlu.corpus.sources import input_files, read_blocks, resolve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    books = tmp_path / "books"
    (books / "b").mkdir(parents=True)
    (books / ".git").mkdir()
    for name, text in [("b/z.txt", "z"), ("b.txt", "b"), ("a.md", "a"), (".git/x.txt", "hidden"), ("p.pdf", "?")]:
        (books / name).write_text(text)
    return books


def _texts(config: CorpusConfig) -> list[tuple[str, str]]:
    return [
        (entry.source, entry.document().text)
        for source in resolve(config)
        for block in read_blocks(source, config)
        for entry in block
        if isinstance(entry, Entry)
    ]


def test_a_folder_gives_its_files_in_order_under_one_name(folder: Path) -> None:
    config = CorpusConfig(data=(str(folder),))
    assert _texts(config) == [("books", "a"), ("books", "z"), ("books", "b")]
    (source,) = resolve(config)
    assert source.left_alone == 1
    assert source.expected_bytes == 3


def test_a_glob_gives_the_files_that_match(folder: Path) -> None:
    assert _texts(CorpusConfig(data=(f"{folder}/**/*.txt",))) == [("*.txt", "z"), ("*.txt", "b")]
    with pytest.raises(DanluError, match="no file to read"):
        resolve(CorpusConfig(data=(f"{folder}/*.jsonl",)))


def test_a_name_with_brackets_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1].txt"
    path.write_text("one")
    assert _texts(CorpusConfig(data=(str(path),))) == [("a[1].txt", "one")]


def test_sources_of_the_same_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "a.md"
    other.write_text("other")
    config = CorpusConfig(data=(str(folder / "a.md"), str(other), str(folder / "b.txt")))
    assert [source.name for source in resolve(config)] == [str(folder / "a.md"), str(other), "b.txt"]


def test_what_cannot_be_read_is_told_before_anything_is_read(folder: Path) -> None:
    with pytest.raises(DanluError, match="no file or folder"):
        resolve(CorpusConfig(data=("toy", "missing.txt")))
    with pytest.raises(DanluError, match="of a kind that cannot be read"):
        resolve(CorpusConfig(data=(str(folder / "p.pdf"),)))
    with pytest.raises(DanluError, match="no file to read"):
        resolve(CorpusConfig(data=(str(folder / ".git" / ".."), str(folder / "b"), str(folder.parent / "empty*"))))


def test_a_run_can_ask_which_files_it_was_made_of(folder: Path) -> None:
    config = CorpusConfig(data=("toy", str(folder / "a.md"), "gone.txt", f"{folder}/*.txt"))
    files = input_files(config)
    assert files == {
        "toy": [],
        str(folder / "a.md"): [folder / "a.md"],
        "gone.txt": [],
        f"{folder}/*.txt": [folder / "b.txt"],
    }


def test_no_more_is_taken_of_each_source_than_is_wanted(folder: Path) -> None:
    (folder / "b" / "z.txt").write_text("\n\n".join(f"{i:0>60}" for i in range(100)))
    config = CorpusConfig(data=(str(folder), str(folder / "a.md")), piece_bytes=64, max_megabytes=0.001)
    texts = _texts(config)
    assert sum(len(text) for source, text in texts if source == "books") == 1 + 17 * 60
    assert texts[-1] == ("a.md", "a")


def test_the_library_of_this_python_is_there_without_its_tests() -> None:
    (source,) = resolve(CorpusConfig(data=("stdlib",)))
    names = [path.as_posix() for path, _ in source.files]
    assert any(name.endswith("json/decoder.py") for name in names)
    assert not any("/test/" in name or "/site-packages/" in name for name in names)
    assert source.expected_bytes > 5e6
