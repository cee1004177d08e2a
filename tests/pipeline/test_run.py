import json
import tomllib
from dataclasses import replace

import pytest

from danlu.common.progress import Progress
from danlu.hardware.speed import Speed
from danlu.pipeline import run as run_module
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.run import run
from danlu.pipeline.stage import Stage

Road = tuple[Stage, ...]


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine of 800 GFLOP/s that is measured without torch; lists how often."""
    calls: list[str] = []

    def measure(device: str, precision: str) -> Speed:
        calls.append(device)
        return Speed("cpu", "bf16", {"bf16": 8e11, "fp32": 1e11}, ())

    monkeypatch.setattr(run_module, "measure_speed", measure)
    return calls


def _run(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    run(road, recipe, folder, "danlu run --out x", Progress(terminal=False))


def test_it_says_first_what_it_will_do_what_that_takes_and_where_it_goes(
    road: Road, recipe: Recipe, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(road, replace(recipe, budget="8e13flops"), folder)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fake: corpus, tokens, ladder, forecast, pretrain, verdict, report"
    assert lines[1] == f"writes to {folder.path}"
    assert lines[2].startswith("88T FLOPs of pretraining, about 7 min 20 s: ")
    assert "bf16 matrix products at 800 GFLOP/s (measured), 25% of that expected" in lines[2]


def test_a_second_time_there_is_nothing_to_do_or_to_measure(
    road: Road, recipe: Recipe, folder: RunFolder, capsys: pytest.CaptureFixture[str], measured: list[str]
) -> None:
    _run(road, recipe, folder)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    capsys.readouterr()
    _run(road, recipe, folder)
    assert capsys.readouterr().out == f"{folder.path}: nothing to do, every stage is done and unchanged\n"
    assert measured == ["auto"]
    assert before == {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}


def test_the_run_holds_its_recipe_and_what_made_it(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _run(road, recipe, folder)
    written = tomllib.loads(folder.recipe.read_text(encoding="utf-8"))
    assert written["budget"] == recipe.budget
    assert written["corpus"]["toy"]["entropy"] == recipe.corpus.toy.entropy
    manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
    assert {"danlu", "git", "created", "python", "packages", "hardware", "seeds", "data", "command"} <= set(manifest)
    assert manifest["command"] == "danlu run --out x"
    assert manifest["seeds"]["training.seed"] == recipe.training.seed
    assert manifest["hardware"]["peak_flops"] == {"bf16": 8e11, "fp32": 1e11}
    assert "torch" in manifest["packages"]


def test_the_manifest_keeps_the_first_session_and_adds_the_others(
    road: Road, recipe: Recipe, folder: RunFolder
) -> None:
    _run(road, recipe, folder)
    first = json.loads(folder.manifest.read_text(encoding="utf-8"))
    folder.report.unlink()
    _run(road, recipe, folder)
    second = json.loads(folder.manifest.read_text(encoding="utf-8"))
    assert len(second.pop("continued")) == 1
    assert second == first
