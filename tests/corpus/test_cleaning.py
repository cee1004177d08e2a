import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from danlu.corpus.cleaning import Holdout, KeySet, Sieve
from danlu.corpus.records import Entry, Fault

keys = st.integers(0, 2**64 - 1) | st.integers(0, 20)


@given(st.lists(st.lists(keys, max_size=30), max_size=30))
def test_a_key_set_agrees_with_a_set(blocks: list[list[int]]) -> None:
    mine, theirs = KeySet(), set()
    for block in blocks:
        answer = mine.add(np.array(block, np.uint64)).tolist()
        expected = []
        for key in block:
            expected.append(key not in theirs)
            theirs.add(key)
        assert answer == expected


def _entry(key: int, size: int = 1) -> Entry:
    return Entry(b"", key, size, "s", None)


def _hold(entries: list[Entry], share: float, max_bytes: float) -> tuple[list[int], list[int]]:
    holdout = Holdout(share, max_bytes)
    training = [given.key for entry in entries for given in holdout.offer(entry)]
    return [entry.key for entry in holdout.chosen()], training


@given(
    st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 50), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
    st.floats(0.01, 0.99),
    st.integers(1, 400),
)
def test_what_is_held_out_depends_on_the_set_of_texts_alone(sizes, random, share, max_bytes) -> None:  # type: ignore[no-untyped-def]
    entries = [_entry(key, size) for key, size in sizes.items()]
    chosen, training = _hold(entries, share, max_bytes)
    random.shuffle(entries)
    assert _hold(entries, share, max_bytes)[0] == chosen
    assert sorted(chosen + training) == sorted(sizes)
    # The rule, said plainly: the smallest keys, below the share, that fit; the smallest of all in any case.
    expected, room = [], max_bytes
    for key in sorted(sizes):
        room -= sizes[key]
        if expected and (key >= share * 2.0**64 or room < 0):
            break
        expected.append(key)
    assert chosen == expected


def test_about_the_share_is_held_out() -> None:
    random = np.random.default_rng(0)
    entries = [_entry(int(key)) for key in random.integers(0, 2**64, 20_000, np.uint64)]
    chosen, _ = _hold(entries, 0.1, 1e9)
    assert abs(len(chosen) - 2000) < 150
    assert len(_hold(entries, 0.1, 500)[0]) == 500


def test_the_sieve_counts_what_stays_behind() -> None:
    sieve = Sieve()
    assert sieve.new([_entry(1), Fault("s", "empty", "line 2"), _entry(2), _entry(1)]) == [_entry(1), _entry(2)]
    assert sieve.new([_entry(2), Fault("s", "empty", "line 9"), _entry(3)]) == [_entry(3)]
    assert sieve.dropped == {"s": {"empty": 2, "duplicate": 2}}
    assert sieve.first_dropped == {"s": {"empty": "line 2"}}
