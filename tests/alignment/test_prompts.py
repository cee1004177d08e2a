"""Prompts are split without overlap, reproducibly, in both languages, and demonstrations are of mixed quality."""

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.alignment import prompts
from danlu.alignment.prompts import (
    Prompts,
    instruction_config,
    instruction_of,
    labels_of,
    make_prompts,
    part_of,
)
from danlu.alignment.prompts_config import PARTS, PromptsConfig
from danlu.common.errors import DanluError
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.gold import gold
from danlu.corpus.toy.instructions import is_held_out
from danlu.feedback.records import prompt_text

SMALL = PromptsConfig(demonstrations=200, comparisons=60, ppo=90, held_out=50)


@cache
def small() -> Prompts:
    return make_prompts(ToyConfig(), SMALL)


def words(made: Prompts) -> dict[str, list[str]]:
    return {
        "demonstrations": [prompt_text(one.prompt) for one in made.demonstrations],
        **{part: [one.prompt for one in getattr(made, part)] for part in PARTS if part != "demonstrations"},
    }


def test_no_prompt_is_in_two_parts_and_every_part_is_full() -> None:
    parts = words(small())
    assert {part: len(found) for part, found in parts.items()} == {part: getattr(SMALL, part) for part in PARTS}
    for part, found in parts.items():
        others = {prompt for other, more in parts.items() if other != part for prompt in more}
        assert not others & set(found)
        assert part == "demonstrations" or len(set(found)) == len(found)


def test_what_is_held_out_is_what_the_toy_language_holds_out() -> None:
    share = instruction_config(ToyConfig(), SMALL).held_out
    for part, found in words(small()).items():
        assert {is_held_out(prompt, share) for prompt in found} == {part == "held_out"}


@given(st.text(), st.integers(1, 10**6), st.integers(1, 10**6))
def test_every_prompt_has_one_part(prompt: str, many: int, few: int) -> None:
    config = PromptsConfig(demonstrations=many, comparisons=few, ppo=few, held_out=few)
    assert part_of(prompt, config) in PARTS
    assert part_of(prompt, config) == part_of(prompt, config)


def test_it_is_a_function_of_seed_and_settings() -> None:
    few = PromptsConfig(demonstrations=5, comparisons=5, ppo=5, held_out=5)
    assert make_prompts(ToyConfig(), few) == make_prompts(ToyConfig(), few)
    assert make_prompts(ToyConfig(), few) != make_prompts(ToyConfig(seed=1), few)


def test_both_languages_and_all_kinds_are_there() -> None:
    assert {one.language for one in small().held_out} == {"en", "zh"}
    assert {one.kind for one in (*small().ppo, *small().comparisons)} == set(SMALL.kinds)
    only = PromptsConfig(demonstrations=9, comparisons=9, ppo=9, held_out=9, kinds=("scene",))
    assert {one.kind for one in make_prompts(ToyConfig(languages=("zh",)), only).ppo} == {"scene"}


def test_demonstrations_are_of_mixed_quality_and_know_their_instruction() -> None:
    perfect: list[float] = []
    spoilt: list[float] = []
    for one in small().demonstrations:
        instruction = instruction_of(one.labels, "a test")
        assert instruction is not None
        (spoilt if one.labels["defects"] else perfect).append(gold(instruction, one.response))
    assert abs(len(perfect) / SMALL.demonstrations - SMALL.good) < 0.15
    assert min(perfect) == 1.0
    assert sum(spoilt) / len(spoilt) < 0.85
    assert sum(small().defects.values()) >= len(spoilt)


def test_languages_can_have_equal_shares_of_what_is_ranked_and_practised() -> None:
    for part in (small().comparisons, small().ppo):
        assert sum(one.language == "zh" for one in part) == len(part) / 2
    uneven = make_prompts(ToyConfig(), replace(SMALL, even_languages=False))
    assert sum(one.language == "zh" for one in uneven.ppo) < 0.4 * SMALL.ppo
    # What SFT learns from and what everything is judged by are the same.
    assert (uneven.held_out, uneven.demonstrations) == (small().held_out, small().demonstrations)
    odd = PromptsConfig(demonstrations=1, comparisons=7, ppo=7, held_out=1)
    assert sorted(Counter(one.language for one in make_prompts(ToyConfig(), odd).ppo).values()) == [3, 4]
    assert len(make_prompts(ToyConfig(languages=("en",)), odd).ppo) == 7


def test_labels_hold_an_instruction_whole() -> None:
    one = small().ppo[0]
    assert instruction_of(labels_of(one), "a test") == one
    assert instruction_of({}, "a test") is None


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    few = PromptsConfig(demonstrations=9, comparisons=9, ppo=9, held_out=9)
    made = make_prompts(ToyConfig(), few, lambda prompt, response: len(prompt + response) < 300)
    assert made.too_long > 0
    assert all(len(prompt_text(one.prompt)) < 300 for one in made.demonstrations)


def test_more_than_the_language_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "_PATIENCE", 100)
    with pytest.raises(DanluError, match="different prompts"):
        make_prompts(ToyConfig(), PromptsConfig(demonstrations=1, comparisons=200, ppo=1, held_out=1, kinds=("list",)))
    with pytest.raises(DanluError, match="ppo"):
        PromptsConfig(ppo=0)
    with pytest.raises(DanluError, match="no kind of instruction"):
        PromptsConfig(kinds=())
