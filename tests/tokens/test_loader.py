import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader
from danlu.tokens.shards import TokenWriter


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    """The tokens 0, 1, 2, ..., so that a token says where it stands; in three shards."""
    folder = tmp_path_factory.mktemp("tokens")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("danlu.tokens.shards._SHARD_TOKENS", 400)
        writer = TokenWriter(folder, vocab_size=1000, eos_id=0, tokenizer_sha256="", keep_spans=False)
        for start in range(0, 1000, 100):
            writer._eos_id = start + 99  # so that the last token counts too
            writer.write(list(range(start, start + 99)), 99, "s")
        writer.close()
    dataset = TokenDataset(folder)
    assert dataset.slice(0, 1000).tolist() == list(range(1000))
    assert len(dataset.index.shards) == 3
    return dataset


@given(st.integers(1, 500), st.integers(0, 2**63), st.integers(0, 5))
def test_in_an_epoch_every_sequence_comes_once(counting: TokenDataset, seq_len: int, seed: int, epoch: int) -> None:
    loader = Loader(counting, seq_len, seed)
    size = loader.sequences_per_epoch
    sequences = loader.batch(epoch * size, size)
    assert sequences.shape == (size, seq_len + 1)
    assert sequences.dtype == np.int64
    assert (np.diff(sequences, axis=1) == 1).all()
    # Between the first target and the last, none is left out and none comes twice.
    targets = np.sort(sequences[:, 1:].reshape(-1))
    assert (np.diff(targets) == 1).all()
    assert counting.num_tokens - len(targets) < 2 * seq_len


@given(st.integers(1, 100), st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(0, 300))
@settings(deadline=None)
def test_sequences_do_not_depend_on_how_they_are_asked_for(
    counting: TokenDataset, seq_len: int, sizes: list[int], first: int
) -> None:
    loader = Loader(counting, seq_len, seed=7)
    alone = [Loader(counting, seq_len, seed=7).batch(first + i, 1)[0] for i in range(sum(sizes))]
    number, together = first, []
    for size in sizes:
        together += list(loader.batch(number, size))
        number += size
    assert np.array_equal(alone, together)


def test_two_processes_share_a_batch_and_a_restart_goes_on(counting: TokenDataset) -> None:
    whole = np.concatenate([Loader(counting, 10, 3).batch(8 * step, 8) for step in range(40)])
    halves = [Loader(counting, 10, 3).batch(8 * step + 4 * rank, 4) for step in range(40) for rank in range(2)]
    assert np.array_equal(np.concatenate(halves), whole)
    resumed = Loader(counting, 10, 3)
    assert np.array_equal(np.concatenate([resumed.batch(8 * step, 8) for step in range(25, 40)]), whole[200:])


def test_seeds_and_epochs_give_other_orders(counting: TokenDataset) -> None:
    size = Loader(counting, 10, 0).sequences_per_epoch
    first = Loader(counting, 10, 0).batch(0, size)
    assert not np.array_equal(first, Loader(counting, 10, 1).batch(0, size))
    assert not np.array_equal(first, Loader(counting, 10, 0).batch(size, size))
    assert not np.array_equal(np.sort(first[:, 0]), np.sort(Loader(counting, 10, 0).batch(size, size)[:, 0]))


def test_too_little_text_is_told(counting: TokenDataset) -> None:
    with pytest.raises(DanluError, match="fewer than two sequences"):
        Loader(counting, 501, 0)
    loader = Loader(counting, 100, 0)
    assert loader.sequences_per_epoch == 9
    loader.require(9)
    for refused in (lambda: loader.require(10), lambda: loader.batch(0, 10)):
        with pytest.raises(
            DanluError, match="smaller than one batch: it gives 9 sequences of 100 tokens, and a batch takes 10"
        ):
            refused()


def test_few_distinct_tokens_are_seen_where_few_are_asked_for(counting: TokenDataset) -> None:
    loader = Loader(counting, 10, 0, unique_tokens=300)
    assert loader.sequences_per_epoch == 29
    seen = loader.batch(0, 29), loader.batch(29, 29), loader.batch(290, 29)
    assert len(np.unique(np.concatenate(seen))) <= 300
    assert not np.array_equal(*seen[:2])
    everything = Loader(counting, 10, 0)
    assert np.array_equal(Loader(counting, 10, 0, unique_tokens=2000).batch(0, 50), everything.batch(0, 50))
