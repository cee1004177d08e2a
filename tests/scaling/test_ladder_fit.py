"""Fits: exact on exact data, the published answer on published data, and what is known is not fitted."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from danlu.common.errors import DanluError
from danlu.scaling.config import ForecastConfig
from danlu.scaling.ladder_fit import fit_law, fit_points, read_fit, write_fit
from danlu.scaling.laws import SURFACE

SHARED = os.environ.get("DANLU_SHARED")


def test_recovers_a_noiseless_surface_without_a_lucky_start():
    truth = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    params, tokens = [], []
    for budget in np.geomspace(1e17, 1e22, 8):
        for size in np.geomspace(0.1, 10, 16) * (budget / 6 / 20) ** 0.5:
            params.append(size)
            tokens.append(budget / 6 / size)
    values = {"N": np.array(params), "D": np.array(tokens)}
    fitted = fit_law(SURFACE, values, SURFACE.predict(truth, values))
    for name, value in truth.items():
        assert fitted.parameters[name] == pytest.approx(value, rel=1e-3)


@pytest.mark.skipif(SHARED is None, reason="DANLU_SHARED does not name a folder with the public tables")
def test_chinchilla_points_give_the_replication_s_answer():
    # Besiroglu et al. 2024: 240 points, Huber 1e-3 on the log loss, summed.
    with (Path(SHARED) / "data/scaling/epoch_chinchilla.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["dropped_by_epoch"] == "False"]
    number = {name: np.array([float(row[name]) for row in rows]) for name in _columns(rows[0])}
    values = {"N": number["N"], "D": number["D"]}
    fitted = fit_law(SURFACE, values, number["loss"], delta=1e-3)
    assert fitted.objective <= 0.0010184
    assert fitted.parameters["alpha"] == pytest.approx(0.3473, abs=0.003)
    assert fitted.parameters["beta"] == pytest.approx(0.3672, abs=0.006)
    assert fitted.parameters["E"] == pytest.approx(1.8172, abs=0.006)


def _columns(row: dict[str, str]) -> list[str]:
    return [name for name in ("N", "D", "loss") if name in row]


def test_a_known_entropy_is_the_constant(ladder):
    fit = fit_points(ladder(floor=0.6), ForecastConfig(), entropy=0.6)
    assert fit.surface.parameters["E"] == pytest.approx(0.6, abs=1e-6)
    assert fit.surface.at_bound == ()
    assert fit.surface.parameters["alpha"] == pytest.approx(0.32, rel=0.02)


def test_an_entropy_that_a_rung_went_below_is_refused_and_named(ladder):
    fit = fit_points(ladder(), ForecastConfig(), entropy=5.0)
    assert fit.entropy == 0
    assert any("not" in str(warning) and "5.0000" in str(warning) for warning in fit.warnings)


def test_round_trip_and_too_few_points(ladder, tmp_path):
    fit = fit_points(ladder(noise=0.003), ForecastConfig())
    write_fit(fit, tmp_path / "fit.json")
    assert read_fit(tmp_path / "fit.json") == fit
    with pytest.raises(DanluError, match="too few for a law"):
        fit_points(ladder()[:3], ForecastConfig())


def test_two_sizes_at_two_lengths_are_enough_and_the_fit_says_so(ladder):
    points = ladder(noise=0.003)
    sizes = sorted({point.params for point in points})[:2]
    few = [point for size in sizes for point in [p for p in points if p.params == size][-2:]]
    fit = fit_points(few, ForecastConfig())
    assert len(few) == 4
    assert any("rests on 2 sizes" in str(warning) for warning in fit.warnings)
