"""Rankings of sampled completions, and the judgement of a reward model by labels and by gold."""

from collections.abc import Sequence

import pytest

from danlu.alignment.labeller_config import LabellerConfig
from danlu.alignment.material import toy_material
from danlu.alignment.prompts import instruction_of
from danlu.alignment.prompts_config import PromptsConfig
from danlu.alignment.rank import (
    judge_reward_model,
    ranking_tasks,
    reward_lines,
    simulated_labellers,
    split_rankings,
    together,
)
from danlu.common.errors import DanluError
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.gold import gold
from danlu.feedback.records import Prompt, Ranking, prompt_of

MADE = toy_material(ToyConfig(), PromptsConfig(120, 60, 1, 1), lambda prompt, response: True)
TEXTS = [record.response for record in MADE.demonstrations]


def texts_for(number: int) -> list[str]:
    """Four completions of each prompt, of every quality: responses to other prompts, cut at odd places."""
    every = []
    for i in range(number):
        some = [TEXTS[(7 * i + j) % len(TEXTS)] for j in range(3)]
        every += [some[0], some[1][: len(some[1]) // 2], some[2] + some[2], some[0][: 5 + i % 9]]
    return every


def rankings() -> list[Ranking]:
    tasks = ranking_tasks(MADE.comparisons, texts_for(60), 4, 0.5, "sft")
    return list(simulated_labellers(LabellerConfig(agreement=0.9), tasks).rankings(tasks))


def true_scores(prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
    queries = {query.prompt: query for query in MADE.comparisons}
    scores = []
    for prompt, text in zip(prompts, completions, strict=True):
        instruction = instruction_of(queries[prompt].labels, "a test")
        assert instruction is not None
        scores.append(gold(instruction, text))
    return scores


def test_tasks_show_each_text_once_and_say_nothing_where_there_is_no_choice() -> None:
    queries = MADE.comparisons[:3]
    tasks = ranking_tasks(queries, ["a", "a", "b", "c", "c", "c", "d", "e", "f"], 3, 0.0, "sft")
    assert [task.completions for task in tasks] == [("a", "b"), ("d", "e", "f")]
    assert tasks[0].labels == queries[0].labels
    with pytest.raises(DanluError, match="nothing to rank"):
        ranking_tasks(queries[:1], ["a", "a"], 2, 0.0, "sft")


def test_overlap_gives_some_tasks_to_two_people() -> None:
    made = rankings()
    by_prompt: dict[Prompt, set[str]] = {}
    for ranking in made:
        by_prompt.setdefault(ranking.prompt, set()).add(ranking.annotator)
    assert {len(people) for people in by_prompt.values()} == {1, 2}


def test_opinions_on_the_same_completions_are_put_together_by_the_sum_of_ranks() -> None:
    said = [((0, 1, 2), "ann"), ((0, 2, 1), "bob"), ((1, 0, 2), "cyn")]
    rankings = [Ranking(prompt_of("p"), ("x", "y", "z"), ranks, annotator=name) for ranks, name in said]
    other = Ranking(prompt_of("q"), ("x", "y", "z"), (2, 1, 0), annotator="ann")
    joined, alone = together([*rankings[:2], other, rankings[2]])
    assert joined.ranks == (0, 1, 2)  # sums 1, 3, 5
    assert joined.annotator == "ann+bob+cyn"
    assert alone is other
    assert together(rankings[1:])[0].ranks == (0, 1, 2)
    assert together(rankings[:2])[0].ranks == (0, 1, 1)  # sums 0, 3, 3: they do not agree on the last two


def test_three_labellers_together_err_less_than_one() -> None:
    tasks = ranking_tasks(MADE.comparisons, texts_for(60), 4, 0.0, "sft", opinions=3)
    every = list(simulated_labellers(LabellerConfig(agreement=0.75), tasks).rankings(tasks))
    assert len(every) == 3 * len(tasks)

    def right(rankings: list[Ranking]) -> float:
        found = judge_reward_model([], rankings, true_scores, 0.03).labellers
        assert found is not None
        return found.value

    assert right(together(every)) > right(every) + 0.03


def test_the_split_is_by_prompt() -> None:
    learn, judge = split_rankings(rankings(), 0.4)
    assert {r.prompt for r in learn}.isdisjoint(r.prompt for r in judge)
    assert learn
    assert judge


def test_a_perfect_reward_model_agrees_with_gold_and_less_with_people() -> None:
    learn, judge = split_rankings(rankings(), 0.5)
    found = judge_reward_model(learn, judge, true_scores, tie=0.03)
    assert found.gold is not None
    assert found.labels is not None
    assert found.labellers is not None
    assert found.gold.value == 1.0
    assert found.labels.value < 1.0
    assert 0.7 < found.labellers.value < 1.0
    assert found.comparisons == sum(len(list(r.pairs())) for r in learn)
    worst = judge_reward_model(learn, judge, lambda p, c: [-x for x in true_scores(p, c)], tie=0.03)
    assert worst.gold is not None
    assert worst.gold.value == 0.0
    assert worst.length == found.length
    words = "\n".join(reward_lines(found))
    assert "agrees with gold on 100.0%" in words
    assert "models" not in words
    assert "by each of 2 models" in reward_lines(judge_reward_model(learn, judge, true_scores, 0.03, models=2))[0]


def test_pairs_in_the_tie_band_count_in_a_figure_of_their_own() -> None:
    learn, judge = split_rankings(rankings(), 0.5)

    def blind_to_small_gaps(prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        return [round(score, 1) for score in true_scores(prompts, completions)]

    found = judge_reward_model(learn, judge, blind_to_small_gaps, tie=0.1)
    assert found.gold is not None
    assert found.gold_all is not None
    assert found.gold.value > found.gold_all.value
    assert found.gold.count < found.gold_all.count
    words = "\n".join(reward_lines(found))
    assert f"in the tie band, which labellers call equal: {found.gold_all.value:.1%}" in words


def test_rankings_of_ordinary_language_have_no_gold() -> None:
    ranking = Ranking(prompt_of("Hello?"), ("a", "bb"), (1, 0))
    found = judge_reward_model([ranking], [ranking], lambda p, c: [float(len(x)) for x in c], tie=0.03)
    assert found.gold is None
    assert found.labels is not None
    assert found.labels.value == 1.0
