"""Learning rate and batch for a size and a length: published laws, or one's own sweep."""

from dataclasses import dataclass

import numpy as np

from danlu.scaling.laws import Array
from danlu.scaling.rows import Rows

STEP_LAW_EXCESS = 0.001
"""Mean excess of the smoothed loss at Step Law's advice over the best of each of 17 sweeps (measured: 0.09 to
0.10%)."""
_FEWEST_SWEEPS = 4
"""Sweeps that a law of one's own rests on at least."""


@dataclass(frozen=True)
class Advice:
    """A learning rate and a batch."""

    lr: float
    """Peak learning rate."""
    lr_other: float
    """What the other published law says."""
    batch_tokens: float
    """Tokens a step."""
    batch_other: float
    """What the other published law says."""
    source: str
    """Where they come from, and what they are expected to cost."""


def step_law(params: float, tokens: float) -> tuple[float, float]:
    """Peak learning rate and tokens a step (Li et al. 2025, 2503.04715): 1.79 N^-.713 D^.307 and .58 D^.571.

    Args:
        params: non-embedding parameters.
        tokens: training tokens.
    """
    return 1.79 * params**-0.713 * tokens**0.307, 0.58 * tokens**0.571


def porian_law(params: float) -> tuple[float, float]:
    """Learning rate and tokens a step at about 20 tokens a parameter (Porian et al. 2024, as OLMo-core uses it)."""
    return 0.0047 * (params / 108e6) ** (-1 / 3), 2048 * 160 * (params / 108e6) ** (2 / 3)


def advise(rows: Rows, params: float, tokens: float) -> Advice:
    """Learning rate and batch for a run: from the rows' own sweeps where they have enough, else Step Law."""
    other_lr, other_batch = porian_law(params)
    own = own_sweep(rows)
    if own is not None:
        lr = float(np.exp(own @ np.array([1.0, np.log(params), np.log(tokens)])))
        return Advice(lr, other_lr, step_law(params, tokens)[1], other_batch, "the rows' own sweeps; batch by Step Law")
    lr, batch = step_law(params, tokens)
    words = f"Step Law (about {STEP_LAW_EXCESS:.1%} above the best on its own sweeps), beside Porian et al."
    return Advice(lr, other_lr, batch, other_batch, words)


def own_sweep(rows: Rows) -> Array | None:
    """Coefficients of ln lr = c0 + c1 ln N + c2 ln D through the best learning rates of the rows' sweeps; None where
    there are too few sweeps whose best is not at an end. A parabola through each gives its best."""
    if not {"lr", "N", "D"} <= rows.values.keys() or "S1" in rows.values:
        return None
    found = []
    pairs = np.stack([rows.values["N"], rows.values["D"]], axis=1)
    for pair in np.unique(pairs, axis=0):
        cell = (pairs == pair).all(axis=1)
        best = sweep_optimum(rows.values["lr"][cell], rows.losses[cell])
        if best is not None:
            found.append((*np.log(pair).tolist(), float(np.log(best))))
    if len(found) < _FEWEST_SWEEPS:
        return None
    table = np.array(found)
    design = np.column_stack([np.ones(len(table)), table[:, :2]])
    if np.linalg.matrix_rank(design - design.mean(axis=0)) < 2:
        return None
    solution: Array = np.linalg.lstsq(design, table[:, 2], rcond=None)[0]
    return solution


def sweep_optimum(rates: Array, losses: Array) -> float | None:
    """Best learning rate of a sweep: the lowest point of a parabola in ln lr through the best loss at each rate and its
    two neighbours; None where the best is at an end."""
    tried = np.unique(rates)
    lowest = np.array([losses[rates == rate].min() for rate in tried])
    place = int(np.argmin(lowest))
    if place in (0, len(tried) - 1):
        return None
    x, y = np.log(tried[place - 1 : place + 2]), lowest[place - 1 : place + 2]
    bend, slope, _ = np.polyfit(x - x[1], y, 2)
    return float(tried[place] * np.exp(np.clip(-slope / (2 * bend), x[0] - x[1], x[2] - x[1]))) if bend > 0 else None
