"""Laws of whole loss curves under any learning-rate schedule: what annealing brings, and when.

A loss curve's points share one run, whose learning rate changes; these laws take the schedule itself as their variable,
in the sums that `schedule_variables` makes of it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.signal import lfilter

from danlu.scaling.laws.law import Array, Law, Parameter, Variable, coefficient, exponent

DECAY = 0.999
"""lambda of Tissue et al. 2024, section 3: how long a fall of the learning rate goes on helping, 1/(1 - lambda)
steps."""
_MOST_DROPS = 48
"""Falls of the learning rate that are told apart in one schedule; neighbours are put together."""


def schedule_variables(steps: Array, rates: Array, decay: float = DECAY) -> dict[str, Array]:
    """The annealing laws' variables at the points of one run, (n,) or (n, drops).

    Between points the learning rate is taken as straight; before the first point it is taken to have risen straight
    from zero at step 0 (a warm-up), or to have stood still where the first point is at step 0 or 1.

    Args:
        steps: optimizer steps of the points, rising, (n,).
        rates: learning rate at them, (n,).
        decay: lambda.

    Returns:
        S1, the sum of the learning rate; S2, the sum of its faded falls; and for the multi-power law each fall
        (`drop`), the rate after it (`drop_lr`), and the sum of the rate since it at every point (`drop_sum`; 0 before
        it).
    """
    first = float(steps[0])
    grid = np.arange(first, float(steps[-1]) + 1.0)
    rate = np.interp(grid, steps, rates)
    before = 0.5 * float(rates[0]) * first
    total = before + np.cumsum(rate) - rate[0]
    falls = np.concatenate([[0.0], rate[:-1] - rate[1:]])
    momentum = lfilter([1.0], [1.0, -decay], falls)
    at = np.round(steps - first).astype(int)
    drop, drop_rate, since = _drops(falls, rate, total)
    return {
        "S1": total[at],
        "S2": np.cumsum(momentum)[at],
        "drop": np.broadcast_to(drop, (len(steps), len(drop))),
        "drop_lr": np.broadcast_to(drop_rate, (len(steps), len(drop))),
        "drop_sum": np.maximum(total[at][:, None] - since[None, :], 0.0),
    }


def _drops(falls: Array, rate: Array, total: Array) -> tuple[Array, Array, Array]:
    """Falls of the rate put together into a few of equal size, the rate after each, and the sum at each, (K,)."""
    gone = np.cumsum(falls)
    if gone[-1] <= 0:
        return np.zeros(_MOST_DROPS), np.full(_MOST_DROPS, rate[-1]), np.full(_MOST_DROPS, np.inf)
    edges = np.linspace(0, gone[-1], _MOST_DROPS + 1)
    middle = np.clip(np.searchsorted(gone, (edges[1:] + edges[:-1]) / 2), 0, len(rate) - 1)
    return np.diff(edges), rate[middle], total[middle]


def _annealing(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    return [np.ones(()), np.exp(-shape["alpha"] * np.log(values["S1"])), -values["S2"]]


ANNEALING = Law(
    name="annealing",
    formula="L = L0 + A S1^-alpha - G S2, S1 = sum of lr, S2 = sum of its faded falls",
    inputs=(Variable("S1", "learning rate x steps"), Variable("S2", "learning rate x steps")),
    parameters=(
        coefficient("L0", "nats/token"),
        coefficient("A", "nats/token x S1^alpha"),
        coefficient("G", "nats/token per S2"),
        exponent("alpha", count=60),
    ),
    basis=_annealing,
    source="Tissue et al. 2024, equation 1 (their C is G here)",
    aliases=("tissue",),
)
"""Loss at any step under any learning-rate schedule."""


def _multi_power(shape: Mapping[str, Any], values: Mapping[str, Any]) -> list[Any]:
    scale, gamma, beta = (np.asarray(shape[name])[..., None] for name in ("W", "gamma", "beta"))
    grown = scale * np.exp(-gamma * np.log(values["drop_lr"])) * values["drop_sum"] + 1.0
    gain = np.sum(values["drop"] * (1.0 - np.exp(-beta * np.log(grown))), axis=-1)
    return [np.ones(()), np.exp(-shape["alpha"] * np.log(values["S1"])), -gain]


MULTI_POWER = Law(
    name="multi_power",
    formula="L = L0 + A S1^-alpha - B sum_k (lr_(k-1) - lr_k) (1 - (W lr_k^-gamma S_k + 1)^-beta)",
    inputs=(
        Variable("S1", "learning rate x steps"),
        Variable("drop", "learning rate"),
        Variable("drop_lr", "learning rate"),
        Variable("drop_sum", "learning rate x steps"),
    ),
    parameters=(
        coefficient("L0", "nats/token"),
        coefficient("A", "nats/token x S1^alpha"),
        coefficient("B", "nats/token per learning rate"),
        exponent("alpha", count=8),
        Parameter("W", "", "shape", 1e-3, 1e4, (0.3, 3.0, 30.0)),
        Parameter("gamma", "", "shape", 0.01, 3.0, (0.3, 0.6, 1.0)),
        Parameter("beta", "", "shape", 0.02, 5.0, (0.2, 0.5, 1.0)),
    ),
    basis=_multi_power,
    source="Luo et al. 2025, equation 4 (their C is W here)",
    aliases=("mpl",),
)
"""The annealing law with a gain that saturates as a power after each fall of the learning rate."""
