import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.corpus.toy.chooser import Choice, Chooser, Rounds, ranked
from danlu.corpus.toy.parse import Explorer

KNOB = st.floats(0, 1)


def _probabilities(choice: Choice[int], entropy: float, mask: int = -1) -> dict[int, float]:
    explorer = Explorer(entropy, parts := [])

    def generate() -> None:
        parts[:] = [str(explorer.among(choice, mask))]

    return {int(text): math.exp(logprob) for text, logprob in explorer.runs(generate)}


def _entropy(probabilities: dict[int, float]) -> float:
    return -sum(p * math.log(p) for p in probabilities.values())


def test_weights_at_the_middle_of_the_knob_are_probabilities_as_written() -> None:
    assert _probabilities(Choice({0: 1, 1: 3}), 0.5) == pytest.approx({0: 0.25, 1: 0.75})
    assert _probabilities(ranked(range(3)), 0.5) == pytest.approx({0: 6 / 11, 1: 3 / 11, 2: 2 / 11})


def test_words_are_equally_likely_at_the_top_of_the_knob() -> None:
    assert _probabilities(ranked(range(4)), 1.0) == pytest.approx(dict.fromkeys(range(4), 0.25))


def test_shares_are_left_alone() -> None:
    for entropy in (0.0, 0.3, 1.0):
        assert _probabilities(Choice({0: 1, 1: 9}, steady=True), entropy) == pytest.approx({0: 0.1, 1: 0.9})


def test_a_mask_leaves_the_rest_in_proportion() -> None:
    assert _probabilities(Choice({0: 1, 1: 5, 2: 3}), 0.5, mask=0b101) == pytest.approx({0: 0.25, 2: 0.75})


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=6), KNOB, KNOB)
def test_the_knob_never_lowers_the_entropy_of_a_choice(weights: list[float], first: float, second: float) -> None:
    low, high = sorted((first, second))
    for choice in (Choice(dict(enumerate(weights))), ranked(range(len(weights)))):
        assert _entropy(_probabilities(choice, low)) <= _entropy(_probabilities(choice, high)) + 1e-9


def test_the_logarithm_is_that_of_what_was_drawn_and_draws_follow_the_probabilities() -> None:
    choice = Choice({"a": 5, "b": 3, "c": 2})
    chooser = Chooser(0.5)
    counts = dict.fromkeys(choice.options, 0)
    for key in range(10_000):
        chooser.start(key)
        drawn = chooser.pick(choice)
        counts[drawn] += 1
        assert chooser.logprob == pytest.approx(math.log({"a": 0.5, "b": 0.3, "c": 0.2}[drawn]))
    assert counts["a"] == pytest.approx(5000, abs=200)
    assert counts["c"] == pytest.approx(2000, abs=160)


def test_a_single_option_takes_no_chance() -> None:
    chooser = Chooser(0.5)
    chooser.start(7)
    assert chooser.one_of(["only"]) == "only"
    assert chooser.logprob == 0.0
    assert chooser.one_of(range(2)) in (0, 1)
    source = random.Random(7)
    chooser.start(7)
    assert chooser.pick(Choice(dict.fromkeys(range(8), 1.0))) == int(source.random() * 8)


def test_rounds_end_after_each_number_as_often_as_its_weight_says() -> None:
    explorer = Explorer(0.5, parts := [])

    def generate() -> None:
        parts[:] = ["x" for _ in explorer.rounds(Rounds({1: 2, 2: 5, 4: 3}))]

    found = {len(text): math.exp(logprob) for text, logprob in explorer.runs(generate)}
    assert found == pytest.approx({1: 0.2, 2: 0.5, 4: 0.3})
