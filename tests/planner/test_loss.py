"""The loss law on text that runs out: repetitions fade, models larger than their text fade, and nothing jumps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.planner.loss import REPLICATION, at, best_split, cheapest_split, tokens_for

LAW = REPLICATION


def test_text_seen_once_is_fresh_text() -> None:
    assert LAW.loss(4e11, 1e12, 1e12) == LAW.loss(4e11, 1e12)
    assert LAW.worth(1e12, 1e12) == 1e12


@given(st.floats(1e7, 1e12), st.floats(1e8, 1e13), st.floats(1.0, 100.0))
def test_more_of_the_same_text_never_harms_much_and_never_beats_fresh_text(
    params: float, unique: float, passes: float
) -> None:
    repeated = LAW.loss(params, unique * passes, unique)
    assert repeated >= LAW.loss(params, unique * passes) - 1e-12
    if params <= LAW.fed(unique):
        assert repeated <= LAW.loss(params, unique, unique) + 1e-12


@given(st.floats(1e7, 1e12), st.floats(1e8, 1e13))
def test_the_second_pass_begins_without_a_jump(params: float, unique: float) -> None:
    assert LAW.loss(params, unique * 1.0001, unique) == pytest.approx(LAW.loss(params, unique, unique), rel=1e-3)


def test_the_fed_model_is_the_best_one_for_its_compute() -> None:
    tokens = 1e12
    params = LAW.fed(tokens)
    assert best_split(LAW, 6 * params * tokens).params == pytest.approx(params, rel=1e-3)


@given(st.floats(1e6, 1e11), st.floats(18, 26))
def test_scarce_text_does_not_call_for_a_giant(unique: float, log_flops: float) -> None:
    found = best_split(LAW, 10**log_flops, unique)
    assert found.params <= max(28 * LAW.fed(unique), 2e4)


def test_the_cheapest_way_to_a_loss_on_scarce_text_reaches_it() -> None:
    found = cheapest_split(LAW, 2.0, 1e11)
    assert found.loss == pytest.approx(2.0, abs=1e-6)
    assert found.training_flops > cheapest_split(LAW, 2.0).training_flops
    near = at(LAW, found.params * 1.05, tokens_for(LAW, 2.0, found.params * 1.05, 1e11), 1e11)
    assert near.training_flops >= found.training_flops * (1 - 1e-9)


def test_a_loss_that_the_text_cannot_give_is_refused() -> None:
    with pytest.raises(DanluError, match="even with all repetitions"):
        cheapest_split(LAW, 2.0, 1e10)
