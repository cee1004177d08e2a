from pathlib import Path

import pytest

from danlu.cli.model_folder import model_folder
from danlu.cli.parse import continue_folder, new_folder
from danlu.common.errors import DanluError


def test_nobodys_files_are_written_over(tmp_path: Path) -> None:
    assert new_folder(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "empty").mkdir()
    new_folder(tmp_path / "empty")
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    for path in (tmp_path, tmp_path / "mine"):
        with pytest.raises(DanluError, match="holds something"):
            new_folder(path)


def test_the_same_settings_continue_and_others_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with continue_folder(out, "ladder", {"budget": 1, "training": {"lr": None}}):
        (out / "work").write_text("", encoding="utf-8")
    with continue_folder(out, "ladder", {"budget": 1, "training": {"lr": None}}):
        assert (out / "work").exists()
    with (
        pytest.raises(DanluError, match=r"training\.lr: None before, 0\.1 now"),
        continue_folder(out, "ladder", {"budget": 1, "training": {"lr": 0.1}}),
    ):
        pass


def test_a_folder_of_something_else_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(DanluError, match="holds something"), continue_folder(tmp_path, "ladder", {}):
        pass


def test_killed_before_anything_was_noted_it_begins_again(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("", encoding="utf-8")
    with continue_folder(tmp_path, "ladder", {"budget": 1}):
        assert (tmp_path / "ladder.json").exists()


def test_a_model_is_found_in_its_folder_its_run_and_its_training(tmp_path: Path) -> None:
    run, training = tmp_path / "run", tmp_path / "training"
    for folder in (run / "pretrain" / "model", training / "model"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}", encoding="utf-8")
    assert model_folder(run) == model_folder(run / "pretrain" / "model") == run / "pretrain" / "model"
    assert model_folder(training) == training / "model"
    with pytest.raises(DanluError, match="there is no model"):
        model_folder(tmp_path)
    (tmp_path / "recipe.toml").write_text("", encoding="utf-8")
    with pytest.raises(DanluError, match="no trained model yet"):
        model_folder(tmp_path)
