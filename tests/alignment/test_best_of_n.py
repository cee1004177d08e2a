"""Best of n: the KL by enumeration and by the formula, unbiased curves, ties."""

import itertools
import math

import numpy as np
import pytest

from danlu.alignment.best_of_n import (
    best_indices,
    choice_weights,
    curve,
    estimated_kl,
    expected_best,
    sample_and_score,
    tied_best_of_n_kl,
)
from danlu.alignment.maths import best_of_n_kl


@pytest.mark.parametrize("n", [1, 2, 4, 16, 64])
def test_the_kl_by_enumeration_is_the_formulas(n: int) -> None:
    """Many responses of unequal probability and distinct scores: the exact distribution of the best of n."""
    chance = np.random.default_rng(0)
    p = chance.dirichlet(np.full(200_000, 0.7))
    score = chance.permutation(len(p))  # unrelated to how likely a response is
    order = np.argsort(score)
    upper = np.cumsum(p[order])
    q = upper**n - (upper - p[order]).clip(0) ** n  # P(the best of n is this one)
    seen = q > 0
    enumerated = float((q[seen] * np.log(q[seen] / p[order][seen])).sum())
    assert enumerated == pytest.approx(best_of_n_kl(n), abs=2e-3)
    assert enumerated == pytest.approx(tied_best_of_n_kl(p[order], n), abs=1e-9)


@pytest.mark.parametrize("n", [2, 8])
def test_the_measured_kl_is_the_exact_one(n: int) -> None:
    """Draw, keep the best, count what was kept, and compare with where it was drawn from."""
    chance = np.random.default_rng(1)
    p = np.full(50, 1 / 50)
    kept = chance.choice(50, size=(400_000, n), p=p).max(axis=1)  # the score is the response's own number
    q = np.bincount(kept, minlength=50) / len(kept)
    measured = float((q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum())
    assert measured == pytest.approx(tied_best_of_n_kl(p, n), abs=2e-3)
    assert tied_best_of_n_kl(p, n) < best_of_n_kl(n)  # an upper bound where the same response can be drawn twice


def test_one_sample_wins_against_another_as_often_as_it_should() -> None:
    chance = np.random.default_rng(2)
    for n in (2, 4, 16):
        best, other = chance.random((200_000, n)).max(1), chance.random(200_000)
        assert (best > other).mean() == pytest.approx(n / (n + 1), abs=5e-3)


def test_a_reward_of_zero_or_one_has_a_kl_of_its_own() -> None:
    # With success p, the best of n succeeds with 1 - (1 - p)^n; the KL is that of two coins, and never above log(1/p).
    p, n = 0.3, 4
    success = 1 - (1 - p) ** n
    expected = success * math.log(success / p) + (1 - success) * math.log((1 - success) / (1 - p))
    assert tied_best_of_n_kl([1 - p, p], n) == pytest.approx(expected)
    assert tied_best_of_n_kl([1 - p, p], 10_000) == pytest.approx(-math.log(p))
    assert tied_best_of_n_kl([1.0], 64) == 0.0


def test_choice_weights_are_those_of_all_choices() -> None:
    for num_samples, n in ((5, 1), (5, 3), (6, 6)):
        counts = np.zeros(num_samples)
        for some in itertools.combinations(range(num_samples), n):
            counts[max(some)] += 1
        np.testing.assert_allclose(choice_weights(num_samples, n), counts / counts.sum())
    with pytest.raises(ValueError, match="best of 7"):
        choice_weights(6, 7)


def test_expected_best_is_the_mean_over_all_choices_ties_by_chance() -> None:
    proxy, gold = np.array([[1.0, 3.0, 3.0, 2.0]]), np.array([[10.0, 20.0, 40.0, 7.0]])
    for n in (1, 2, 3, 4):
        total, number = 0.0, 0
        for some in itertools.combinations(range(4), n):
            top = [i for i in some if proxy[0, i] == max(proxy[0, j] for j in some)]
            total += np.mean([gold[0, i] for i in top])
            number += 1
        assert expected_best(proxy, gold, n)[0] == pytest.approx(total / number)


def test_a_curve_rises_by_its_proxy_and_not_always_by_gold() -> None:
    chance = np.random.default_rng(3)
    proxy = chance.normal(size=(200, 32))
    points = curve(proxy, -proxy)
    assert [point.n for point in points] == [1, 2, 4, 8, 16, 32]
    assert [point.kl for point in points] == pytest.approx([best_of_n_kl(point.n) for point in points])
    assert all(a.proxy < b.proxy for a, b in itertools.pairwise(points))
    assert all(point.gold == pytest.approx(-point.proxy) for point in points)
    assert points[0].proxy == pytest.approx(proxy.mean())
    assert points[-1].proxy == pytest.approx(proxy.max(1).mean())


def test_ties_lower_the_estimated_kl() -> None:
    distinct, same = np.arange(8.0)[None], np.zeros((1, 8))
    assert estimated_kl(distinct, 4) == pytest.approx(best_of_n_kl(4))
    assert estimated_kl(same, 4) == 0.0
    assert estimated_kl(np.array([[0.0, 0, 0, 0, 0, 0, 1, 1]]), 4) == pytest.approx(tied_best_of_n_kl([0.75, 0.25], 4))


def test_sampling_keeps_prompts_and_responses_together() -> None:
    seen: list[int] = []

    def draw(places, numbers):
        seen.extend(numbers)
        return [f"{place}-{number}" for place, number in zip(places, numbers, strict=True)]

    def score(places, responses):
        assert all(response.startswith(f"{place}-") for place, response in zip(places, responses, strict=True))
        return [int(response.split("-")[1]) % 3 for response in responses]

    responses, scores = sample_and_score(5, 3, draw, score, prompts_at_once=2)
    assert seen == list(range(15))
    assert responses[4] == ["4-12", "4-13", "4-14"]
    assert scores.tolist() == [[0, 1, 2]] * 5
    assert best_indices(scores).tolist() == [2] * 5
