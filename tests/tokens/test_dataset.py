import json
from pathlib import Path

import numpy as np
import pytest

from danlu.common.errors import DanluError
from danlu.tokens.dataset import Excerpt, TokenDataset
from danlu.tokens.shards import DocumentSpan, TokenWriter


def _write(folder: Path, vocab_size: int = 1000) -> None:
    writer = TokenWriter(folder, vocab_size, eos_id=999, tokenizer_sha256="abc", keep_spans=True)
    writer.write([1, 2, 3], 7, "a")
    writer.write([], 0, "b")
    writer.write([4, 5], 3, "a")
    writer.close()


def test_documents_follow_one_another_each_with_its_end(tmp_path: Path) -> None:
    _write(tmp_path)
    dataset = TokenDataset(tmp_path, verify=True)
    assert dataset.num_tokens == 8
    assert dataset.slice(0, 8).tolist() == [1, 2, 3, 999, 999, 4, 5, 999]
    assert dataset.slice(3, 3).tolist() == []
    assert dataset.documents == (
        DocumentSpan(0, 4, 7, "a"),
        DocumentSpan(4, 1, 0, "b"),
        DocumentSpan(5, 3, 3, "a"),
    )
    index = dataset.index
    assert (index.documents, index.bytes, index.vocab_size, index.eos_id) == (3, 10, 1000, 999)


@pytest.mark.parametrize(("vocab_size", "dtype", "size"), [(65536, "<u2", 16), (65537, "<u4", 32)])
def test_small_vocabularies_take_two_bytes_a_token(tmp_path: Path, vocab_size: int, dtype: str, size: int) -> None:
    _write(tmp_path, vocab_size)
    assert TokenDataset(tmp_path).dtype == np.dtype(dtype)
    data = (tmp_path / "00000.bin").read_bytes()
    assert len(data) == size
    assert np.frombuffer(data, dtype).tolist() == [1, 2, 3, 999, 999, 4, 5, 999]


def test_a_slice_may_reach_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("danlu.tokens.shards._SHARD_TOKENS", 3)
    writer = TokenWriter(tmp_path, 100, 0, "", keep_spans=False)
    for i in range(1, 20, 2):
        writer.write([i, i + 1], 2, "s")
    writer.close()
    dataset = TokenDataset(tmp_path, verify=True)
    assert len(dataset.index.shards) == 10
    assert dataset.documents == ()
    everything = dataset.slice(0, 30).tolist()
    for start in range(31):
        for stop in range(start, 31):
            assert dataset.slice(start, stop).tolist() == everything[start:stop]


def test_an_excerpt_is_made_of_distinct_pieces_from_everywhere(tmp_path: Path) -> None:
    writer = TokenWriter(tmp_path, 100_000, 49_999, "", keep_spans=False)
    writer.write(list(range(49_999)), 1, "s")
    writer.close()
    dataset = TokenDataset(tmp_path)
    short, long = Excerpt(dataset, 10_000, seed=1), Excerpt(dataset, 30_000, seed=1)
    tokens = long.slice(0, 30_000)
    assert len(np.unique(tokens)) == 30_000
    assert (np.diff(tokens.astype(int)) != 1).sum() <= 30_000 // 2048
    assert tokens.min() < 10_000 < 40_000 < tokens.max()
    assert np.array_equal(short.slice(0, 10_000), tokens[:10_000])
    assert np.array_equal(long.slice(1000, 9000), tokens[1000:9000])
    assert not np.array_equal(Excerpt(dataset, 10_000, seed=2).slice(0, 10_000), tokens[:10_000])
    assert np.array_equal(np.sort(Excerpt(dataset, 50_000, seed=1).slice(0, 50_000)), np.arange(50_000))


def test_a_shard_cut_short_is_told_at_once(tmp_path: Path) -> None:
    _write(tmp_path)
    path = tmp_path / "00000.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DanluError, match=r"00000\.bin has 14 bytes, not the 16(.|\n)*made anew from the corpus"):
        TokenDataset(tmp_path)
    path.unlink()
    with pytest.raises(DanluError, match=r"no file .*00000\.bin"):
        TokenDataset(tmp_path)


def test_an_altered_shard_is_told_when_asked(tmp_path: Path) -> None:
    _write(tmp_path)
    path = tmp_path / "00000.bin"
    path.write_bytes(b"\x07" + path.read_bytes()[1:])
    TokenDataset(tmp_path)
    with pytest.raises(DanluError, match=r"00000\.bin is not as it was written"):
        TokenDataset(tmp_path, verify=True)


def test_a_missing_or_damaged_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match=r"index\.json"):
        TokenDataset(tmp_path)
    _write(tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    del index["shards"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(DanluError, match=r"index\.json: missing key 'shards'"):
        TokenDataset(tmp_path)
