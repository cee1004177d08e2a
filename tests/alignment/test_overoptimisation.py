"""Gao's curves: coefficients are found again, peaks stand where the formulas say, intervals cover."""

import math

import numpy as np
import pytest

from danlu.alignment.overoptimisation import Form, fit, peak_of, proxy_misleads
from danlu.common.errors import DanluError

# Digitised from Gao et al. 2022, figure 3, by a third party: (alpha, beta) for a 12M reward model.
COEFFICIENTS: dict[Form, tuple[float, float]] = {"best_of_n": (0.513, 0.120), "rl": (0.345, 0.167)}


def gold(distance: float, form: Form) -> float:
    alpha, beta = COEFFICIENTS[form]
    return distance * (alpha - beta * (distance if form == "best_of_n" else math.log(distance)))


@pytest.mark.parametrize("form", ["best_of_n", "rl"])
def test_exact_points_give_the_coefficients_back(form: Form) -> None:
    alpha, beta = COEFFICIENTS[form]
    kls = [0.1, 0.5, 1.0, 4.0, 9.0, 20.0, 60.0]
    curve = fit(kls, [2.0 + gold(math.sqrt(x), form) for x in kls], form, start=2.0)
    assert curve.alpha.value == pytest.approx(alpha, abs=1e-9)
    assert curve.beta.value == pytest.approx(beta, abs=1e-9)
    assert curve.r_squared == pytest.approx(1.0)
    expected = alpha / (2 * beta) if form == "best_of_n" else math.exp(alpha / beta - 1)
    assert curve.peak is not None
    assert curve.peak.value == pytest.approx(expected)
    best = alpha**2 / (4 * beta) if form == "best_of_n" else beta * expected
    assert curve.best == pytest.approx(best)
    assert curve.peak_seen


@pytest.mark.parametrize("form", ["best_of_n", "rl"])
def test_the_peak_is_the_highest_point(form: Form) -> None:
    peak = peak_of(*COEFFICIENTS[form], form)
    assert peak is not None
    grid = np.linspace(0.01, 3 * peak, 20001)
    assert grid[np.argmax([gold(x, form) for x in grid])] == pytest.approx(peak, rel=1e-3)


def test_intervals_cover_as_often_as_they_say() -> None:
    chance = np.random.default_rng(0)
    kls = np.linspace(0.2, 30.0, 12)
    truth = np.array([gold(math.sqrt(x), "rl") for x in kls])
    alpha, beta = COEFFICIENTS["rl"]
    peak = peak_of(alpha, beta, "rl")
    hits = np.zeros(3)
    for _ in range(300):
        curve = fit(kls.tolist(), (truth + chance.normal(0, 0.1, 12)).tolist(), "rl", start=0.0, confidence=0.9)
        assert peak is not None
        found = (curve.alpha, curve.beta, curve.peak)
        hits += [x is not None and x.low <= t <= x.high for x, t in zip(found, (alpha, beta, peak), strict=True)]
    assert ((hits / 300 > 0.85) & (hits / 300 < 0.95)).all(), hits / 300


def test_a_curve_that_only_rises_has_no_peak() -> None:
    kls = [0.5, 1.0, 2.0, 4.0, 8.0]
    curve = fit(kls, [math.sqrt(x) * (0.3 + 0.05 * math.sqrt(x)) for x in kls], "best_of_n", start=0.0)
    assert curve.beta.value < 0
    assert curve.peak is None
    assert curve.best is None
    assert not curve.peak_seen


def test_a_peak_beyond_what_was_measured_says_so() -> None:
    kls = [0.1, 0.3, 0.6, 0.9, 1.2]
    curve = fit(kls, [gold(math.sqrt(x), "best_of_n") for x in kls], "best_of_n", start=0.0)
    assert curve.peak is not None
    assert not curve.peak_seen


def test_too_few_points_are_refused() -> None:
    with pytest.raises(DanluError, match="four points"):
        fit([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], "rl", start=0.0)
    with pytest.raises(DanluError, match="four points"):
        fit([1.0] * 5, [0.1] * 5, "rl", start=0.0)


def test_a_rising_proxy_with_falling_gold_is_noticed_and_noise_is_not() -> None:
    chance = np.random.default_rng(1)
    rising = (np.arange(10) * 0.1 + chance.normal(0, 0.05, 10)).tolist()
    falling = [-x for x in rising]
    assert proxy_misleads(rising, falling)
    assert not proxy_misleads(rising, rising)
    assert not proxy_misleads(falling, falling)
    assert not proxy_misleads(rising[:3], falling[:3])
    noise = [proxy_misleads(chance.normal(size=10).tolist(), chance.normal(size=10).tolist()) for _ in range(400)]
    assert sum(noise) < 10
