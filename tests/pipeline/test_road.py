import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.road import walk, work_to_do
from danlu.pipeline.stage import Stage

Road = tuple[Stage, ...]


def _go(road: Road, recipe: Recipe, folder: RunFolder, force: bool = False) -> None:
    with folder.locked():
        walk(road, recipe, folder, Progress(terminal=False), force=force)


def _seed(recipe: Recipe, seed: int) -> Recipe:
    return replace(recipe, corpus=replace(recipe.corpus, toy=replace(recipe.corpus.toy, seed=seed)))


def _content(folder: RunFolder) -> dict[str, Any]:
    """Everything in the run but times and the lock."""
    found: dict[str, Any] = {}
    for path in sorted(folder.path.rglob("*")):
        name = path.relative_to(folder.path).as_posix()
        if not path.is_file() or name == ".lock":
            continue
        data: Any = path.read_bytes()
        if path.name == "stage.json" or path.parent.name == "stages":
            data = {key: value for key, value in json.loads(data).items() if key not in ("started", "seconds")}
        found[name] = data
    return found


def test_a_fresh_run_has_everything_to_do_and_then_nothing(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    assert list(work_to_do(road, recipe, folder)) == [stage.name for stage in road]
    _go(road, recipe, folder)
    assert not work_to_do(road, recipe, folder)


def test_a_finished_run_is_not_touched(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _go(road, recipe, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if path.is_file()}
    _go(road, recipe, folder)
    after = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*") if path.is_file()}
    lock = folder.path / ".lock"
    assert {**before, lock: 0} == {**after, lock: 0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_change_of_the_disk_is_survived(
    road: Road, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL just before the n-th file operation, for many n; then the same again to the end: the same run."""
    monkeypatch.setattr("os.fsync", lambda file: None)  # a kill loses nothing that the system has taken
    whole = RunFolder(tmp_path / "whole")
    _go(road, recipe, whole)
    expected = _content(whole)
    survived = 0
    for moment in range(0, 10_000, 5):
        folder = RunFolder(tmp_path / "killed")
        shutil.rmtree(folder.path, ignore_errors=True)
        if not _killed(road, recipe, folder, moment):
            break
        _go(road, recipe, folder)
        assert _content(folder) == expected, f"killed at file operation {moment}"
        survived += 1
    assert survived > 20


def _killed(road: Road, recipe: Recipe, folder: RunFolder, moment: int) -> bool:
    """Run the road in a child that dies at its n-th file operation; False when it ended before."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
                if seen == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1

        sys.addaudithook(hook)
        try:
            _go(road, recipe, folder)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_changed_recipe_is_refused_with_the_keys_named(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _until("ladder", road, recipe, folder)
    before = _content(folder)
    with pytest.raises(DanluError) as caught:
        _go(road, _seed(recipe, 3), folder)
    assert "corpus.toy.seed: 0 before, 3 now" in caught.value.cause
    assert "--force" in caught.value.remedy
    assert _content(folder) == before


def _until(last: str, road: Road, recipe: Recipe, folder: RunFolder) -> None:
    """Walk up to and including a stage, as if stopped after it."""

    class Enough(BaseException):
        pass

    def stop(job: object) -> dict[str, Any]:
        raise Enough

    place = [stage.name for stage in road].index(last) + 1
    cut = (*road[:place], replace(road[place], run=stop, writes="file"), *road[place + 1 :])
    with pytest.raises(Enough):
        _go(cut, recipe, folder)


def test_before_costly_work_a_changed_recipe_is_simply_followed(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _until("tokens", road, recipe, folder)
    _go(road, _seed(recipe, 3), folder)
    assert not work_to_do(road, _seed(recipe, 3), folder)


def test_force_redoes_only_what_changed(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _until("forecast", road, recipe, folder)
    made = (folder.tokens / "stage.json").read_bytes()
    _go(road, replace(recipe, budget="2e12flops"), folder, force=True)
    assert (folder.tokens / "stage.json").read_bytes() == made
    assert "2e12flops" in folder.forecast.read_text(encoding="utf-8")
    assert "1e12flops" not in (folder.ladder / "result.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("force", [False, True])
def test_a_forecast_is_never_rewritten_once_training_has_begun(
    road: Road, recipe: Recipe, folder: RunFolder, force: bool
) -> None:
    _go(road, recipe, folder)
    before = _content(folder)
    for other in (_seed(recipe, 1), replace(recipe, budget="2e12flops")):
        with pytest.raises(DanluError, match="another --out"):
            _go(road, other, folder, force=force)
    assert _content(folder) == before


def test_what_comes_after_the_verdict_is_redone_freely(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _go(road, recipe, folder)
    renamed = replace(recipe, name="other")
    assert list(work_to_do(road, renamed, folder)) == ["report"]
    _go(road, renamed, folder)
    assert folder.report.read_text(encoding="utf-8").startswith("other")


def test_a_damaged_quick_stage_is_made_again_and_nothing_after_it(
    road: Road, recipe: Recipe, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    _go(road, recipe, folder)
    before = _content(folder)
    shard = folder.corpus / "train-00000.bin"
    shard.write_bytes(shard.read_bytes()[:100])
    assert list(work_to_do(road, recipe, folder)) == ["corpus"]
    capsys.readouterr()
    _go(road, recipe, folder)
    assert "train-00000.bin is 100 bytes, 256 were written" in capsys.readouterr().out
    assert _content(folder) == before


def test_a_damaged_costly_stage_is_never_redone_unasked(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _go(road, recipe, folder)
    (folder.pretrain / "result.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DanluError) as caught:
        _go(road, recipe, folder)
    assert str(folder.pretrain / "result.json") in caught.value.cause
    assert str(folder.pretrain) in caught.value.remedy


def test_a_page_that_its_verb_wrote_anew_is_no_damage_and_one_that_is_gone_is_written(
    road: Road, recipe: Recipe, folder: RunFolder
) -> None:
    road = (*road[:-1], replace(road[-1], rewritable=True))
    _go(road, recipe, folder)
    folder.report.write_text("a newer page", encoding="utf-8")
    assert not work_to_do(road, recipe, folder)
    folder.report.unlink()
    assert list(work_to_do(road, recipe, folder)) == ["report"]


def test_an_altered_forecast_is_found(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _go(road, recipe, folder)
    folder.forecast.write_text(folder.forecast.read_text(encoding="utf-8").replace("1e12", "2e12"), encoding="utf-8")
    with pytest.raises(DanluError, match=r"forecast .* is gone or damaged"):
        _go(road, recipe, folder)


def test_folders_removed_to_free_the_disk_are_not_made_again(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _go(road, recipe, folder)
    for path in (folder.corpus, folder.tokens, folder.ladder):
        shutil.rmtree(path)
    assert not work_to_do(road, recipe, folder)


def test_a_removed_folder_is_made_again_when_something_still_needs_it(
    road: Road, recipe: Recipe, folder: RunFolder
) -> None:
    _go(road, recipe, folder)
    expected = _content(folder)
    for path in (folder.corpus, folder.tokens, folder.pretrain):
        shutil.rmtree(path)
    assert list(work_to_do(road, recipe, folder)) == ["corpus", "tokens", "pretrain"]
    _go(road, recipe, folder)
    assert _content(folder) == expected


def test_older_code_is_redone_where_cheap_and_kept_where_costly(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _until("ladder", road, recipe, folder)
    newer = tuple(replace(stage, version=2) for stage in road)
    assert [name for name in work_to_do(newer, recipe, folder) if name in ("corpus", "tokens", "ladder")] == [
        "corpus",
        "tokens",
    ]
    _go(road, recipe, folder)
    assert list(work_to_do(newer, recipe, folder)) == ["verdict", "report"]


def _with_a_source(road: Road, text: Path) -> tuple[Road, Path]:
    """The road whose first stage reads that file of the user's."""
    text.write_text("one", encoding="utf-8")
    return (replace(road[0], sources=lambda recipe: {text.name: [text]}), *road[1:]), text


def test_a_changed_source_file_counts_and_a_vanished_one_does_not(
    road: Road, recipe: Recipe, folder: RunFolder, tmp_path: Path
) -> None:
    road, text = _with_a_source(road, tmp_path / "mine.txt")
    _go(road, recipe, folder)
    text.write_text("two, longer", encoding="utf-8")
    with pytest.raises(DanluError, match=r"mine\.txt has changed"):
        _go(road, recipe, folder)
    text.unlink()
    assert not work_to_do(road, recipe, folder)


def test_a_copy_of_a_source_file_is_the_same_whenever_it_was_made(
    road: Road, recipe: Recipe, folder: RunFolder, tmp_path: Path
) -> None:
    road, text = _with_a_source(road, tmp_path / "mine.txt")
    _go(road, recipe, folder)
    os.utime(text, ns=(0, 0))
    assert not work_to_do(road, recipe, folder)
    text.write_text("two", encoding="utf-8")
    with pytest.raises(DanluError, match=r"mine\.txt has changed"):
        _go(road, recipe, folder)


def test_a_damaged_record_is_named(road: Road, recipe: Recipe, folder: RunFolder) -> None:
    _go(road, recipe, folder)
    (folder.pretrain / "stage.json").write_text("{", encoding="utf-8")
    with pytest.raises(DanluError, match=r"pretrain/stage\.json"):
        _go(road, recipe, folder)
    assert (folder.pretrain / "result.json").exists()
