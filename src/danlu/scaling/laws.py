"""Scaling laws as small objects: a formula, its variables, a sum of power terms. Adding a law is adding one object."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """One term of a law: `coefficient * variable ** -exponent`, or the coefficient alone."""

    coefficient: str
    """Name of the coefficient, never negative (nats per token once multiplied out)."""
    variable: str | None = None
    """`N` (parameters), `D` (tokens) or `C` (FLOPs); None makes the term a constant, the floor."""
    exponent: str | None = None
    """Name of the exponent, more than zero; two terms that name the same one share it."""


@dataclass(frozen=True)
class Law:
    """Loss (nats per token) as a sum of terms that fall as powers of their variables."""

    name: str
    """Short name, as in `fit.json`."""
    formula: str
    """The formula for a person."""
    terms: tuple[Term, ...]
    """What is summed."""
    source: str
    """The paper that proposed it."""

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients, in the order of the terms."""
        return tuple(term.coefficient for term in self.terms)

    @property
    def exponents(self) -> tuple[str, ...]:
        """Names of the exponents, each once, in the order of the terms."""
        return tuple(dict.fromkeys(term.exponent for term in self.terms if term.exponent is not None))

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, each once."""
        return tuple(dict.fromkeys(term.variable for term in self.terms if term.variable is not None))

    @property
    def floor(self) -> str | None:
        """Name of the constant term, the loss that no scale removes; None where the law has none."""
        return next((term.coefficient for term in self.terms if term.variable is None), None)

    def predict(self, parameters: Mapping[str, float], values: Mapping[str, Array | float]) -> Array:
        """Loss (nats per token) at the values of the law's variables.

        Args:
            parameters: every coefficient and exponent by name.
            values: every variable by name; arrays of one shape, or numbers.
        """
        total: Array = np.zeros(())
        for term in self.terms:
            total = total + self._term(term, parameters, values)
        return total

    def gradient(self, parameters: Mapping[str, float], values: Mapping[str, Array | float]) -> dict[str, Array]:
        """Derivative of the loss by each parameter, by name (nats per token and unit of the parameter)."""
        shape = np.broadcast_shapes(*(np.shape(values[name]) for name in self.variables))
        result = {name: np.zeros(shape) for name in (*self.coefficients, *self.exponents)}
        for term in self.terms:
            if term.variable is None or term.exponent is None:
                result[term.coefficient] += 1.0
                continue
            log_value = np.log(np.asarray(values[term.variable], dtype=np.float64))
            power = np.exp(-parameters[term.exponent] * log_value)
            result[term.coefficient] += power
            result[term.exponent] -= parameters[term.coefficient] * log_value * power
        return result

    @staticmethod
    def _term(term: Term, parameters: Mapping[str, float], values: Mapping[str, Array | float]) -> Array:
        coefficient = parameters[term.coefficient]
        if term.variable is None or term.exponent is None:
            return np.asarray(coefficient, dtype=np.float64)
        value = np.asarray(values[term.variable], dtype=np.float64)
        return np.asarray(coefficient * value ** -parameters[term.exponent])


FRONTIER = Law(
    name="frontier",
    formula="L = E + k C^-g",
    terms=(Term("E"), Term("k", "C", "g")),
    source="Henighan et al. 2020 (power law with a constant); OpenAI 2023, GPT-4 report",
)
"""Loss along the compute frontier, at a fixed ratio of tokens to parameters."""

FLOOR_FREE = Law(
    name="floor_free",
    formula="L = k C^-g",
    terms=(Term("k", "C", "g"),),
    source="Kaplan et al. 2020, equation 1.3",
)
"""The plain power law: the baseline, which promises too much when it is carried far."""

SURFACE = Law(
    name="surface",
    formula="L = E + A/N^alpha + B/D^beta",
    terms=(Term("E"), Term("A", "N", "alpha"), Term("B", "D", "beta")),
    source="Hoffmann et al. 2022, approach 3",
)
"""Loss over parameters and tokens."""

TIED_SURFACE = Law(
    name="tied_surface",
    formula="L = E + A/N^alpha + B/D^alpha",
    terms=(Term("E"), Term("A", "N", "alpha"), Term("B", "D", "alpha")),
    source="Gadre et al. 2024: at a fixed ratio of tokens to parameters it is E + k C^-(alpha/2)",
)
"""The surface with one exponent for both terms: a frontier for every ratio of tokens to parameters."""

LAWS: dict[str, Law] = {law.name: law for law in (FRONTIER, FLOOR_FREE, SURFACE, TIED_SURFACE)}
"""All laws by name."""
