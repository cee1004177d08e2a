"""Best sizes read off isoFLOP sweeps, without any law: the lowest point of each budget's curve of loss over size."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from danlu.scaling.laws import Array

_FEWEST = 5
"""Sizes that a budget's curve has at least."""
_FINE = 4000


@dataclass(frozen=True)
class Minimum:
    """The lowest point of one budget's curve."""

    compute: float
    """FLOPs."""
    params: float
    """Best size (parameters)."""
    loss: float
    """Loss there (nats per token)."""
    at_end: bool
    """Whether it is the smallest or largest size tried, so that the true best may lie outside."""


def isoflop_minima(compute: Array, params: Array, losses: Array, *, fewest: int = _FEWEST) -> list[Minimum]:
    """Minima of the budgets that have enough sizes, by Akima interpolation of log loss over log size, as Porian et al.
    2024 do it, all arrays (n,)."""
    found = []
    budgets = np.round(np.log(compute), 2)
    for budget in np.unique(budgets):
        own = budgets == budget
        sizes = np.unique(params[own])
        if len(sizes) < fewest:
            continue
        curve = np.array([np.log(losses[own & (params == size)]).mean() for size in sizes])
        fine = np.linspace(np.log(sizes[0]), np.log(sizes[-1]), _FINE)
        values = Akima1DInterpolator(np.log(sizes), curve)(fine)
        place = int(np.argmin(values))
        found.append(
            Minimum(
                float(np.exp(np.log(compute[own]).mean())),
                float(np.exp(fine[place])),
                float(np.exp(values[place])),
                place in (0, _FINE - 1),
            )
        )
    return found


def size_exponent(minima: list[Minimum]) -> float:
    """a of N* ~ C^a: the slope of a straight line through the logs of the minima, those at an end left out where three
    or more others remain."""
    inner = [minimum for minimum in minima if not minimum.at_end]
    used = inner if len(inner) >= 3 else minima
    slope, _ = np.polyfit(np.log([m.compute for m in used]), np.log([m.params for m in used]), 1)
    return float(slope)
