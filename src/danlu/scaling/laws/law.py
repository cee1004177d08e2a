"""What a scaling law is: a formula, its variables and parameters with units, its source, and how to reckon it.

Every law here has the form L = sum_t c_t * phi_t(theta, x): linear in its coefficients c once its shape parameters
theta (exponents, breaks, half-lives) are given. That is what makes a fit independent of a lucky start (estimate.py).
Adding a law is making one `Law` object: its `basis` gives the phi_t, and values and gradients follow from it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Basis = Callable[[Mapping[str, Any], Mapping[str, Any]], Sequence[Any]]
"""From shape parameters and variables, by name, to one array for each coefficient. Written with analytic functions
only, so that it may also be called with complex numbers, from which the derivatives come."""

Slopes = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Mapping[int, Any]]]
"""Derivatives of the basis by each shape parameter: by name, then by the index of the coefficient; zeros left out."""

Derived = Callable[[Mapping[str, float]], Mapping[str, float]]

_STEP = 1e-30
"""Step along the imaginary axis; no subtraction is made, so it may be as small as one likes."""


@dataclass(frozen=True)
class Variable:
    """What a law's loss depends on."""

    name: str
    """As in the formula: N, D, C, ..."""
    unit: str
    """Its unit."""


@dataclass(frozen=True)
class Parameter:
    """A number of a law that is fitted."""

    name: str
    """As in the formula."""
    unit: str
    """Its unit."""
    kind: Literal["coefficient", "shape"]
    """A coefficient multiplies one term; a shape parameter bends it."""
    low: float = 0.0
    high: float = np.inf
    """What it may be. A coefficient that may be negative has `low` below zero."""
    nodes: tuple[float, ...] = ()
    """Where a fit begins to look for a shape parameter: a few values that span what is plausible."""
    spans: str | None = None
    """A variable over whose range in the data the fit begins to look instead."""

    @property
    def positive(self) -> bool:
        """Whether it cannot be below zero, and so is fitted by its logarithm."""
        return self.low >= 0


@dataclass(frozen=True)
class Term:
    """One term of a law that is a sum of powers: `coefficient * variable ** -exponent`, or the coefficient alone."""

    coefficient: str
    """Name of the coefficient, never negative (nats per token once multiplied out)."""
    variable: str | None = None
    """`N` (parameters), `D` (tokens) or `C` (FLOPs); None makes the term a constant, the floor."""
    exponent: str | None = None
    """Name of the exponent, more than zero; two terms that name the same one share it."""


@dataclass(frozen=True)
class Law:
    """A scaling law. See the module for what its parts mean."""

    name: str
    """Short name, as in files and on the command line."""
    formula: str
    """The formula for a person."""
    inputs: tuple[Variable, ...]
    """Its variables."""
    parameters: tuple[Parameter, ...]
    """Its parameters, the coefficients first, in the order of the basis."""
    basis: Basis = field(repr=False, compare=False)
    """The phi_t."""
    source: str
    """The paper that proposed it."""
    slopes: Slopes | None = field(default=None, repr=False, compare=False)
    """Derivatives of the basis, where they are worth writing out; by default they are reckoned."""
    link: Literal["loss", "log"] = "loss"
    """What the sum is: the loss, or its logarithm."""
    response: Literal["loss", "share"] = "loss"
    """What is predicted: a loss, judged by relative errors, or a share (an accuracy), judged by plain ones."""
    derived: Derived | None = field(default=None, repr=False, compare=False)
    """Other numbers that are quoted for this law, from its parameters."""
    terms: tuple[Term, ...] = ()
    """Its terms, where it is a sum of powers."""
    aliases: tuple[str, ...] = ()
    """Other names that people call it by."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(variable.name for variable in self.inputs)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients, in the order of the basis."""
        return tuple(p.name for p in self.parameters if p.kind == "coefficient")

    @property
    def shape(self) -> tuple[str, ...]:
        """Names of the shape parameters."""
        return tuple(p.name for p in self.parameters if p.kind == "shape")

    @property
    def exponents(self) -> tuple[str, ...]:
        """Names of the shape parameters; in a sum of powers these are the exponents."""
        return self.shape

    @property
    def floor(self) -> str | None:
        """Name of the constant term, the loss that no scale removes; None where the law has none."""
        return next((term.coefficient for term in self.terms if term.variable is None), None)

    def predict(self, parameters: Mapping[str, float], values: Mapping[str, Array | float]) -> Array:
        """Loss (nats per token) or share at the values of the law's variables.

        Args:
            parameters: every parameter by name.
            values: every variable by name; arrays of one shape, or numbers.
        """
        given = {name: np.asarray(values[name], dtype=np.float64) for name in self.variables}
        return np.asarray(self._total(parameters, given), dtype=np.float64)

    def gradient(self, parameters: Mapping[str, float], values: Mapping[str, Array | float]) -> dict[str, Array]:
        """Derivative of the prediction by each parameter, by name, exact to rounding.

        By complex steps: f'(x) = Im f(x + ih) / h without any difference of near numbers (Squire and Trapp 1998).
        """
        given = {name: np.asarray(values[name], dtype=np.float64) for name in self.variables}
        shape = np.shape(self._total(parameters, given))
        return {
            name: np.broadcast_to(
                np.imag(self._total({**parameters, name: complex(parameters[name], _STEP)}, given)) / _STEP, shape
            ).copy()
            for name in (*self.coefficients, *self.shape)
        }

    def _total(self, parameters: Mapping[str, Any], values: Mapping[str, Array]) -> Any:
        parts = self.basis({name: parameters[name] for name in self.shape}, values)
        total = sum(parameters[name] * part for name, part in zip(self.coefficients, parts, strict=True))
        return np.exp(total) if self.link == "log" else total

    def basis_slopes(self, shape: Mapping[str, Any], values: Mapping[str, Array]) -> Mapping[str, Mapping[int, Any]]:
        """Derivatives of the basis by each shape parameter, as `Slopes` says."""
        if self.slopes is not None:
            return self.slopes(shape, values)
        found: dict[str, dict[int, Any]] = {}
        for name in self.shape:
            stepped = self.basis({**shape, name: np.asarray(shape[name]) + 1j * _STEP}, values)
            found[name] = {index: np.imag(part) / _STEP for index, part in enumerate(stepped) if np.iscomplexobj(part)}
        return found


def coefficient(name: str, unit: str, *, free: bool = False) -> Parameter:
    """A coefficient that cannot be negative, or with `free` may be."""
    return Parameter(name, unit, "coefficient", -np.inf if free else 0.0)


def exponent(name: str, low: float = 0.01, high: float = 3.0, count: int = 24) -> Parameter:
    """A positive exponent; a fit begins at `count` values between 0.03 and 1.5."""
    return Parameter(name, "", "shape", low, high, tuple(np.geomspace(max(low, 0.03), min(high, 1.5), count).tolist()))
