"""Laws: values by hand, gradients against finite differences."""

import numpy as np
import pytest

from danlu.scaling.laws import FRONTIER, LAWS, SURFACE

PARAMETERS = {"E": 1.7, "A": 400.0, "B": 410.0, "k": 90.0, "alpha": 0.34, "beta": 0.28, "g": 0.15}
VALUES = {"N": np.array([1e6, 1e8]), "D": np.array([2e7, 3e9]), "C": np.array([1e14, 2e18])}


def test_known_answers():
    # Hoffmann et al. 2022, approach 3: Chinchilla, 70B parameters on 1.4T tokens.
    chinchilla = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    assert SURFACE.predict(chinchilla, {"N": 70e9, "D": 1.4e12}) == pytest.approx(1.9369, abs=2e-3)
    assert FRONTIER.predict({"E": 1.0, "k": 100.0, "g": 0.5}, {"C": 1e4}) == pytest.approx(2.0)


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_gradient_is_the_derivative(law):
    gradient = law.gradient(PARAMETERS, VALUES)
    for name in (*law.coefficients, *law.exponents):
        step = 1e-6 * PARAMETERS[name]
        up, down = (law.predict({**PARAMETERS, name: PARAMETERS[name] + s}, VALUES) for s in (step, -step))
        np.testing.assert_allclose(gradient[name], (up - down) / (2 * step), rtol=1e-5)
