"""The alignment part of the page: figures as they were measured, both languages, pictures that are well-formed."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from danlu.alignment.outcome import Outcome, Point, Responses, RewardOutcome, curve_of, outcome_of, write_outcome
from danlu.alignment.overoptimisation import design
from danlu.common.files import write_json
from danlu.corpus.toy.instructions import InstructionConfig, examples
from danlu.evaluation.gold import Estimate
from danlu.report import alignment_picture
from danlu.report.alignment import alignment_part
from danlu.report.page import render
from danlu.report.reading import read_run
from danlu.report.terminal import terminal_summary

NAMES = ("base", "sft", "best-of-4", "ppo")


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    made = list(examples(InstructionConfig(chinese=0.5), 0, 24))
    responses = []
    for quality, name in enumerate(NAMES):
        texts = [one.response if i % 4 < quality + 1 else "the the" for i, one in enumerate(made)]
        rewards = tuple(float(text != "the the") + i / 1000 for i, text in enumerate(texts))
        ended = tuple(i % 4 < quality + 1 for i in range(len(made)))
        responses.append(
            Responses(name, tuple(texts), ended, (20,) * len(made), rewards, 1.5 * quality, 0.9 + quality / 100)
        )
    kl = [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]
    gains = design(np.sqrt(kl), "rl") @ [0.4, 0.2]
    points = [Point(k, 0.1 * k, 0.5 + float(g)) for k, g in zip(kl, gains, strict=True)]
    reward_model = RewardOutcome(3210, Estimate(0.74, 0.7, 0.78, 500), Estimate(0.87, 0.85, 0.9, 600), None, None)
    instructions = [one.instruction for one in made]
    prompts = [one.prompt for one in instructions]
    return outcome_of(prompts, instructions, responses, reward_model, [curve_of("rl", points)])


@pytest.fixture
def aligned(run: Path, outcome: Outcome) -> Path:
    """A finished run that was aligned too."""
    write_outcome(outcome, run / "align" / "outcome.json")
    for step in ("demonstrations", "sft", "rankings", "reward", "ppo", "align"):
        write_json(run / step / "stage.json", {"state": "done", "seconds": 12.0})
    return run


def test_the_page_shows_the_assistant_in_both_languages(aligned: Path, outcome: Outcome) -> None:
    page = render(read_run(aligned))
    ppo, sft = outcome.model("ppo"), outcome.model("sft")
    assert ppo.gold is not None
    assert sft.gold is not None
    assert f"{ppo.gold.gold.value:.3f}" in page
    assert f"{sft.gold.by_language['zh'].value:.3f}" in page
    assert "The assistant" in page
    assert "助手" in page
    assert "87.0%" in page
    assert "3,210" in page
    assert "Talk with the assistant" in page


def test_the_alignment_tax_is_shown_against_the_base(aligned: Path) -> None:
    part = alignment_part(read_run(aligned), lambda drawn: next(iter(drawn.values())))
    assert part is not None
    cells = [[cell.words.en for cell in row] for row in part.models.rows]
    assert [row[0] for row in cells] == ["base model", "SFT", "best of 4", "PPO"]
    assert cells[0][6] == "0.9000"
    assert cells[3][6] == "0.9300 (+3.3%)"


def test_pictures_are_well_formed_and_mark_the_peak(aligned: Path) -> None:
    outcome = read_run(aligned).alignment
    for layout in (alignment_picture.WIDE, alignment_picture.NARROW):
        for language in ("en", "zh"):
            gold = ET.fromstring(alignment_picture.draw_gold(outcome, language, layout))
            curves = ET.fromstring(alignment_picture.draw_curves(outcome, language, layout))
            assert len(gold.findall(".//*[@data-tip]")) == len(NAMES) * 3
            assert len(curves.findall(".//*[@data-tip]")) == 2 * 6
            peak = [path for path in curves.iter() if path.get("class") == "forecast"]
            assert len(peak) == 1


def test_without_gold_and_without_a_reward_model_there_is_still_a_page(run: Path) -> None:
    plain = [Responses(name, ("a", "b"), (True, False), (3, 4)) for name in ("base", "sft")]
    write_outcome(outcome_of(["p", "q"], None, plain, None, []), run / "align" / "outcome.json")
    page = render(read_run(run))
    assert "no reward model was trained" in page
    assert "gold score is a program" not in page


def test_rounds_stand_side_by_side(aligned: Path) -> None:
    estimate = {"value": 0.8, "low": 0.7, "high": 0.9, "count": 9}
    rounds = [{"round": n, "comparisons": 100 * n, "gold": estimate, "kl": 2.0 * n, "reward": 0.5} for n in (1, 2)]
    lines = "".join(json.dumps(one) + "\n" for one in rounds)
    (aligned / "align" / "rounds.jsonl").write_text(lines, encoding="utf-8")
    part = alignment_part(read_run(aligned), lambda drawn: next(iter(drawn.values())))
    assert part is not None
    assert part.rounds is not None
    assert [row[1].words.en for row in part.rounds.rows] == ["100", "200"]
    assert "danlu align" in render(read_run(aligned))


def test_what_is_damaged_or_strange_does_not_break_the_page(aligned: Path) -> None:
    write_json(aligned / "align" / "outcome.json", {"models": [{"name": 7, "gold": {"gold": "x"}}], "curves": [{}]})
    assert "The assistant" in render(read_run(aligned))
    (aligned / "align" / "outcome.json").write_text("{", encoding="utf-8")
    assert "align/outcome.json" in render(read_run(aligned))
    assert terminal_summary(aligned)
