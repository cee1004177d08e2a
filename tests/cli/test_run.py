from pathlib import Path
from typing import Any

import pytest

from danlu.cli import run as verb
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe, resolve, write_recipe
from danlu.pipeline.stage import Stage


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the verb asks of the pipeline, which does nothing here."""
    seen: dict[str, Any] = {}

    def run(
        road: tuple[Stage, ...], recipe: Recipe, folder: RunFolder, command: str, report: Progress, *, force: bool
    ) -> None:
        seen.update(road=road, recipe=recipe, folder=folder, command=command, force=force)

    monkeypatch.setattr(verb, "run", run)
    monkeypatch.setattr(verb, "show_summary", lambda path: None)
    return seen


def test_without_anything_it_is_the_quickstart(asked: dict[str, Any]) -> None:
    verb.main([])
    assert asked["recipe"] == resolve(Recipe(), "quickstart")
    assert asked["folder"].path == Path("runs/quickstart")
    assert asked["command"] == "danlu run"
    assert not asked["force"]


def test_the_short_spelling_of_the_readme(asked: dict[str, Any]) -> None:
    verb.main(["--data", "a.txt", "b/*.md", "--budget", "10min", "--out", "runs/mine", "--force"])
    recipe = asked["recipe"]
    assert recipe.corpus.data == ("a.txt", "b/*.md")
    assert recipe.limits[0].value == 600
    assert asked["folder"].path == Path("runs/mine")
    assert asked["force"]
    verb.main(["--data=a.txt", "--budget=1e14flops"])
    assert asked["recipe"].corpus.data == ("a.txt",)


@pytest.mark.parametrize(
    ("data", "name"),
    [("toy", "quickstart"), ("stdlib", "stdlib"), ("texts/my poems.jsonl.gz", "my-poems"), ("hf:org/set/x", "x")],
)
def test_a_run_without_a_name_is_called_after_its_data(asked: dict[str, Any], data: str, name: str) -> None:
    verb.main(["--data", data])
    assert asked["folder"].path == Path("runs") / name


def test_flags_reach_every_room_and_override_the_recipe_file(asked: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('budget = "1e13flops"\n[corpus.toy]\nentropy = 0.9\nmegabytes = 3.0\n', encoding="utf-8")
    verb.main([str(path), "--corpus.toy.entropy", "0.1", "--training.lr", "0.5", "--ladder.share", "0.2"])
    recipe = asked["recipe"]
    assert (recipe.budget, recipe.corpus.toy.megabytes) == ("1e13flops", 3.0)
    assert (recipe.corpus.toy.entropy, recipe.training.lr, recipe.ladder.share) == (0.1, 0.5, 0.2)
    assert recipe.name == "mine"


def test_a_run_folder_is_continued(asked: dict[str, Any], tmp_path: Path) -> None:
    recipe = resolve(Recipe(budget="1e13flops", seed=3), "old")
    write_recipe(recipe, tmp_path / "recipe.toml")
    verb.main([str(tmp_path)])
    assert asked["folder"].path == tmp_path
    assert asked["recipe"].budget == "1e13flops"
    assert asked["recipe"].corpus == recipe.corpus
    assert asked["recipe"].name == "old"


def test_the_written_recipe_repeats_the_run_elsewhere(asked: dict[str, Any], tmp_path: Path) -> None:
    verb.main(["--seed", "5", "--budget", "1e13flops", "--out", str(tmp_path)])
    first = asked["recipe"]
    write_recipe(first, tmp_path / "recipe.toml")
    verb.main([str(tmp_path / "recipe.toml"), "--out", "elsewhere"])
    assert asked["recipe"].training == first.training
    assert asked["folder"].path == Path("elsewhere")


@pytest.mark.parametrize("words", [["nothing.toml"], ["--budget", "10apples"], ["--corpus.toy.entropy", "7"]])
def test_wrong_values_are_plain_errors(words: list[str]) -> None:
    with pytest.raises(DanluError):
        verb.main(words)


def test_an_unknown_flag_is_met_with_the_nearest() -> None:
    with pytest.raises(DanluError, match=r"has no flag --bugdet\.\n  Did you mean --budget\?"):
        verb.main(["--bugdet", "10min"])
