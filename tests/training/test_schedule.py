"""Warm-up, constant, cooldown; runs of different length share their beginning."""

from hypothesis import given
from hypothesis import strategies as st

from danlu.training.schedule import Schedule, between_saves


def test_rises_stays_and_falls_towards_zero():
    schedule = Schedule(steps=100, warmup=9, cooldown=19)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[0] == 0.1
    assert factors[9] == factors[50] == factors[80] == 1.0
    assert factors[81] == 0.95
    assert factors[99] == 0.05
    assert schedule.cooldown_start == 81


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 40), st.floats(0, 1))
def test_a_shorter_run_is_a_prefix_until_it_cools_down(short, more, warmup, share):
    one = Schedule(short, warmup, round(share * short))
    two = Schedule(short + more, warmup, 0)
    for step in range(one.cooldown_start):
        assert one.factor(step) == two.factor(step)
    assert all(0 < one.factor(step) <= 1 for step in range(short))


def test_saving_takes_no_more_than_a_fiftieth_of_the_time() -> None:
    assert between_saves(15.0, 0.01) == 15.0
    assert between_saves(15.0, 2.0) == 100.0
    assert between_saves(0.0, 2.0) == 0.0  # asked for after every step
