"""Simulated labellers: they agree as often as asked on realistic groups of completions, and lean as asked."""

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.alignment.labeller import (
    Labeller,
    PeopleAtADesk,
    SimulatedLabellers,
    expected_agreement,
    gold_scores,
    noise_for,
    ranks_of,
)
from danlu.alignment.labeller_config import LabellerConfig
from danlu.common.errors import DanluError
from danlu.common.strict import to_mapping
from danlu.corpus.toy.defects import Spoiler
from danlu.corpus.toy.instructions import InstructionConfig, examples
from danlu.feedback.agreement import agreement
from danlu.feedback.desk import Desk
from danlu.feedback.records import Ranking, prompt_of
from danlu.feedback.tasks import Policy, Task


@cache
def realistic(number: int, size: int = 4, start: int = 0) -> list[Task]:
    """Groups of completions of mixed quality, none to three defects each."""
    config = InstructionConfig()
    spoiler, tasks = Spoiler(config), []
    for example in examples(config, start, number):
        chance = random.Random(example.instruction.index)
        made = tuple(spoiler.spoil(example, chance.choice((0, 1, 1, 2, 3)), chance).response for _ in range(size))
        labels = {"instruction": to_mapping(example.instruction)}
        tasks.append(Task("rank", prompt_of(example.instruction.prompt), made, wanted=2, labels=labels))
    return tasks


def scored(task: Task) -> list[float]:
    """Scores that the task carries, for tests of the labellers alone."""
    return list(task.labels["scores"])


def plain(scores: Sequence[float], number: int = 0, wanted: int = 1) -> Task:
    completions = tuple(f"{number}/{i}" for i in range(len(scores)))
    return Task("rank", prompt_of(f"{number}"), completions, wanted=wanted, labels={"scores": list(scores)})


def test_agreement_is_that_of_people_by_default() -> None:
    found = agreement(SimulatedLabellers().rankings(realistic(700)))
    assert found.items == 700
    assert 0.72 <= found.untied_pairs.value <= 0.77
    assert found.untied_pairs.high - found.untied_pairs.low < 0.05


@pytest.mark.parametrize("wanted", [0.65, 0.72, 0.77, 0.9])
def test_agreement_is_as_asked(wanted: float) -> None:
    config = LabellerConfig(agreement=wanted)
    labellers = SimulatedLabellers.calibrated(config, realistic(500, start=5000))
    found = agreement(labellers.rankings(realistic(500)))
    assert found.untied_pairs.value == pytest.approx(wanted, abs=0.03)


def test_without_noise_the_order_is_golds() -> None:
    tasks = realistic(100)
    labellers = SimulatedLabellers(LabellerConfig(tie_band=0.0), noise=0.0)
    for task in tasks:
        (ranking, *_) = labellers.rankings([task])
        scores = gold_scores(task)
        for better, worse in ranking.pairs():
            assert scores[better] > scores[worse]
        assert ranking.num_pairs - len(list(ranking.pairs())) == sum(
            scores[i] == scores[j] for i in range(4) for j in range(i)
        )


def test_expected_agreement_is_what_happens_on_pairs() -> None:
    chance = np.random.default_rng(3)
    pairs = [list(map(float, chance.random(2))) for _ in range(6000)]
    labellers = SimulatedLabellers(LabellerConfig(tie_band=0.1), noise=0.3, scorer=scored)
    found = agreement(labellers.rankings([plain(p, i, wanted=2) for i, p in enumerate(pairs)]))
    expected = expected_agreement(0.3, pairs, 0.1)
    assert found.untied_pairs.low <= expected <= found.untied_pairs.high
    assert noise_for(expected, pairs, 0.1) == pytest.approx(0.3, rel=1e-6)


def test_who_stands_first_gains_by_the_position_bias() -> None:
    tasks = [plain([0.5, 0.5], i) for i in range(2000)]

    def wins_of_the_first(bias: float) -> float:
        labellers = SimulatedLabellers(LabellerConfig(position_bias=bias, tie_band=0.0), noise=0.2, scorer=scored)
        rankings = list(labellers.rankings(tasks))
        return sum(r.ranks[r.shown[0]] == 0 for r in rankings) / len(rankings)

    assert wins_of_the_first(0.0) == pytest.approx(0.5, abs=0.04)
    # A lead of 0.1 against noise of 0.2 in each of two scores: Phi(0.1 / (0.2 sqrt 2)) = 0.638.
    assert wins_of_the_first(0.1) == pytest.approx(0.638, abs=0.04)


