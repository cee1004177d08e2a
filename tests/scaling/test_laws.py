"""Laws: values by hand, gradients against finite differences."""

import numpy as np
import pytest

from danlu.common.errors import DanluError
from danlu.scaling.laws import (
    ANNEALING,
    DATA_CONSTRAINED,
    FRONTIER,
    KAPLAN,
    LAWS,
    SURFACE,
    critical_batch,
    find_law,
    schedule_variables,
)

STEPS = np.arange(100.0, 2000.0, 50.0)
SCHEDULE = schedule_variables(STEPS, np.where(STEPS < 1000, 3e-4, 3e-5))
PARAMETERS = {
    "E": 1.7,
    "A": 400.0,
    "B": 410.0,
    "k": 90.0,
    "alpha": 0.34,
    "beta": 0.28,
    "g": 0.15,
    "alpha_N": 0.076,
    "alpha_D": 0.095,
    "rho": 0.05,
    "q": 0.04,
    "r": -0.03,
    "R_D": 15.0,
    "R_N": 5.3,
    "L0": 2.5,
    "G": 300.0,
    "W": 2.0,
    "gamma": 0.6,
    "a": -0.08,
    "b": -0.1,
    "c": 0.01,
    "d": 2.5,
    "E_start": 1.8,
    "E_max": 300.0,
    "c0": 0.1,
    "c1": 0.3,
    "f": 0.4,
}
VALUES = {
    "N": np.array([1e6, 1e8]),
    "D": np.array([2e7, 3e9]),
    "C": np.array([1.0, 40.0]),
    "U": np.array([1e7, 3e9]),
    "experts": np.array([1.0, 64.0]),
    "loss": np.array([2.2, 3.1]),
} | {name: array[[4, 30]] for name, array in SCHEDULE.items()}


def test_known_answers():
    # Hoffmann et al. 2022, approach 3: Chinchilla, 70B parameters on 1.4T tokens.
    chinchilla = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    assert SURFACE.predict(chinchilla, {"N": 70e9, "D": 1.4e12}) == pytest.approx(1.9369, abs=2e-3)
    assert FRONTIER.predict({"E": 1.0, "k": 100.0, "g": 0.5}, {"C": 1e4}) == pytest.approx(2.0)


def test_kaplans_form_at_its_published_constants():
    # Kaplan et al. 2020, equation 1.5 with table 2, written as the paper writes it.
    alpha_n, alpha_d, params, tokens = 0.076, 0.103, 6.4e13, 1.8e13
    ours = {"k": tokens**alpha_d, "alpha_N": alpha_n, "alpha_D": alpha_d, "rho": params / tokens ** (alpha_d / alpha_n)}
    theirs = ((params / 1e9) ** (alpha_n / alpha_d) + tokens / 2e10) ** alpha_d
    assert KAPLAN.predict(ours, {"N": 1e9, "D": 2e10}) == pytest.approx(theirs, rel=1e-12)
    assert KAPLAN.derived is not None
    assert KAPLAN.derived(ours) == pytest.approx({"Dc": tokens, "Nc": params}, rel=1e-9)
    # Section 5.1's figures for the critical batch: 39k tokens at 6 nats, 272k at 4.
    assert critical_batch(6.0) == pytest.approx(39e3, rel=0.02)
    assert critical_batch(4.0) == pytest.approx(272e3, rel=0.02)


def test_repeated_text_is_worth_less_and_fresh_text_is_chinchilla():
    given = {"E": 1.87, "B": 1488.0, "alpha": 0.353, "rho": (521 / 1488) ** (1 / 0.353), "R_D": 15.39, "R_N": 5.31}
    values = {"N": np.full(3, 1e8), "D": np.array([8e9, 8e9, 1.6e10]), "U": np.array([8e9, 2e9, 2e9])}
    fresh, four_passes, eight = DATA_CONSTRAINED.predict(given, values)
    assert fresh == pytest.approx(1.87 + 521 / 1e8**0.353 + 1488 / 8e9**0.353, rel=1e-4)
    assert fresh < four_passes < fresh * 1.01
    assert eight < four_passes


def test_schedule_sums_by_hand():
    # Constant until step 4, half from step 5 on: the fall of 0.5 fades by 0.999 a step.
    sums = schedule_variables(np.arange(9.0), np.array([1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]))
    assert sums["S1"].tolist() == pytest.approx([0, 1, 2, 3, 4, 4.5, 5, 5.5, 6])
    assert sums["S2"][-1] == pytest.approx(0.5 * (1 + 0.999 + 0.999**2 + 0.999**3))
    constant = schedule_variables(np.arange(9.0), np.ones(9))
    assert constant["S2"].tolist() == [0.0] * 9
    assert (
        ANNEALING.predict({"L0": 2.0, "A": 1.0, "G": 0.1, "alpha": 0.5}, sums | {"S1": sums["S1"] + 1})[-1]
        < (ANNEALING.predict({"L0": 2.0, "A": 1.0, "G": 0.1, "alpha": 0.5}, constant | {"S1": sums["S1"] + 1})[-1])
    )


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_gradient_is_the_derivative(law):
    gradient = law.gradient(PARAMETERS, VALUES)
    for name in (*law.coefficients, *law.shape):
        step = 1e-6 * abs(PARAMETERS[name])
        up, down = (law.predict({**PARAMETERS, name: PARAMETERS[name] + s}, VALUES) for s in (step, -step))
        np.testing.assert_allclose(gradient[name], (up - down) / (2 * step), rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_a_law_says_what_it_is(law):
    assert law.source
    assert law.formula
    assert all(variable.unit for variable in law.inputs)
    given = {name: PARAMETERS[name] for name in law.shape}
    assert len(law.basis(given, VALUES)) == len(law.coefficients)
    assert all(p.nodes or p.spans for p in law.parameters if p.kind == "shape")


def test_names_and_aliases():
    assert find_law("Chinchilla") is SURFACE
    with pytest.raises(DanluError, match="no law 'chinchila'"):
        find_law("chinchila")
