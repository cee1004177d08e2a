"""The fit on published runs: what it recovers, and how far it errs on sources that it never saw."""

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from danlu.planner.calibrate import group_errors, held_out, intervals, observe
from danlu.planner.coefficients import Coefficients, calibration
from danlu.planner.table import predict_row, read_table

SHARED = os.environ.get("DANLU_SHARED")
needs_runs = pytest.mark.skipif(SHARED is None, reason="DANLU_SHARED names no folder with the shared data")


def test_coefficients_keep_their_physical_bounds() -> None:
    found = calibration().coefficients
    for item in fields(Coefficients):
        assert item.metadata["low"] * 0.999 <= getattr(found, item.name) <= item.metadata["high"] * 1.001, item.name


def test_intervals_contain_the_prediction() -> None:
    fitted = calibration()
    for each in (fitted.described, fitted.assumed, fitted.experts):
        assert each.low < 1 < each.high


def runs() -> list[dict[str, str]]:
    """The rows of the shared table."""
    assert SHARED
    return read_table(Path(SHARED) / "data" / "planner" / "published_runs.csv")


@needs_runs
@pytest.mark.slow
def test_sources_left_out_in_turn() -> None:
    observed = observe(runs(), calibration())
    assert len(observed.jobs) >= 495
    found = held_out(observed, calibration())
    errors = group_errors(observed.groups, observed.seconds, found.seconds)
    assert np.mean([each["mean"] for each in errors.values()]) <= 0.12
    modern = {name: each for name, each in errors.items() if name != "megatron2020"}
    assert all(abs(each["bias"]) <= 0.25 for each in modern.values())
    inside = (found.low <= observed.seconds) & (observed.seconds <= found.high)
    names = np.array(observed.groups)
    assert 0.75 <= np.mean([inside[names == name].mean() for name in errors]) <= 0.9


@needs_runs
def test_out_of_memory_runs_are_judged_right_and_the_others_run() -> None:
    rows = [row for row in runs() if row["mem_gib_per_chip"]]
    answers = [predict_row(row) for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        assert answer["fits"] == (row["mem_gib_per_chip"] != "OOM"), row["run_id"]
    printed = [(float(r["mem_gib_per_chip"]), a) for r, a in zip(rows, answers, strict=True) if a["fits"]]
    errors = [abs(answer["mem_gib_per_chip"] / size - 1) for size, answer in printed]
    assert np.mean(errors) <= 0.05


@needs_runs
def test_intervals_of_some_rows_are_those_of_their_own() -> None:
    observed = observe([row for row in runs() if row["group"] in ("torchtitan", "nanochat", "flagperf")], calibration())
    predicted = observed.seconds * np.where(np.arange(len(observed.seconds)) % 2, 0.9, 1.1)
    described, *_ = intervals(observed, predicted)
    assert described.low == pytest.approx(1 / 1.1, rel=0.02)
    assert described.high == pytest.approx(1 / 0.9, rel=0.02)