def test_what_is_longer_gains_by_the_length_bias() -> None:
    tasks = [Task("rank", prompt_of(str(i)), ("x" * 10, "y" * 27), labels={"scores": [0.5, 0.5]}) for i in range(2000)]

    def wins_of_the_longer(bias: float) -> float:
        labellers = SimulatedLabellers(LabellerConfig(length_bias=bias, tie_band=0.0), noise=0.2, scorer=scored)
        rankings = list(labellers.rankings(tasks))
        return sum(r.ranks[1] == 0 for r in rankings) / len(rankings)

    assert wins_of_the_longer(0.0) == pytest.approx(0.5, abs=0.04)
    assert wins_of_the_longer(0.1) == pytest.approx(0.637, abs=0.04)  # log 2.7 = 0.993


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.floats(0, 0.5))
def test_ranks_follow_the_scores_and_ties_the_band(scores: list[float], band: float) -> None:
    ranks = ranks_of(scores, band)
    assert min(ranks) == 0
    assert sorted(set(ranks)) == list(range(max(ranks) + 1))
    for a, r in zip(scores, ranks, strict=True):
        for b, q in zip(scores, ranks, strict=True):
            if r < q:
                assert a > b
            if r == q:
                assert abs(a - b) <= band


def test_rankings_depend_on_configuration_and_task_alone() -> None:
    tasks = realistic(30)
    together = list(SimulatedLabellers().rankings(tasks))
    apart = [ranking for task in reversed(tasks) for ranking in SimulatedLabellers().rankings([task])]
    assert sorted(map(repr, together)) == sorted(map(repr, apart))
    other = list(SimulatedLabellers(LabellerConfig(seed=1)).rankings(tasks))
    assert [r.ranks for r in other] != [r.ranks for r in together]


def test_a_task_is_ranked_by_as_many_as_it_wants() -> None:
    task = plain([0.1, 0.9], wanted=5)
    rankings = list(SimulatedLabellers(LabellerConfig(annotators=3), scorer=scored).rankings([task]))
    assert len({r.annotator for r in rankings}) == len(rankings) == 3


def test_simulated_people_work_at_a_desk_like_others(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "feedback.db", Policy(gold_every=0, repeat_every=0))
    tasks = realistic(40)
    people: Labeller = PeopleAtADesk(desk)
    assert list(people.rankings(tasks)) == []
    exact = SimulatedLabellers(LabellerConfig(tie_band=0.0), noise=0.0)
    assert exact.work(desk, "ann") == exact.work(desk, "bob") == 40
    assert exact.work(desk, "cy") == 0
    rankings = list(people.rankings(tasks))
    assert len(rankings) == 80
    by_prompt = {task.prompt: gold_scores(task) for task in tasks}
    for ranking in rankings:
        for better, worse in ranking.pairs():
            assert by_prompt[ranking.prompt][better] > by_prompt[ranking.prompt][worse]
    # Another round's tasks are not mixed up with these.
    assert list(people.rankings(tasks[:3])) == [r for r in rankings if r.prompt in {t.prompt for t in tasks[:3]}]


def test_simulated_labellers_are_labellers() -> None:
    labeller: Labeller = SimulatedLabellers()
    rankings = list(labeller.rankings(realistic(5)))
    assert all(isinstance(r, Ranking) and r.source == "simulated" for r in rankings)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(DanluError, match="too much alike"):
        noise_for(0.75, [[0.5, 0.5, 0.5]], 0.0)
    with pytest.raises(DanluError, match="toy language"):
        gold_scores(Task("rank", prompt_of("q"), ("a", "b")))
    for wrong in ({"annotators": 0}, {"agreement": 0.4}, {"tie_band": -1.0}):
        with pytest.raises(DanluError):
            LabellerConfig(**wrong)
