"""Scaling laws as small objects. Adding a law is adding one object, and its name to `LAWS`."""

import difflib

from danlu.common.errors import DanluError
from danlu.scaling.laws.annealing import ANNEALING, MULTI_POWER, schedule_variables
from danlu.scaling.laws.joint import BROKEN, DATA_CONSTRAINED, KAPLAN, ROUTED, SIGMOID, critical_batch
from danlu.scaling.laws.law import Array, Law, Parameter, Term, Variable
from danlu.scaling.laws.powers import (
    CROSSED_SURFACE,
    FLOOR_FREE,
    FLOOR_FREE_D,
    FLOOR_FREE_N,
    FLOOR_FREE_SURFACE,
    FRONTIER,
    POWER_D,
    POWER_N,
    SURFACE,
    TIED_SURFACE,
    power_sum,
)

__all__ = [
    "ANNEALING",
    "BROKEN",
    "CROSSED_SURFACE",
    "DATA_CONSTRAINED",
    "FLOOR_FREE",
    "FLOOR_FREE_D",
    "FLOOR_FREE_N",
    "FLOOR_FREE_SURFACE",
    "FRONTIER",
    "KAPLAN",
    "LAWS",
    "MULTI_POWER",
    "POWER_D",
    "POWER_N",
    "ROUTED",
    "SIGMOID",
    "SURFACE",
    "TIED_SURFACE",
    "Array",
    "Law",
    "Parameter",
    "Term",
    "Variable",
    "critical_batch",
    "find_law",
    "power_sum",
    "schedule_variables",
]

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        FRONTIER,
        FLOOR_FREE,
        FLOOR_FREE_N,
        FLOOR_FREE_D,
        FLOOR_FREE_SURFACE,
        POWER_N,
        POWER_D,
        SURFACE,
        TIED_SURFACE,
        CROSSED_SURFACE,
        KAPLAN,
        DATA_CONSTRAINED,
        ANNEALING,
        MULTI_POWER,
        ROUTED,
        BROKEN,
        SIGMOID,
    )
}
"""All laws by name."""


def find_law(name: str) -> Law:
    """The law of a name or one of its aliases, whatever the case.

    Raises:
        DanluError: there is none.
    """
    names = {known: law for law in LAWS.values() for known in (law.name, *law.aliases)}
    wanted = name.strip().lower().replace("-", "_")
    if wanted in names:
        return names[wanted]
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise DanluError(f"there is no law '{name}'.", f"{hint}The laws are {', '.join(LAWS)}; 'auto' picks among them.")
