"""The outcome of an alignment: figures that belong together, curves with Gao's forms, a warning, and its file."""

from pathlib import Path

import numpy as np
import pytest

from danlu.alignment.outcome import (
    Point,
    Responses,
    curve_of,
    outcome_lines,
    outcome_of,
    read_outcome,
    write_outcome,
)
from danlu.alignment.overoptimisation import design
from danlu.corpus.toy.gold import gold
from danlu.corpus.toy.instructions import InstructionConfig, examples

MADE = list(examples(InstructionConfig(), 0, 12))
INSTRUCTIONS = [one.instruction for one in MADE]
PROMPTS = [one.prompt for one in INSTRUCTIONS]


def responses(name: str, good: int, reward: float = 0.0) -> Responses:
    texts = tuple(one.response if i < good else "" for i, one in enumerate(MADE))
    return Responses(name, texts, (True,) * 12, (9,) * 12, tuple(reward + i for i in range(12)), 1.0, 0.5)


def test_models_stand_side_by_side() -> None:
    found = outcome_of(PROMPTS, INSTRUCTIONS, [responses("sft", 6), responses("ppo", 12, 1.0)], None, [])
    ppo = found.model("ppo")
    assert ppo.gold is not None
    assert ppo.gold.gold.value == 1.0
    assert ppo.reward is not None
    assert ppo.reward.value == pytest.approx(6.5)
    by = {one.by: one for one in found.comparisons}
    assert by["gold"].wins.value == pytest.approx(0.75)  # six wins, six ties
    assert by["gold"].gain.value == pytest.approx(0.5)
    assert by["reward"].wins.value == 1.0
    assert all(one.second == "sft" for one in found.comparisons)
    for sample in found.samples:
        number = PROMPTS.index(sample.prompt)
        for name, text in sample.answers.items():
            assert sample.gold[name] == gold(INSTRUCTIONS[number], text)


def test_ppo_is_compared_with_best_of_n_too() -> None:
    every = [responses("base", 0), responses("sft", 6), responses("best-of-4", 8), responses("ppo", 9)]
    found = outcome_of(PROMPTS, INSTRUCTIONS, every, None, [])
    pairs = {(one.first, one.second) for one in found.comparisons if one.by == "gold"}
    assert pairs == {("best-of-4", "sft"), ("ppo", "sft"), ("ppo", "best-of-4")}


def test_the_file_holds_everything(tmp_path: Path) -> None:
    kl = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])
    true = 0.4 + design(np.sqrt(kl), "rl") @ [0.5, 0.3]
    curve = curve_of("rl", [Point(float(k), float(k), float(g)) for k, g in zip(kl, true, strict=True)])
    assert curve.fit is not None
    assert curve.fit.alpha.value == pytest.approx(0.5)
    assert curve.fit.beta.value == pytest.approx(0.3)
    found = outcome_of(PROMPTS, INSTRUCTIONS, [responses("sft", 6), responses("ppo", 9)], None, [curve])
    write_outcome(found, tmp_path / "outcome.json")
    assert read_outcome(tmp_path / "outcome.json") == found


def test_a_proxy_that_rises_while_gold_falls_is_warned_of() -> None:
    points = [Point(float(i), float(i), 1.0 - 0.05 * i + 0.001 * (i % 2)) for i in range(10)]
    curve = curve_of("rl", points)
    assert curve.misled
    found = outcome_of(PROMPTS, INSTRUCTIONS, [responses("sft", 6)], None, [curve])
    assert any("over-optimised" in line for line in outcome_lines(found))
    assert not curve_of("rl", [Point(p.kl, p.proxy, p.kl) for p in points]).misled


def test_without_gold_the_reward_model_judges_alone() -> None:
    found = outcome_of(["p"] * 12, None, [responses("sft", 6), responses("ppo", 6, 1.0)], None, [])
    assert found.models[0].gold is None
    assert [one.by for one in found.comparisons] == ["reward"]
    assert curve_of("rl", [Point(1.0, 1.0, None)] * 6).fit is None
    assert "ppo beats sft" in "\n".join(outcome_lines(found))


def test_nothing_optimised_means_no_curve() -> None:
    assert curve_of("rl", [Point(0.0, 1.0, 0.5)] * 8).fit is None


def test_a_peak_without_bound_has_a_file_too(tmp_path: Path) -> None:
    kl = [0.0, 0.1, 0.4, 0.9, 1.6, 2.5]
    wiggle = [0.0, 0.02, -0.02, 0.02, -0.02, 0.02]
    points = [Point(k, k, 0.3 + 0.1 * k**0.5 + w) for k, w in zip(kl, wiggle, strict=True)]
    found = outcome_of(PROMPTS, INSTRUCTIONS, [responses("sft", 6)], None, [curve_of("best_of_n", points)])
    write_outcome(found, tmp_path / "outcome.json")
    assert read_outcome(tmp_path / "outcome.json") == found
