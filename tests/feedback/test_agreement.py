"""Agreement: examples with answers from the literature, independent computations, real annotators."""

import math
import os
import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from danlu.common.errors import DanluError
from danlu.feedback.agreement import (
    agreement,
    cohen_kappa,
    fleiss_kappa,
    kappas,
    kendall_tau_b,
    krippendorff_alpha,
    raw_agreement,
    unanimity,
)
from danlu.feedback.exchange import read_feedback
from danlu.feedback.records import Ranking

MakeRanking = Callable[..., Ranking]
_ = None
# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section C: four observers, twelve units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
UNITS = list(zip(*OBSERVERS, strict=True))
# Fleiss' table of 14 raters, ten subjects and five categories, as in the article on his kappa in Wikipedia.
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_known_answers(level: str, alpha: float) -> None:
    assert krippendorff_alpha(UNITS, level).value == pytest.approx(alpha, abs=5e-4)  # type: ignore[arg-type]


def loop_alpha(units: list[tuple[int | None, ...]], level: str) -> float:
    """Alpha by its definition: observed and expected disagreement over pairs of answers."""
    answered = [[v for v in unit if v is not None] for unit in units]
    answered = [unit for unit in answered if len(unit) > 1]
    pool = [v for unit in answered for v in unit]

    def distance(a: int, b: int) -> float:
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(low <= v <= high for v in pool) - (pool.count(a) + pool.count(b)) / 2
        return between**2 if a != b else 0.0

    observed = sum(distance(a, b) / (len(u) - 1) for u in answered for a, b in combinations(u, 2)) * 2 / len(pool)
    expected = sum(distance(a, b) for a, b in combinations(pool, 2)) * 2 / (len(pool) * (len(pool) - 1))
    return 1 - observed / expected


