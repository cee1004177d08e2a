import json
import re
from pathlib import Path
from typing import Any

import pytest

from danlu.report.page import render
from danlu.report.reading import read_run
from danlu.report.run_plan import plan_part

_PLAN: dict[str, Any] = {
    "created": "2026-01-01T00:00:00+00:00",
    "trainings": [
        {
            "name": name,
            "params": params,
            "tokens": 40 * params,
            "flops": 240.0 * params**2,
            "step_seconds": 0.05,
            "fraction": 0.5,
            "seconds": seconds,
            "evaluation_seconds": 1.5,
            "checkpoint_seconds": 0.5,
            "peak_memory_bytes": 700_000_000,
        }
        for name, params, seconds in (("w24", 50_000, 12.0), ("target", 900_000, 150.0))
    ],
    **{
        f"{name}{end}": value * factor
        for name, value in (
            ("ladder_seconds", 12.0),
            ("target_seconds", 150.0),
            ("wall_seconds", 166.0),
            ("memory_bytes", 7e8),
        )
        for end, factor in (("", 1.0), ("_low", 0.9), ("_high", 1.1))
    },
    "elsewhere": [
        {
            "chip": "H100 SXM 80GB",
            "seconds": 15.0,
            "seconds_low": 13.0,
            "seconds_high": 18.0,
            "mfu": 0.003,
            "usd_low": 0.01,
            "usd": 0.015,
            "usd_high": 0.05,
            "fits": "fits",
            "why_not": "",
        },
        {"chip": "MLU590", "seconds": None, "fits": "", "why_not": "MLU590 has no published bf16 peak."},
    ],
}


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    run = tmp_path / "mine"
    run.mkdir()
    (run / "plan.json").write_text(json.dumps(_PLAN), encoding="utf-8")
    return run


def judge(run: Path) -> None:
    verdict = {"planned": [{"name": "target_seconds", "measured": 160.0}, {"name": "memory_bytes", "measured": 9e8}]}
    (run / "verdict.json").write_text(json.dumps(verdict), encoding="utf-8")


def test_a_run_without_a_plan_has_no_such_section(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    assert plan_part(read_run(tmp_path / "old")) is None


def test_before_the_verdict_the_plan_stands_alone(planned: Path) -> None:
    part = plan_part(read_run(planned))
    assert part is not None
    assert [row[0].words.en for row in part.planned.rows][:2] == ["ladder, in steps", "target, in steps"]
    assert all(row[4].words.en == "–" for row in part.planned.rows)


def test_the_verdict_is_set_beside_the_plan(planned: Path) -> None:
    judge(planned)
    part = plan_part(read_run(planned))
    assert part is not None
    rows = {row[0].words.en: row for row in part.planned.rows}
    assert rows["target, in steps"][5].words.en == "+6.7%"
    assert rows["target, in steps"][6].style == "good"
    assert rows["most memory"][6].style == "bad"


def test_other_chips_and_what_is_missing_of_them(planned: Path) -> None:
    part = plan_part(read_run(planned))
    assert part is not None
    known, unknown = part.elsewhere.rows
    assert [cell.words.en for cell in known[:1]] == ["H100 SXM 80GB"]
    assert known[4].words.zh == "放得下"
    assert unknown[1].words.en == "–"
    assert "no published" in unknown[6].words.en


def test_the_page_shows_it_in_both_languages(planned: Path) -> None:
    judge(planned)
    html = render(read_run(planned))
    assert "The same recipe on one chip of another kind" in html
    assert re.search("同一配方在其他单芯片上", html)
    assert "MLU590 has no published bf16 peak." in html


def test_a_damaged_plan_is_named_and_the_rest_is_shown(planned: Path) -> None:
    (planned / "plan.json").write_text("{", encoding="utf-8")
    files = read_run(planned)
    assert plan_part(files) is None
    assert any("plan.json" in words.en for words in files.damaged)
