"""The fit on published runs: what it recovers, and how far it errs on sources that it never saw."""

import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from danlu.planner.calibrate import group_errors, observe
from danlu.planner.cases import stack
from danlu.planner.coefficients import Coefficients, calibration
from danlu.planner.cross_validation import LEVEL, held_out, reach_of, spread_of
from danlu.planner.step import step
from danlu.planner.table import predict_row, read_table

SHARED = os.environ.get("DANLU_SHARED")
needs_runs = pytest.mark.skipif(SHARED is None, reason="DANLU_SHARED names no folder with the shared data")


def test_coefficients_keep_their_physical_bounds() -> None:
    found = calibration().coefficients
    for item in fields(Coefficients):
        assert item.metadata["low"] * 0.999 <= getattr(found, item.name) <= item.metadata["high"] * 1.001, item.name


def test_the_covariance_is_one() -> None:
    spread = np.array(calibration().spread.covariance)
    assert spread.shape == (len(fields(Coefficients)),) * 2
    assert np.allclose(spread, spread.T, rtol=1e-3, atol=1e-4)
    assert np.linalg.eigvalsh(spread).min() > -1e-6


def test_no_coefficient_is_less_sure_than_its_bounds() -> None:
    for item, row, place in zip(fields(Coefficients), calibration().spread.covariance, range(99), strict=False):
        width = np.log(item.metadata["high"] / item.metadata["low"])
        assert 0 < row[place] <= width**2 / 12 * 1.001, item.name


def test_the_reach_holds_the_level_of_a_further_source() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(200):  # sources that err alike within and differently between
        error = rng.normal(0, 1, (11, 1)) + rng.normal(0, 0.5, (11, 20))
        names = np.repeat(np.arange(10), 20).astype(str).tolist()
        inside.append(np.mean(np.abs(error[10]) <= reach_of(names, error[:10].ravel())))
    assert np.mean(inside) == pytest.approx(LEVEL, abs=0.06)


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
    assert 0.75 <= inside.mean() <= 0.9


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
def test_the_spread_is_that_of_the_rows() -> None:
    observed = observe([row for row in runs() if row["group"] in ("torchtitan", "nanochat", "flagperf")], calibration())
    k = calibration().coefficients
    exact = step(stack(observed.jobs), k).seconds * observed.behind
    off = replace(observed, seconds=exact * np.where(np.arange(len(exact)) % 2, 0.9, 1.1))
    spread = spread_of(off, k, np.ones(len(exact), dtype=bool))
    assert spread.source == pytest.approx(0.1, abs=0.01)
    assert spread.experts == 0.0  # they err no more than the others
