"""What the steps are given survives its files whole, and nothing that is judged by is learned from."""

from itertools import islice
from pathlib import Path

import pytest

from danlu.alignment.material import (
    own_material,
    page_material,
    read_material,
    toy_material,
    without,
    write_material,
)
from danlu.alignment.prompts import demonstrated_prompts, make_prompts
from danlu.alignment.prompts_config import PromptsConfig
from danlu.common.errors import DanluError
from danlu.corpus.toy.config import ToyConfig
from danlu.feedback.desk import Desk
from danlu.feedback.files import write_rows
from danlu.feedback.records import Demonstration, Ranking, prompt_of

CONFIG = PromptsConfig(demonstrations=80, comparisons=20, ppo=30, held_out=15)


def test_the_files_hold_everything(tmp_path: Path) -> None:
    made = toy_material(ToyConfig(), CONFIG, lambda prompt, response: True)
    write_material(made, tmp_path)
    back = read_material(tmp_path)
    for name in ("demonstrations", "validation", "comparisons", "ppo", "held_out", "instructions"):
        assert getattr(back, name) == getattr(made, name), name
    assert len(made.demonstrations) + len(made.validation) == 80
    assert made.instructions is not None
    assert len(made.instructions) == 15
    assert back.notes["ppo"] == 30


def own(tmp_path: Path, count: int) -> Path:
    path = tmp_path / "mine.jsonl"
    write_rows(path, [{"prompt": f"Question {i}?", "completion": f"Answer {i}."} for i in range(count)])
    return path


def test_a_users_own_demonstrations_are_split_by_prompt(tmp_path: Path) -> None:
    made = own_material(own(tmp_path, 200), None, None, held_out=8)
    aside = {query.prompt for query in made.held_out}
    assert len(aside) == 8
    assert not aside & {record.prompt for record in (*made.demonstrations, *made.validation)}
    assert not aside & {query.prompt for query in (*made.comparisons, *made.ppo)}
    assert made.instructions is None
    assert 150 < len(made.ppo) < 200


def test_prompts_of_a_file_of_their_own_are_practised_on(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    write_rows(prompts, [{"prompt": f"Another {i}?"} for i in range(50)])
    made = own_material(own(tmp_path, 100), prompts, None, held_out=100)
    assert all(query.prompt[0].content.startswith("Another") for query in made.ppo)
    assert {query.prompt for query in made.ppo}.isdisjoint(query.prompt for query in made.held_out)


def always_fits(prompt: str, response: str) -> bool:
    return True


def test_twenty_demonstrations_are_enough(tmp_path: Path) -> None:
    """Two prompts are judged by even where the hash of none says so."""
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "mine.jsonl"
        write_rows(path, [{"prompt": f"{number}: {i}?", "completion": f"Answer {i}."} for i in range(20)])
        made = own_material(path, None, None, held_out=8)
        assert 2 <= len(made.held_out) <= 8
        assert len(made.demonstrations) + len(made.validation) >= 12
        assert {query.prompt for query in made.held_out}.isdisjoint(query.prompt for query in made.comparisons)


def test_what_is_written_at_a_page_goes_with_the_toy_languages_prompts(tmp_path: Path) -> None:
    toy = make_prompts(ToyConfig(), CONFIG)
    offered = list(islice(demonstrated_prompts(ToyConfig(), CONFIG, always_fits), 20))
    # What the page offers is what the toy language's own demonstrations are of, and so never what is judged by.
    assert set(offered) <= {record.prompt[0].content for record in toy.demonstrations}
    store = tmp_path / "feedback.sqlite"
    desk = Desk(store)
    prompts = [*offered, toy.held_out[0].prompt]
    desk.add_records([Demonstration(prompt_of(text), f"Answer {i}.", "page") for i, text in enumerate(prompts)])
    desk.close()
    made = page_material(store, ToyConfig(), CONFIG, always_fits)
    written = {record.prompt[0].content for record in (*made.demonstrations, *made.validation)}
    assert written == set(offered)
    assert [query.prompt[0].content for query in made.comparisons] == [one.prompt for one in toy.comparisons]
    assert made.instructions == toy.held_out


def test_too_little_is_refused_and_rankings_of_judged_prompts_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="too few"):
        own_material(own(tmp_path, 3), None, None, held_out=8)
    rankings = [Ranking(prompt_of(f"{i}"), ("a", "b"), (0, 1)) for i in range(3)]
    assert without(rankings, [prompt_of("1")]) == [rankings[0], rankings[2]]
