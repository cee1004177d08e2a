import json
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.corpus.build import build_corpus
from danlu.corpus.config import CorpusConfig
from danlu.corpus.store import read_documents
from danlu.tokens.build import build_tokens, encode, read_tokens_summary
from danlu.tokens.config import TokensConfig
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.tokenizer import END_OF_TEXT, load_tokenizer, token_id


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    lines = [f"The {i}th cat saw {i * i} dogs. 第{i}只猫见到狗。<|endoftext|>" for i in range(800)]
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    build_corpus(CorpusConfig(data=(str(folder / "a.jsonl"),)), folder / "corpus", Progress(terminal=False))
    return folder / "corpus"


def test_tokens_decode_to_the_documents_of_the_corpus(corpus: Path, tmp_path: Path) -> None:
    summary = build_tokens(corpus, TokensConfig(vocab_size=300), tmp_path, Progress(terminal=False))
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    eos = token_id(tokenizer, END_OF_TEXT)
    for split in ("train", "heldout"):
        dataset = TokenDataset(tmp_path / split, verify=True)
        ids = dataset.slice(0, dataset.num_tokens).tolist()
        documents: list[list[int]] = [[]]
        for token in ids:
            if token == eos:
                documents.append([])
            else:
                documents[-1].append(token)
        assert documents.pop() == []
        expected = [document.text for document in read_documents(corpus, split)]  # type: ignore[arg-type]
        assert [tokenizer.decode(document) for document in documents] == expected
    assert summary == read_tokens_summary(tmp_path)
    assert summary.vocab_size == 300
    assert summary.bytes_per_token == summary.train_bytes / summary.train_tokens > 1


def test_the_held_out_index_knows_every_document(corpus: Path, tmp_path: Path) -> None:
    build_tokens(corpus, TokensConfig(), tmp_path, Progress(terminal=False))
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    heldout = TokenDataset(tmp_path / "heldout")
    for span, document in zip(heldout.documents, read_documents(corpus, "heldout"), strict=True):
        ids = heldout.slice(span.offset, span.offset + span.tokens).tolist()
        assert [ids[:-1]] == encode(tokenizer, [document.text])
        assert (span.source, span.bytes) == (document.source, document.num_bytes)
    assert TokenDataset(tmp_path / "train").documents == ()


def test_the_same_corpus_gives_the_same_tokens(corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_tokens(corpus, TokensConfig(sample_megabytes=0.02), tmp_path / name, Progress(terminal=False))
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_a_vocabulary_that_the_corpus_does_not_support_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="larger than the corpus supports"):
        build_tokens(corpus, TokensConfig(vocab_size=50_000), tmp_path, Progress(terminal=False))


def test_a_missing_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match=r"corpus\.json"):
        build_tokens(tmp_path / "none", TokensConfig(), tmp_path, Progress(terminal=False))
