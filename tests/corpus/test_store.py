from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.corpus.build import build_corpus
from danlu.corpus.config import CorpusConfig
from danlu.corpus.store import ShardWriter, read_documents, read_summary, verify


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    text = tmp_path / "a.txt"
    text.write_text("\n\n".join(f"paragraph {i} " * 5 for i in range(200)))
    build_corpus(CorpusConfig(data=(str(text),), piece_bytes=100), tmp_path / "corpus", Progress(terminal=False))
    return tmp_path / "corpus"


def test_documents_come_back(corpus: Path) -> None:
    summary = read_summary(corpus)
    train = list(read_documents(corpus, "train"))
    heldout = list(read_documents(corpus, "heldout"))
    assert (len(train), len(heldout)) == (summary.train_documents, summary.heldout_documents)
    assert sum(document.num_bytes for document in train) == summary.train_bytes
    assert sum(document.num_bytes for document in heldout) == summary.heldout_bytes
    assert len({document.text for document in train + heldout}) == 200
    assert {document.source for document in train} == {"a.txt"}
    verify(corpus)


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_damaged_shard_is_named_with_the_step_that_makes_it(corpus: Path, split: str) -> None:
    (path,) = corpus.glob(f"{split}*.zst")
    whole = path.read_bytes()
    for damaged in (whole[:-10], whole[: len(whole) // 2], b"", whole[:40] + b"?" + whole[41:]):
        path.write_bytes(damaged)
        with pytest.raises(DanluError, match=rf"{path.name} is damaged(.|\n)*corpus is then made anew"):
            list(read_documents(corpus, split))  # type: ignore[arg-type]
        with pytest.raises(DanluError, match="is not as it was written"):
            verify(corpus)
    path.unlink()
    with pytest.raises(DanluError, match=path.name):
        list(read_documents(corpus, split))  # type: ignore[arg-type]


def test_a_corpus_that_was_not_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match=r"corpus\.json"):
        list(read_documents(tmp_path, "train"))


def test_shards_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("danlu.corpus.store._SHARD_BYTES", 100)
    writer = ShardWriter(tmp_path)
    for i in range(10):
        writer.write(b"x" * 29 + str(i).encode() + b"\n")
    writer.close()
    assert [path.name for path in writer.paths] == [f"train-{i:05d}.jsonl.zst" for i in range(3)]
    assert sorted(tmp_path.iterdir()) == writer.paths
