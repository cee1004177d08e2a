from collections.abc import Callable
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.report.reading import Record, read_run


def test_a_record_gives_none_for_what_is_missing_or_of_another_type() -> None:
    record = Record(
        {"a": {"b": 1.5}, "text": "1.5", "yes": True, "nan": float("nan"), "huge": 10**400, "list": [1, "x", {}]}
    )
    assert record.number("a", "b") == 1.5
    assert record.number("a", "b", "c") is None
    assert record.number("text") is None
    assert record.number("yes") is None
    assert record.number("nan") is None
    assert record.number("huge") is None
    assert record.text("a") is None
    assert record.texts("list") == ("x",)
    assert len(record.records("list")) == 1
    assert not record.record("nothing")


def test_a_folder_that_is_not_there_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="no run folder"):
        read_run(tmp_path / "none")


def test_an_empty_folder_reads_as_a_run_that_has_not_begun(tmp_path: Path) -> None:
    files = read_run(tmp_path)
    assert not files.points
    assert not files.damaged
    assert files.target_curve is None


def test_damaged_files_are_named_and_the_rest_is_read(run: Path) -> None:
    (run / "forecast.json").write_text("{", encoding="utf-8")
    (run / "corpus/corpus.json").write_bytes(b"\xff\xfe\x00")
    (run / "evaluation/evaluation.json").write_text("[" * 100_000, encoding="utf-8")
    files = read_run(run)
    named = "\n".join(said.en for said in files.damaged)
    assert "forecast.json" in named
    assert "corpus/corpus.json" in named
    assert "evaluation/evaluation.json" in named
    assert files.verdict.number("measured")


def test_a_line_that_is_still_being_written_is_left_out(run: Path) -> None:
    path = run / "ladder/points.jsonl"
    whole = len(read_run(run).points)
    path.write_text(path.read_text("utf-8") + '{"rung": "w1', encoding="utf-8")
    files = read_run(run)
    assert len(files.points) == whole
    assert not files.damaged


def test_curves_hold_both_losses(run: Path) -> None:
    files = read_run(run)
    assert {curve.name for curve in files.rung_curves} == {"w32", "w48", "w64", "w96", "w128"}
    assert files.target_curve
    assert len(files.target_curve.train) == 1920
    assert files.target_curve.heldout[-1][0] == 31_457_280


def test_seconds_of_finished_steps_alone_are_known(fabricate: Callable[..., Path], tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "run", ("recipe", "corpus"))
    assert read_run(folder).step_seconds == {"corpus": 6.13}