@given(
    st.lists(st.tuples(*[st.sampled_from([None, 1, 2, 3, 4])] * 3), min_size=2, max_size=12),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_equals_its_definition(units: list[tuple[int | None, ...]], level: str) -> None:
    pool = [v for unit in units for v in unit if v is not None and sum(w is not None for w in unit) > 1]
    found = krippendorff_alpha(units, level).value  # type: ignore[arg-type]
    if len(set(pool)) < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(loop_alpha(units, level))


def test_fleiss_known_answer() -> None:
    labels = [[category for category, count in enumerate(row) for _ in range(count)] for row in FLEISS]
    assert fleiss_kappa(labels).value == pytest.approx(0.210, abs=5e-4)


def test_cohen_known_answer() -> None:
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    first, second = zip(*pairs, strict=True)
    assert cohen_kappa(first, second).value == pytest.approx(0.4)
    assert cohen_kappa([*first, None], [*second, "yes"]).value == pytest.approx(0.4)


def test_labels_of_an_item_stay_together_in_cohens_interval() -> None:
    first, second = [1, 1, 2, 2] * 10, [1, 1, 2, 1] * 10
    alone = cohen_kappa(first, second)
    together = cohen_kappa(first, second, items=[place // 4 for place in range(40)])
    assert together.value == alone.value == pytest.approx(0.5)
    assert (together.items, alone.items) == (10, 40)
    assert together.low == together.high == together.value  # every item is the same
    assert alone.low < alone.value < alone.high


def test_kappa_of_each_two_annotators(ranking: MakeRanking) -> None:
    def of(annotator: str, number: int, ranks: tuple[int, ...]) -> Ranking:
        return ranking(number, ranks, annotator=annotator)

    same = [of(name, number, (0, 1, 2) if number % 2 else (2, 1, 0)) for number in range(4) for name in ("lin", "wang")]
    other = [of("zhao", number, (2, 1, 0) if number % 2 else (0, 1, 2)) for number in range(3)]
    found = kappas([*same, *other])
    assert list(found) == [("lin", "wang"), ("lin", "zhao"), ("wang", "zhao")]
    assert found["lin", "wang"].value == 1
    assert found["lin", "wang"].items == 4
    assert found["lin", "zhao"].value < 0
    assert len(kappas([*same, *other], most=1)) == 1


def test_raw_agreement_and_unanimity() -> None:
    labels = [(1, 1, 1), (1, 2, 1), (1, 2, 3), (1, None, None)]
    assert raw_agreement(labels).value == pytest.approx((3 + 1 + 0) / 9)
    assert unanimity(labels).value == pytest.approx(1 / 3)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=10))
def test_tau_b_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    found, expected = kendall_tau_b(first, second), stats.kendalltau(first, second, variant="b").statistic
    assert found == pytest.approx(expected, nan_ok=True)


def test_pandalm_known_answers() -> None:
    folder = os.environ.get("DANLU_SHARED")
    if not folder:
        pytest.skip("DANLU_SHARED names no folder of real data")
    rankings = read_feedback(Path(folder) / "data" / "feedback" / "pandalm_testset.json").rankings
    choices = {
        name: [r.ranks for r in rankings if r.annotator == name] for name in sorted({r.annotator for r in rankings})
    }
    kappas = [cohen_kappa(a, b) for a, b in combinations(choices.values(), 2)]
    assert sorted(round(kappa.value, 4) for kappa in kappas) == [0.8520, 0.8617, 0.8789]
    labels = list(zip(*choices.values(), strict=True))
    assert round(fleiss_kappa(labels).value, 4) == 0.8642
    assert round(unanimity(labels).value, 4) == 0.8799
    for kappa in kappas:
        assert kappa.low < kappa.value < kappa.high
        assert kappa.items == 999


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance, covered = random.Random(0), 0
    for trial in range(200):
        labels = [(1, 1) if chance.random() < 0.7 else (1, 2) for _ in range(150)]
        estimate = raw_agreement(labels, seed=trial)
        covered += estimate.low <= 0.7 <= estimate.high
    assert 0.9 <= covered / 200 <= 0.99


def test_nothing_to_compare_gives_no_number() -> None:
    for found in (raw_agreement([(1, None)]), krippendorff_alpha([(1, None)]), cohen_kappa([None], [1]), unanimity([])):
        assert math.isnan(found.value)
        assert found.items == 0
    assert math.isnan(krippendorff_alpha([(1, 1), (1, 1)]).value)


def test_fleiss_refuses_gaps() -> None:
    with pytest.raises(DanluError, match="alpha"):
        fleiss_kappa([(1, 1, 2), (1, 1, None)])


# Rankings


def test_agreement_of_rankings(ranking: MakeRanking) -> None:
    rankings = [
        ranking(0, (0, 1, 2), annotator="ann"),
        ranking(0, (0, 1, 2), annotator="bob"),
        ranking(1, (0, 0, 1), annotator="ann"),
        ranking(1, (1, 0, 2), annotator="bob"),
        ranking(2, (0, 1, 2), annotator="ann"),  # nobody else's
    ]
    found = agreement(rankings)
    assert (found.items, found.annotators) == (2, 2)
    assert found.pairs.value == pytest.approx((3 + 2.5) / 6)
    assert found.untied_pairs.value == pytest.approx(1.0)
    taus = [1.0, stats.kendalltau((0, 0, 1), (1, 0, 2)).statistic]
    assert found.tau_b.value == pytest.approx(sum(taus) / 2)
    signs = [(-1, -1), (-1, -1), (-1, -1), (0, 1), (-1, -1), (-1, -1)]
    assert found.alpha_nominal.value == pytest.approx(loop_alpha(signs, "nominal"))
    ranks = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 0), (1, 2)]
    assert found.alpha_ordinal.value == pytest.approx(loop_alpha(ranks, "ordinal"))  # type: ignore[arg-type]


def test_the_order_of_completions_does_not_matter(ranking: MakeRanking) -> None:
    first, second = ranking(0, (0, 2, 1), annotator="ann"), ranking(0, (0, 1, 2), annotator="bob")
    assert agreement([first, second]) == agreement([first, second.reordered((2, 0, 1))])


def test_people_who_draw_lots_do_not_agree(ranking: MakeRanking) -> None:
    chance = np.random.default_rng(1)
    rankings = [
        ranking(i, tuple(int(r) for r in chance.permutation(4)), annotator=name)
        for i in range(400)
        for name in ("ann", "bob", "cy")
    ]
    found = agreement(rankings)
    assert found.pairs.low < 0.5 < found.pairs.high
    assert abs(found.alpha_ordinal.value) < 0.05
    assert abs(found.tau_b.value) < 0.05
