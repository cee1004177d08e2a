"""The fabricated runs have the shape of what the rooms write: a field renamed there fails here."""

import json
from pathlib import Path
from typing import Any

import pytest

from danlu.common.strict import from_mapping
from danlu.corpus.store import read_summary
from danlu.report.outcome import outcome
from danlu.report.reading import read_run
from danlu.scaling.forecast import Forecast, ForecastConfig, Memory, make_forecast, write_forecast
from danlu.scaling.ladder_fit import fit_points
from danlu.scaling.points import read_points
from danlu.scaling.verdict import Verdict, judge, read_verdict, write_verdict
from danlu.tokens.build import read_tokens_summary


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_every_fabricated_file_is_what_its_room_reads(run: Path) -> None:
    read_summary(run / "corpus")
    read_tokens_summary(run / "tokens")
    assert len(read_points(run / "ladder/points.jsonl")) == 14
    from_mapping(Forecast, load(run / "forecast.json"), "forecast.json")
    read_verdict(run / "verdict.json")


def test_a_true_forecast_and_verdict_are_shown(run: Path) -> None:
    fabricated = from_mapping(Forecast, load(run / "forecast.json"), "forecast.json")
    config = ForecastConfig()
    forecast = make_forecast(
        fit_points(read_points(run / "ladder/points.jsonl"), config),
        fabricated.target,
        config,
        context=128,
        memory=Memory(9e8, 8e8, 1e9),
        bytes_per_token=3.62,
    )
    write_forecast(forecast, run / "forecast.json", started=False)
    verdict: Verdict = judge(forecast, forecast.loss * 1.002, forecast.seconds * 1.1, 9.5e8)
    write_verdict(verdict, run / "verdict.json")
    shown = outcome(read_run(run))
    assert shown.loss.forecast == pytest.approx(forecast.loss)
    assert shown.loss.relative_error == pytest.approx(verdict.relative_error)
    assert shown.loss.inside == verdict.inside
    assert shown.seconds.relative_error == pytest.approx(verdict.seconds_relative_error)
    assert shown.seconds.inside == verdict.seconds_inside
    assert shown.memory.relative_error == pytest.approx(verdict.memory_relative_error)
    assert shown.bits_per_byte.forecast == pytest.approx(forecast.bits_per_byte)
