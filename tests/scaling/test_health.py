"""A ladder's health: the best learning rate of a sweep, and the spread over seeds."""

import math
from dataclasses import replace

import pytest

from danlu.scaling.health import find_sweeps, health, seed_spread


@pytest.fixture
def point(ladder):
    return ladder()[0]


def swept(point, best: float):
    """The point at three learning rates, its loss a parabola in their logarithm with the lowest, 2, at `best`."""
    return [replace(point, rung=f"lr{f}", lr_factor=f, loss=2 + 0.1 * math.log(f / best) ** 2) for f in (0.5, 1.0, 2.0)]


@pytest.mark.parametrize("best", [0.8, 1.0, 1.3])
def test_the_vertex_of_a_parabola_is_found(point, best):
    (sweep,) = find_sweeps(swept(point, best))
    assert sweep.best_factor == pytest.approx(best)
    assert sweep.excess == pytest.approx(0.05 * math.log(best) ** 2, abs=1e-9)


def test_a_lowest_loss_at_the_end_is_taken_as_it_is(point):
    (sweep,) = find_sweeps(swept(point, 4.0))
    assert sweep.best_factor == pytest.approx(2.0)
    assert "not tuned" in str(health(swept(point, 4.0))[0])
    assert ": tuned." in str(health(swept(point, 1.1))[0])


def test_seeds_spread(point):
    assert seed_spread([point]) is None
    two = [replace(point, seed=seed, loss=2 * math.exp(away)) for seed, away in ((0, -0.01), (1, 0.01))]
    assert seed_spread(two) == pytest.approx(0.01 * math.sqrt(2))
    assert find_sweeps(two) == []
    assert "1.41% apart" in str(health(two)[0])
