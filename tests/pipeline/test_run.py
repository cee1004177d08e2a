import json
import operator
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from danlu.alignment.road_config import AlignmentConfig
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.corpus.config import CorpusConfig
from danlu.hardware.speed import Speed
from danlu.pipeline import run as run_module
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe, resolve
from danlu.pipeline.run import run
from danlu.pipeline.stage import Stage
from danlu.pipeline.stages import road_to_assistant

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
    assert lines[2].startswith("pretraining of at most 8e+13 flops, and its ladder: ")
    assert "bf16 matrix products at 800 GFLOP/s (measured)" in lines[2]


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


def test_what_is_not_there_is_said_before_anything_is_measured_or_written(
    road: Road, recipe: Recipe, folder: RunFolder, measured: list[str]
) -> None:
    def check(recipe: Recipe) -> None:
        raise DanluError("there is no file mine.txt.", "Check the path.")

    lacking = (*road[:-1], replace(road[-1], check=check))
    with pytest.raises(DanluError, match=r"mine\.txt"):
        _run(lacking, recipe, folder)
    assert measured == []
    assert not folder.recipe.exists()
    _run(road, recipe, folder)
    _run(lacking, recipe, folder)  # what is done needs its files no more


def test_files_of_a_user_that_cannot_be_used_are_told_before_any_work(tmp_path: Path) -> None:
    text, bad, good = tmp_path / "a.txt", tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    text.write_text("text", encoding="utf-8")
    bad.write_text('{"question": "?", "reply": "!"}\n', encoding="utf-8")
    good.write_text("".join(f'{{"prompt": "Say {i}.", "completion": "{i}."}}\n' for i in range(40)), encoding="utf-8")
    gone = str(tmp_path / "gone")
    for data, alignment, said in (
        (gone, AlignmentConfig(), gone),
        (str(text), AlignmentConfig(demonstrations=gone), f"{gone} (--demonstrations)"),
        (str(text), AlignmentConfig(demonstrations=str(good), rankings=gone), f"{gone} (--rankings)"),
        (str(text), AlignmentConfig(demonstrations=str(bad)), "bad.jsonl"),
        (str(text), AlignmentConfig(demonstrations=str(good), rankings=str(good)), "good.jsonl"),
    ):
        asked = resolve(Recipe(corpus=CorpusConfig(data=(data,)), alignment=alignment), "a")
        checks = [partial(stage.check, asked) for stage in road_to_assistant(asked)]
        with pytest.raises(DanluError) as caught:
            list(map(operator.call, checks))
        assert said in caught.value.cause
