"""What repeated text is worth."""

from typing import overload

import numpy as np

from danlu.scaling.laws import Array

HALF_LIFE = 15.39
"""R* of Muennighoff et al. 2023 (2305.16264): repetitions after which one more is worth 1/e of fresh text."""
HALF_LIFE_RANGE = (5.0, 100.0)
"""What R* may well be: its own data leave it open by more than this factor."""


@overload
def effective_tokens(tokens: float, unique_tokens: float, half_life: float = ...) -> float: ...
@overload
def effective_tokens(tokens: Array, unique_tokens: Array, half_life: float = ...) -> Array: ...
def effective_tokens(
    tokens: float | Array, unique_tokens: float | Array, half_life: float = HALF_LIFE
) -> float | Array:
    """Fresh tokens that are worth as much as `tokens` drawn from `unique_tokens` distinct ones.

    D' = U + U R* (1 - exp(-(D/U - 1) / R*)), and D itself where nothing repeats. Muennighoff et al. 2023, equation 5.
    """
    repeats = np.maximum(np.asarray(tokens) / np.asarray(unique_tokens) - 1, 0.0)
    fresh = np.minimum(tokens, unique_tokens)
    worth = fresh + np.asarray(unique_tokens) * half_life * -np.expm1(-repeats / half_life)
    return worth if isinstance(tokens, np.ndarray) else float(worth)
