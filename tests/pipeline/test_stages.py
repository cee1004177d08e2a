import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from danlu.common.strict import to_mapping
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.stages import ROAD, road_to_assistant

_BY_NAME = {stage.name: stage for stage in ROAD}


def test_every_stage_comes_after_what_it_needs() -> None:
    seen: set[str] = set()
    for stage in ROAD:
        assert seen.issuperset(stage.needs), stage.name
        seen.add(stage.name)


def test_every_setting_that_decides_something_belongs_to_a_stage() -> None:
    """A setting that no stage knows could be changed without anything being done again."""
    known = {key for stage in road_to_assistant(Recipe()) for key in stage.settings(Recipe())}
    assert known == set(to_mapping(Recipe())) - {"name", "out", "seed"}


def test_when_to_save_does_not_make_a_training_another_one() -> None:
    often = replace(Recipe(), training=replace(Recipe().training, checkpoint_seconds=1.0, keep_checkpoints=9))
    assert _BY_NAME["pretrain"].settings(often) == _BY_NAME["pretrain"].settings(Recipe())


def test_the_users_own_files_are_watched_and_the_library_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    data = ("toy", "stdlib", str(tmp_path), str(tmp_path / "gone.txt"))
    recipe = replace(Recipe(), corpus=replace(Recipe().corpus, data=data))
    assert _BY_NAME["corpus"].sources(recipe) == {str(tmp_path): [tmp_path / "a.txt"]}


def test_the_pipeline_is_imported_without_torch() -> None:
    code = "import sys, danlu.pipeline.stages, danlu.pipeline.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
