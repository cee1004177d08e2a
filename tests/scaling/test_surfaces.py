"""The weighted family of surfaces: it finds the truth where the truth is in it, and says how unsure it is."""

import numpy as np
import pytest

from danlu.scaling.surfaces import TEXT, TOY, Surfaces, fit_surfaces


def truth(params, tokens, power: float, floor: float):
    """A member of the family, its constant apart."""
    inner = (6e4 / params) ** (0.35 / power) + (6e5 / tokens) ** (0.33 / power)
    return floor + inner**power


def fitted(power: float, floor: float, noise: float = 0.0, seed: int = 0, known: bool = False) -> Surfaces:
    params = np.array([5e4, 5e4, 5e4, 1e5, 1e5, 2e5, 2e5])
    tokens = np.array([3e5, 6e5, 1.2e6, 4e5, 8e5, 3e5, 6e5])
    losses = truth(params, tokens, power, floor)
    losses = losses * np.exp(np.random.default_rng(seed).normal(0, noise, losses.shape))
    entropy = floor if known else None
    return fit_surfaces(params, tokens, losses, np.ones_like(losses), seed_noise=0.003, entropy=entropy)


@pytest.mark.parametrize("power", [0.35, 0.5, 1.0])
def test_the_likeliest_surface_goes_through_noiseless_points(power):
    found = fitted(power, 1.0, known=True)
    best = found.best()
    params, tokens = np.array([5e4, 2e5]), np.array([1.2e6, 6e5])
    inner = best["A"] / params ** (best["alpha"] / best["k"]) + best["B"] / tokens ** (best["beta"] / best["k"])
    assert best["E"] + inner ** best["k"] == pytest.approx(truth(params, tokens, power, 1.0), rel=0.003)


@pytest.mark.parametrize("known", [False, True])
def test_the_middle_lies_near_the_truth_and_the_ends_around_it(known):
    far = np.array([1e6]), np.array([1e7])
    held = 0
    for seed in range(20):
        found = fitted(0.5, 1.0, 0.003, seed, known)
        low, middle, high = found.quantiles(*far, (0.05, 0.5, 0.95))[:, 0]
        assert low < middle < high
        assert middle == pytest.approx(truth(*far, 0.5, 1.0)[0], rel=0.05 if known else 0.15)
        noise = 1.645 * found.spread(*far)[0]
        log = np.log([low, middle, high])
        low, high = log[1] - np.hypot(log[1] - log[0], noise), log[1] + np.hypot(log[2] - log[1], noise)
        held += low <= np.log(truth(*far, 0.5, 1.0)[0]) <= high
    assert held >= 13  # the drift that a forecast adds is not in it


def test_exponents_that_are_known_carry_less_of_the_points_noise_far_ahead():
    params, tokens = np.array([6e4, 6e4, 1.3e5, 1.3e5, 2.6e5, 2.6e5]), np.array([6, 13, 4, 8, 2.2, 4.4]) * 1e5

    def toy(params, tokens):
        return 0.63 + (1.2e5 / params) ** 0.7 + (2.5e5 / tokens) ** 0.5

    far = np.array([5e5]), np.array([9e6])
    errors = {TEXT: [], TOY: []}
    for seed in range(20):
        losses = toy(params, tokens) * np.exp(np.random.default_rng(seed).normal(0, 0.008, 6))
        for exponents, found in errors.items():
            surfaces = fit_surfaces(
                params, tokens, losses, np.ones(6), seed_noise=0.003, entropy=0.63, exponents=exponents
            )
            found.append(np.log(surfaces.quantiles(*far, (0.5,))[0, 0] / toy(*far)[0]))
    text, known = (float(np.sqrt(np.mean(np.square(found)))) for found in errors.values())
    assert known < 0.025
    assert known < text


def test_farther_is_less_sure():
    found = fitted(0.5, 1.0, 0.003)
    params, tokens = np.array([2e5, 2e6, 2e7]), np.array([1.2e6, 1.2e7, 1.2e8])
    low, high = found.quantiles(params, tokens, (0.05, 0.95))
    widths = np.log(high / low)
    assert widths[0] < widths[1] < widths[2]


def test_no_surface_goes_below_a_known_entropy():
    found = fitted(0.7, 1.0, 0.003, known=True)
    assert found.predict(np.array([1e12]), np.array([1e14])).min() >= 1.0
    assert found.floors((0.05, 0.95)) == pytest.approx([1.0, 1.0])


def test_the_constant_of_text_is_far_below_a_small_ladders_losses():
    far = np.array([1e6]), np.array([1e7])
    params = np.array([5e4, 5e4, 5e4, 1e5, 1e5, 2e5, 2e5])
    tokens = np.array([3e5, 6e5, 1.2e6, 4e5, 8e5, 3e5, 6e5])
    scale, floor = 3.0, 0.9  # nats a token of 2.5 bytes: 0.52 bits a byte
    losses = scale * truth(params, tokens, 0.5, 0.0) + floor
    measured = scale * truth(*far, 0.5, 0.0)[0] + floor
    said = {
        per_token: fit_surfaces(params, tokens, losses, np.ones(7), seed_noise=0.003, bytes_per_token=per_token)
        for per_token in (2.5, None)
    }
    errors = {known: abs(np.log(found.quantiles(*far, (0.5,))[0, 0] / measured)) for known, found in said.items()}
    assert errors[2.5] < 0.03
    assert said[2.5].floors((0.99,))[0] <= 0.8 * np.log(2) * 2.5 + 1e-9
    assert said[None].floor.max() > said[2.5].floor.max()


def test_a_constant_of_text_that_losses_have_passed_is_not_tried():
    found = fit_surfaces(
        np.array([1e8, 1e8, 3e8, 1e9]),
        np.array([2e9, 4e9, 6e9, 2e10]),
        np.array([2.2, 2.0, 1.8, 1.5]),
        np.ones(4),
        seed_noise=0.003,
        bytes_per_token=4.4,
    )
    assert found.floor.max() <= 0.9 * 1.5
