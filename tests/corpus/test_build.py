import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.corpus.build import build_corpus, describe, read_data
from danlu.corpus.config import CorpusConfig
from danlu.corpus.store import CorpusSummary, read_documents, read_summary
from danlu.corpus.toy.config import ToyConfig


def _build(folder: Path, **values: object) -> CorpusSummary:
    return build_corpus(CorpusConfig(**values), folder / "corpus", Progress(terminal=False))  # type: ignore[arg-type]


def _jsonl(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def test_no_text_is_on_both_sides_and_duplicates_are_counted(tmp_path: Path) -> None:
    a = _jsonl(tmp_path / "a.jsonl", [f"text {i % 300}" for i in range(400)])
    b = _jsonl(tmp_path / "b.jsonl", [f"text {i}\r\n" for i in range(200, 500)])
    summary = _build(tmp_path, data=(a, b))
    train = [document.text for document in read_documents(tmp_path / "corpus", "train")]
    heldout = [document.text for document in read_documents(tmp_path / "corpus", "heldout")]
    assert sorted(train + heldout) == sorted(f"text {i}" for i in range(500))
    assert not set(train) & set(heldout)
    assert 20 < len(heldout) < 80
    assert summary.dropped == {"a.jsonl": {"duplicate": 100}, "b.jsonl": {"duplicate": 100}}
    assert summary == read_summary(tmp_path / "corpus")


def test_which_side_a_text_is_on_depends_on_the_text_alone(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(300)]
    _build(tmp_path, data=(_jsonl(tmp_path / "a.jsonl", texts),))
    first = {document.text for document in read_documents(tmp_path / "corpus", "heldout")}
    _build(tmp_path, data=(_jsonl(tmp_path / "b.jsonl", texts[::-1]),))
    assert {document.text for document in read_documents(tmp_path / "corpus", "heldout")} == first


def test_the_same_corpus_twice_is_the_same_files(tmp_path: Path) -> None:
    toy = ToyConfig(megabytes=0.2)
    one = _build(tmp_path / "one", toy=toy)
    two = _build(tmp_path / "two", toy=toy)
    assert one == two


def test_the_toy_language_comes_with_its_entropy(tmp_path: Path) -> None:
    summary = _build(tmp_path, toy=ToyConfig(megabytes=0.3))
    documents = list(read_documents(tmp_path / "corpus", "heldout"))
    bits = [-document.logprob for document in documents if document.logprob is not None]
    assert len(bits) == len(documents)
    sources = summary.heldout.values()
    assert sum(bits) == pytest.approx(sum((source.entropy_nats_per_byte or 0) * source.bytes for source in sources))
    assert all(source.entropy_bound in ("exact", "upper") for source in sources)
    assert all(document.labels for document in documents)


def test_a_text_nobody_knows_the_entropy_of_says_so(tmp_path: Path) -> None:
    summary = _build(tmp_path, data=(_jsonl(tmp_path / "a.jsonl", ["one", "two"]),))
    (source,) = summary.train.values()
    assert source.entropy_nats_per_byte is None
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text())["train"]["a.jsonl"]["entropy_bound"] is None


def test_a_bad_record_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "one"}\n{"text": \n{"text": "two"}\n{"text": "\xff"}\n{"text": ""}\n')
    summary = _build(tmp_path, data=(str(path),))
    assert summary.train_documents + summary.heldout_documents == 2
    assert summary.dropped == {"a.jsonl": {"empty": 1, "encoding": 1, "unreadable_record": 1}}
    (line,) = describe(summary)
    assert f"1 dropped: unreadable record (first: {path}, line 2)" in line


def test_an_empty_corpus_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(" \n")
    with pytest.raises(DanluError, match="corpus is empty"):
        _build(tmp_path, data=(str(path),))
    path.write_bytes("爐火正紅".encode("big5"))
    with pytest.raises(DanluError, match="iconv"):
        _build(tmp_path, data=(str(path),))
    path.write_text("one line alone")
    with pytest.raises(DanluError, match="one document alone"):
        _build(tmp_path, data=(str(path),))
    assert not (tmp_path / "corpus" / "corpus.json").exists()


def test_a_small_corpus_still_has_both_sides(tmp_path: Path) -> None:
    summary = _build(tmp_path, data=(_jsonl(tmp_path / "a.jsonl", ["one", "two"]),), heldout_share=0.001)
    assert (summary.train_documents, summary.heldout_documents) == (1, 1)


def test_held_out_text_is_limited(tmp_path: Path) -> None:
    path = _jsonl(tmp_path / "a.jsonl", [f"{i:0>100}" for i in range(1000)])
    summary = _build(tmp_path, data=(path,), heldout_share=0.5, heldout_megabytes=0.002)
    assert summary.heldout_bytes == 2000
    assert summary.train_documents == 980


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _jsonl(tmp_path / "a.jsonl", ["one", "two"])

    def refuse(line: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("danlu.corpus.build.ShardWriter", lambda folder: SimpleNamespace(write=refuse))
    with pytest.raises(DanluError, match="no space left"):
        _build(tmp_path, data=(path,))


def test_data_can_be_read_without_making_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _jsonl(tmp_path / "a.jsonl", ["one", "", "two", "one"])
    documents = read_data(CorpusConfig(data=(path,)), Progress(terminal=False))
    assert [(document.text, document.source) for document in documents] == [("one", "a.jsonl"), ("two", "a.jsonl")]
    assert "1 dropped: duplicate" in capsys.readouterr().out


def test_real_text_is_cut_into_enough_documents(tmp_path: Path) -> None:
    shared = os.environ.get("DANLU_SHARED")
    if not shared:
        pytest.skip("DANLU_SHARED names no folder with real texts")
    summary = _build(tmp_path, data=(f"{shared}/data/text/tinyshakespeare.txt",))
    assert summary.heldout_documents > 20
    assert not summary.dropped
    total = summary.train_bytes + summary.heldout_bytes
    assert 1_110_000 < total <= 1_115_394  # the blank lines between pieces are gone
