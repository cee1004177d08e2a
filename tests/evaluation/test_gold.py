"""Means of the gold score with intervals that hold, win rates, and how often a score orders pairs as gold does."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.corpus.toy.gold import gold, score
from danlu.corpus.toy.instructions import InstructionConfig, examples
from danlu.evaluation.gold import (
    Answer,
    difference,
    estimate,
    gold_report,
    gold_values,
    pair_agreement,
    win_rate,
)

EXAMPLES = list(examples(InstructionConfig(chinese=0.5), 0, 60))
PERFECT = [Answer(one.instruction, one.response, True, 10) for one in EXAMPLES]
EMPTY = [Answer(one.instruction, "", False, 4) for one in EXAMPLES]


def test_perfect_answers_score_one_in_every_respect() -> None:
    report = gold_report(PERFECT)
    assert report.gold.value == report.gold.low == report.gold.high == 1.0
    assert set(report.by_language) == {"en", "zh"}
    assert set(report.by_kind) == {one.instruction.kind for one in EXAMPLES}
    assert report.constraints["all"].value == 1.0
    assert (report.ended, report.tokens) == (1.0, 10.0)


def test_groups_are_means_of_their_members_and_counts_add_up() -> None:
    answers = [*PERFECT[:30], *EMPTY[30:]]
    report = gold_report(answers)
    assert report.gold.value == pytest.approx(np.mean([gold(a.instruction, a.text) for a in answers]))
    assert sum(one.count for one in report.by_language.values()) == report.gold.count == 60
    assert sum(one.count for one in report.by_kind.values()) == 60
    chinese = [gold(a.instruction, a.text) for a in answers if a.instruction.language == "zh"]
    assert report.by_language["zh"].value == pytest.approx(np.mean(chinese))
    met = [m for a in answers for m in score(a.instruction, a.text).constraints]
    assert report.constraints["all"].value == pytest.approx(np.mean(met))
    assert report.constraints["all"].count == len(met)
    assert report.ended == 0.5


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, 400)
    found = estimate(values)
    half = 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert found == estimate(values)


def test_win_rates() -> None:
    assert win_rate([1.0, 0.0, 0.5, 0.5], [0.0, 1.0, 0.5, 0.4]).value == pytest.approx(0.625)
    assert win_rate(gold_values(PERFECT), gold_values(EMPTY)).value == 1.0
    assert win_rate([0.50, 0.9], [0.51, 0.1], tie=0.03).value == pytest.approx(0.75)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_win_rates_of_both_sides_make_one(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    assert win_rate(first, second).value + win_rate(second, first).value == pytest.approx(1.0)
    assert difference(first, second).value == pytest.approx(-difference(second, first).value)


def test_agreement_with_gold_counts_untied_pairs() -> None:
    scores, true = [[3.0, 1.0, 2.0], [0.1, 0.2]], [[0.9, 0.1, 0.1], [0.5, 0.4]]
    found = pair_agreement(scores, true)
    assert found is not None
    assert (found.value, found.count) == (pytest.approx(2 / 3), 3)  # the pair 0.1, 0.1 says nothing
    assert pair_agreement([[1.0, 2.0]], [[0.5, 0.5]]) is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=5), min_size=1, max_size=8), st.floats(0, 0.3))
def test_agreement_is_what_a_loop_counts(true: list[list[float]], tie: float) -> None:
    chance = np.random.default_rng(0)
    scores = [list(chance.normal(size=len(group))) for group in true]
    right = pairs = 0
    for mine, group in zip(scores, true, strict=True):
        for i, j in itertools.combinations(range(len(group)), 2):
            if abs(group[i] - group[j]) > tie:
                pairs += 1
                right += (mine[i] > mine[j]) == (group[i] > group[j])
    found = pair_agreement(scores, true, tie)
    assert (found is None) == (pairs == 0)
    assert found is None or (found.count, found.value) == (pairs, pytest.approx(right / pairs))
