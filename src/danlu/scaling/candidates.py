"""Which laws a table allows, and by what its rows are ordered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from danlu.common.errors import DanluError
from danlu.scaling.laws import (
    ANNEALING,
    DATA_CONSTRAINED,
    FLOOR_FREE,
    FLOOR_FREE_D,
    FLOOR_FREE_N,
    FLOOR_FREE_SURFACE,
    FRONTIER,
    POWER_D,
    POWER_N,
    ROUTED,
    SIGMOID,
    SURFACE,
    TIED_SURFACE,
    Law,
    find_law,
)
from danlu.scaling.rows import Rows, usable

_SAME = 0.1
"""Standard deviation of ln(D/N) below which all rows have one ratio, and N and D cannot be told apart."""
_FEWEST_LEVELS = 3
"""Different sizes (or amounts) that a law needs to see a bend."""


@dataclass(frozen=True)
class Candidates:
    """Laws to try."""

    laws: tuple[Law, ...]
    order: str
    """The variable that says which rows are the top of the table."""
    reason: str
    """Why these."""
    auto: bool
    """Whether they were chosen here and not by a person."""


def candidates(rows: Rows) -> Candidates:
    """The laws that the rows' variables allow.

    Raises:
        DanluError: nothing varies enough for any law.
    """
    if rows.is_share:
        return Candidates((SIGMOID,), "loss", "accuracies over a loss", True)
    values = rows.values
    if "S1" in values:
        return Candidates((ANNEALING,), "S1", "whole loss curves with their learning rates", True)
    if usable(ROUTED, rows) and len(np.unique(values["experts"])) >= _FEWEST_LEVELS:
        return Candidates((ROUTED,), "N", "models with several numbers of experts", True)
    if _two_ways(rows):
        laws = [SURFACE, TIED_SURFACE, FLOOR_FREE_SURFACE]
        repeated = usable(DATA_CONSTRAINED, rows) and bool(np.mean(values["D"] > 1.05 * values["U"]) > 0.1)
        if repeated:
            laws.append(DATA_CONSTRAINED)
        words = "N and D vary on their own" + (", and text is repeated" if repeated else "")
        return Candidates(tuple(laws), "C", words, True)
    for order, pair in (
        ("C", (FRONTIER, FLOOR_FREE)),
        ("N", (POWER_N, FLOOR_FREE_N)),
        ("D", (POWER_D, FLOOR_FREE_D)),
    ):
        if order in values and np.isfinite(values[order]).all() and _levels(rows, order) >= _FEWEST_LEVELS:
            return Candidates(pair, order, f"only {order} varies on its own", True)
    raise DanluError(
        f"the table has {max((_levels(rows, name) for name in 'NDC' if name in values), default=1)} sizes only: no law"
        " can be told from so few.",
        "Give runs of at least three sizes or amounts of text, better five.",
    )


def named_candidates(names: Sequence[str], rows: Rows) -> Candidates:
    """The laws that a person named.

    Raises:
        DanluError: unknown, or of different kinds.
    """
    laws = tuple(find_law(name) for name in names)
    if len({law.response for law in laws}) > 1:
        raise DanluError("laws of a loss and of an accuracy cannot be fitted together.", "Give one kind of --law.")
    variables = {name for law in laws for name in law.variables}
    order = next((name for name in ("S1", "C", "N", "D", "loss") if name in variables), "N")
    if {"N", "D"} <= variables:
        order = "C"
    for law in laws:
        for name in law.variables:
            if name in rows.values and name in "NDC" and _levels(rows, name) < 2:
                raise DanluError(
                    f"all rows have the same {name}, {rows.values[name].flat[0]:.4g}: the law {law.name} cannot tell"
                    f" what {name} does.",
                    f"Give runs with other values of {name}, or a --law without it.",
                )
    return Candidates(laws, order if order in rows.values else next(iter(variables)), "named", False)


def _levels(rows: Rows, name: str) -> int:
    return len(np.unique(np.round(np.log(rows.values[name]), 3)))


def _two_ways(rows: Rows) -> bool:
    if not usable(SURFACE, rows):
        return False
    log_n, log_d = np.log(rows.values["N"]), np.log(rows.values["D"])
    varied = min(log_n.std(), log_d.std()) > _SAME / 2 and float(np.std(log_d - log_n)) > _SAME
    return bool(varied and abs(np.corrcoef(log_n, log_d)[0, 1]) < 0.998 and _levels(rows, "N") >= _FEWEST_LEVELS)
