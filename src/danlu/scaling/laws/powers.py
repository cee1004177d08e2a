"""Laws that are sums of powers: with and without a floor, of one variable or two."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from danlu.scaling.laws.law import Basis, Law, Parameter, Slopes, Term, Variable, coefficient, exponent

UNITS = {"N": "parameters", "D": "tokens", "C": "FLOPs"}


def power_sum(name: str, formula: str, terms: Sequence[Term], source: str, aliases: tuple[str, ...] = ()) -> Law:
    """The law that is the sum of these terms, its derivatives written out."""
    shape = dict.fromkeys(term.exponent for term in terms if term.exponent is not None)
    variables = dict.fromkeys(term.variable for term in terms if term.variable is not None)
    return Law(
        name=name,
        formula=formula,
        inputs=tuple(Variable(each, UNITS[each]) for each in variables),
        parameters=(
            *(coefficient(term.coefficient, _unit(term)) for term in terms),
            *(_exponent(each, len(shape)) for each in shape),
        ),
        basis=_basis(tuple(terms)),
        slopes=_slopes(tuple(terms)),
        source=source,
        terms=tuple(terms),
        aliases=aliases,
    )


def _unit(term: Term) -> str:
    return "nats/token" if term.variable is None else f"nats/token x {UNITS[term.variable]}^{term.exponent}"


def _exponent(name: str, count: int) -> Parameter:
    return exponent(name, count=100 if count == 1 else 32)


def _power(term: Term, shape: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    if term.variable is None or term.exponent is None:
        return np.ones(())
    return np.exp(-shape[term.exponent] * np.log(values[term.variable]))


def _basis(terms: tuple[Term, ...]) -> Basis:
    return lambda shape, values: [_power(term, shape, values) for term in terms]


def _slopes(terms: tuple[Term, ...]) -> Slopes:
    def slopes(shape: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
        found: dict[str, dict[int, Any]] = {name: {} for name in shape}
        for index, term in enumerate(terms):
            if term.exponent is not None and term.variable is not None:
                found[term.exponent][index] = -np.log(values[term.variable]) * _power(term, shape, values)
        return found

    return slopes


FLOOR_FREE = power_sum(
    "floor_free", "L = k C^-g", (Term("k", "C", "g"),), "Kaplan et al. 2020, equation 1.3", aliases=("kaplan_c",)
)
"""The plain power law: the baseline, which promises too much when it is carried far."""

FLOOR_FREE_N = power_sum("floor_free_n", "L = A/N^alpha", (Term("A", "N", "alpha"),), "Kaplan et al. 2020, eq. 1.1")
"""The plain power law of parameters."""

FLOOR_FREE_D = power_sum("floor_free_d", "L = B/D^beta", (Term("B", "D", "beta"),), "Kaplan et al. 2020, equation 1.2")
"""The plain power law of tokens."""

FRONTIER = power_sum(
    "frontier",
    "L = E + k C^-g",
    (Term("E"), Term("k", "C", "g")),
    "Henighan et al. 2020 (power law with a constant); OpenAI 2023, GPT-4 report",
    aliases=("power_c", "power_floor"),
)
"""Loss along the compute frontier, at a fixed ratio of tokens to parameters."""

POWER_N = power_sum("power_n", "L = E + A/N^alpha", (Term("E"), Term("A", "N", "alpha")), "Henighan et al. 2020")
"""Loss of models of many sizes, each trained to its end."""

POWER_D = power_sum(
    "power_d", "L = E + B/D^beta", (Term("E"), Term("B", "D", "beta")), "Hestness et al. 2017, section 3"
)
"""Loss of one model on more and more text."""

SURFACE = power_sum(
    "surface",
    "L = E + A/N^alpha + B/D^beta",
    (Term("E"), Term("A", "N", "alpha"), Term("B", "D", "beta")),
    "Hoffmann et al. 2022, approach 3",
    aliases=("chinchilla", "hoffmann"),
)
"""Loss over parameters and tokens."""

TIED_SURFACE = power_sum(
    "tied_surface",
    "L = E + A/N^alpha + B/D^alpha",
    (Term("E"), Term("A", "N", "alpha"), Term("B", "D", "alpha")),
    "Gadre et al. 2024: with M = D/N it is E + (a M^eta + b M^-eta) C^-eta, eta = alpha/2",
    aliases=("gadre", "tied", "overtraining"),
)
"""The surface with one exponent for both terms: a frontier for every ratio of tokens to parameters."""

FLOOR_FREE_SURFACE = power_sum(
    "floor_free_surface",
    "L = A/N^alpha + B/D^beta",
    (Term("A", "N", "alpha"), Term("B", "D", "beta")),
    "Hoffmann et al. 2022, approach 3, with E = 0",
)
"""The surface without a floor: the baseline over parameters and tokens."""


def _crossed(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    log_n, log_d = np.log(values["N"]), np.log(values["D"])
    size = np.exp(-shape["alpha"] * log_n - shape["q"] * log_d)
    data = np.exp(-shape["beta"] * log_d - shape["r"] * log_n)
    return [np.ones(()), size, data]


def _crossed_slopes(shape: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, dict[int, Any]]:
    log_n, log_d = np.log(values["N"]), np.log(values["D"])
    _, size, data = _crossed(shape, values)
    return {
        "alpha": {1: -log_n * size},
        "q": {1: -log_d * size},
        "beta": {2: -log_d * data},
        "r": {2: -log_n * data},
    }


CROSSED_SURFACE = Law(
    name="crossed_surface",
    formula="L = E + A/(N^alpha D^q) + B/(D^beta N^r)",
    inputs=(Variable("N", "parameters"), Variable("D", "tokens")),
    parameters=(
        coefficient("E", "nats/token"),
        coefficient("A", "nats/token x parameters^alpha x tokens^q"),
        coefficient("B", "nats/token x tokens^beta x parameters^r"),
        exponent("alpha", count=10),
        exponent("beta", count=10),
        Parameter("q", "", "shape", -1.0, 1.0, (-0.15, 0.0, 0.15)),
        Parameter("r", "", "shape", -1.0, 1.0, (-0.15, 0.0, 0.15)),
    ),
    basis=_crossed,
    slopes=_crossed_slopes,
    source="Hoffmann et al. 2022, approach 3, with each term's exponent for the other variable freed, as Li et al. 2025"
    " (Farseer) find that data's exponent depends on size",
    aliases=("crossed",),
)
"""The surface whose best tokens a parameter may drift with compute: recipes that are not tuned at every size do
that."""
