import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from danlu.tokens.order import Permutation


@given(st.integers(1, 3000), st.integers(0, 2**40), st.integers(0, 100))
def test_it_is_a_bijection(size: int, seed: int, epoch: int) -> None:
    places = np.arange(size)
    assert np.array_equal(np.sort(Permutation(size, (seed, epoch))(places)), places)


@given(st.integers(1, 2**50), st.integers(0, 1000), st.data())
def test_a_place_goes_where_it_goes_whoever_asks(size: int, seed: int, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), max_size=20)), np.int64)
    together = Permutation(size, (seed, 0))(places)
    alone = [int(Permutation(size, (seed, 0))(np.array([place]))[0]) for place in places.tolist()]
    assert together.tolist() == alone
    assert all(0 <= place < size for place in alone)


def test_orders_of_different_keys_have_nothing_in_common() -> None:
    places = np.arange(10_000)
    orders = [Permutation(10_000, key)(places) for key in ((0, 0), (0, 1), (1, 0))]
    for i, one in enumerate(orders):
        assert abs(np.corrcoef(one, places)[0, 1]) < 0.05
        assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.05
        for other in orders[:i]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
            assert (one == other).sum() < 10


def test_every_place_is_as_likely_as_any_other() -> None:
    counts = np.zeros((7, 7))
    for key in range(7000):
        counts[np.arange(7), Permutation(7, (key,))(np.arange(7))] += 1
    assert np.abs(counts / 1000 - 1).max() < 0.15


def test_the_order_never_changes_between_versions() -> None:
    assert Permutation(10, (0, 0))(np.arange(10)).tolist() == [0, 5, 3, 7, 6, 1, 9, 8, 4, 2]
