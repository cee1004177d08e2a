"""Past verdicts are found, listed in order, and weighed."""

from dataclasses import replace

import pytest

from danlu.cli.main import main
from danlu.common.errors import DanluError
from danlu.scaling.history import calibration, find_verdicts
from danlu.scaling.verdict import Verdict, write_verdict


@pytest.fixture
def verdict() -> Verdict:
    """A run that came out as forecast."""
    return Verdict(
        loss=2.0,
        low=1.9,
        high=2.1,
        level=0.9,
        measured=2.0,
        relative_error=0.0,
        inside=True,
        seconds=10.0,
        seconds_low=9.0,
        seconds_high=11.0,
        measured_seconds=None,
        seconds_relative_error=None,
        seconds_inside=None,
        memory_bytes=None,
        memory_bytes_low=None,
        memory_bytes_high=None,
        measured_memory_bytes=None,
        memory_relative_error=None,
        memory_inside=None,
        forecast_created="2026-01-01",
        forecast_hash="0",
    )


def test_verdicts_are_found_and_put_in_order(verdict, tmp_path):
    for day, name in ((3, "a"), (1, "b"), (2, "deep/c")):
        (tmp_path / name).mkdir(parents=True)
        write_verdict(replace(verdict, forecast_created=f"2026-01-0{day}"), tmp_path / name / "verdict.json")
    assert [past.run.name for past in find_verdicts([tmp_path])] == ["b", "c", "a"]
    assert len(find_verdicts([tmp_path / "a", tmp_path])) == 3


def test_nothing_to_list_is_said(tmp_path):
    with pytest.raises(DanluError, match="no verdict yet"):
        find_verdicts([tmp_path])
    with pytest.raises(DanluError, match="no folder"):
        find_verdicts([tmp_path / "absent"])


def test_the_calibration_counts_and_weighs(verdict):
    errors = [0.01, -0.02, 0.03, 0.0]
    past = [replace(verdict, relative_error=e, inside=e != 0.03, level=0.9) for e in errors]
    found = calibration(past)
    assert (found.runs, found.inside, found.expected) == (4, 3, pytest.approx(3.6))
    assert found.mean_absolute_error == pytest.approx(0.015)
    assert found.bias == pytest.approx(0.005)
    assert found.surprise == pytest.approx(1 - 0.9**4)


def test_a_stages_own_note_is_no_verdict_and_one_of_another_version_hides_no_other(verdict, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / name / "stages").mkdir(parents=True)
        (tmp_path / name / "stages" / "verdict.json").write_text('{"stage": "verdict"}')
        write_verdict(verdict, tmp_path / name / "verdict.json")
    assert [past.run.name for past in find_verdicts([tmp_path])] == ["one", "two"]
    (tmp_path / "two" / "verdict.json").write_text('{"loss": 2.0, "newer_key": 1}')
    with pytest.raises(DanluError, match="newer_key"):
        find_verdicts([tmp_path])
    assert main(["forecast", "--history", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "one" in shown
    assert "left out: " in shown
    assert "newer_key" in shown
