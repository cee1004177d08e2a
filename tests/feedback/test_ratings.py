"""Ratings: closed forms, a general optimiser, and data drawn from known strengths."""

import math
import random

import numpy as np
import pytest
from scipy import optimize

from danlu.common.errors import DanluError
from danlu.feedback.ratings import Choice, bradley_terry, fit, plackett_luce, plackett_luce_nll, win_probability
from danlu.feedback.records import Ranking, prompt_of


def duel(first: str, second: str, ranks: tuple[int, int], number: int = 0) -> Ranking:
    return Ranking(prompt_of(str(number)), ("x", "y"), ranks, completion_sources=(first, second))


def test_two_models_in_closed_form() -> None:
    rankings = [duel("a", "b", (0, 1))] * 30 + [duel("a", "b", (1, 0))] * 10
    best, other = bradley_terry(rankings)
    assert best.name == "a"
    assert best.strength - other.strength == pytest.approx(math.log(3))
    assert best.strength + other.strength == pytest.approx(0)
    # The log-odds' standard error is sqrt(1/30 + 1/10); each strength is half their difference.
    assert best.high - best.strength == pytest.approx(1.959964 * math.sqrt(1 / 30 + 1 / 10) / 2, rel=1e-6)
    assert win_probability(best, other) == pytest.approx(0.75)
    assert best.comparisons == 40
    assert best.elo - other.elo == pytest.approx(400 * math.log10(3))


def test_a_tie_is_half_a_win() -> None:
    tied = [duel("a", "b", (0, 0))] * 20 + [duel("a", "b", (0, 1))] * 20
    half = [duel("a", "b", (0, 1))] * 30 + [duel("a", "b", (1, 0))] * 10
    assert [(r.name, round(r.strength, 9)) for r in bradley_terry(tied)] == [
        (r.name, round(r.strength, 9)) for r in bradley_terry(half)
    ]


def _drawn(strengths: dict[str, float], number: int, size: int, seed: int) -> list[Ranking]:
    chance = random.Random(seed)
    rankings = []
    for i in range(number):
        names = chance.sample(sorted(strengths), size)
        # The largest of strengths plus Gumbel noise is a draw from Plackett-Luce.
        drawn = {name: strengths[name] - math.log(-math.log(chance.random())) for name in names}
        order = sorted(names, key=drawn.__getitem__, reverse=True)
        ranks = tuple(order.index(name) for name in names)
        rankings.append(Ranking(prompt_of(str(i)), tuple(names), ranks, completion_sources=tuple(names)))
    return rankings


TRUE = {"a": 0.9, "b": 0.3, "c": -0.2, "d": -1.0}


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_fit_is_that_of_a_general_optimiser(size: int) -> None:
    rankings = _drawn(TRUE, 300, size, seed=size)
    names = sorted(TRUE)

    def nll(free: np.ndarray) -> float:
        strengths = dict(zip(names, [*free, -free.sum()], strict=True))
        return sum(
            plackett_luce_nll([strengths[n] for _, n in sorted(zip(r.ranks, r.completion_sources, strict=True))])
            for r in rankings
        )

    best = optimize.minimize(nll, np.zeros(3), method="BFGS", options={"gtol": 1e-7})
    found = {r.name: r.strength for r in plackett_luce(rankings)}
    assert [found[name] for name in names] == pytest.approx([*best.x, -best.x.sum()], abs=1e-4)


def test_plackett_luce_known_answer() -> None:
    assert plackett_luce_nll([2.0, 1.0, 0.0, -1.0]) == pytest.approx(1.16105736, abs=1e-8)
    assert plackett_luce_nll([0.0] * 4) == pytest.approx(math.log(24))


def test_the_two_models_agree_on_pairs() -> None:
    rankings = _drawn(TRUE, 200, 2, seed=9)
    for first, second in zip(bradley_terry(rankings), plackett_luce(rankings), strict=True):
        assert first.strength == pytest.approx(second.strength)
        assert first.high == pytest.approx(second.high)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = total = 0
    for seed in range(80):
        for rating in plackett_luce(_drawn(TRUE, 100, 3, seed=100 + seed)):
            covered += rating.low <= TRUE[rating.name] <= rating.high
            total += 1
    assert 0.9 <= covered / total <= 0.99


def test_ties_in_a_ranking_stand_for_all_its_orders() -> None:
    base = _drawn(TRUE, 100, 3, seed=3)
    names = ("a", "b", "c")
    tied = Ranking(prompt_of("t"), names, (0, 0, 1), completion_sources=names)
    ab = Ranking(prompt_of("t"), names, (0, 1, 2), completion_sources=names)
    ba = Ranking(prompt_of("t"), names, (1, 0, 2), completion_sources=names)
    two_ties = plackett_luce([*base, tied, tied])
    for first, second in zip(two_ties, plackett_luce([*base, ab, ba]), strict=True):
        assert first.strength == pytest.approx(second.strength)


@pytest.mark.parametrize(
    "choices",
    [
        [Choice("a", ("b",))],
        [Choice("a", ("b",)), Choice("b", ("a",)), Choice("c", ("d",)), Choice("d", ("c",))],
        [Choice("a", ("b", "c")), Choice("b", ("a",)), Choice("a", ("c",))],
    ],
)
def test_what_the_data_do_not_settle_is_said(choices: list[Choice]) -> None:
    with pytest.raises(DanluError, match="never beat"):
        fit(choices)


def test_bad_rankings() -> None:
    with pytest.raises(DanluError, match="which model"):
        bradley_terry([Ranking(prompt_of("q"), ("x", "y"), (0, 1))])
    with pytest.raises(DanluError, match="two models"):
        bradley_terry([duel("a", "a", (0, 1))])
    with pytest.raises(DanluError, match="two completions of one source"):
        plackett_luce([duel("a", "a", (0, 1))])
