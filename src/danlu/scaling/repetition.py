"""What repeated text is worth, and how many parameters a text can feed."""

from typing import overload

import numpy as np

from danlu.scaling.laws import Array

HALF_LIFE = 15.39
"""R* of Muennighoff et al. 2023 (2305.16264): repetitions after which one more is worth 1/e of fresh text."""
HALF_LIFE_RANGE = (5.0, 100.0)
"""What R* may well be: its own data leave it open by more than this factor."""

_MOST_PARAMS = 0.4
"""Parameters that a distinct token can feed: of more a model makes little use. Muennighoff et al. have (1 + R_N*) / 20,
0.32, with R_N* = 5.31 and 20 tokens a parameter at the optimum; 0.4 suits runs on tinyshakespeare, whose models had 1.4
parameters a distinct token (NOTES.md, entry 47)."""
_SHARPNESS = 4.0
"""How suddenly that limit sets in. Their exponential bends from the optimum on, which Python and the Tang
poems, at 0.15 and 0.23 parameters a distinct token, did not bear out."""


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


@overload
def effective_params(params: float, unique_tokens: float) -> float: ...
@overload
def effective_params(params: Array, unique_tokens: Array) -> Array: ...
def effective_params(params: float | Array, unique_tokens: float | Array) -> float | Array:
    """Parameters that a model of `params` makes use of when it learns from so many distinct tokens.

    N' = N / (1 + (N / (0.4 U))^4)^(1/4): N itself for a small model, and 0.4 U at most. After the decay of excess
    parameters of Muennighoff et al. 2023 (2305.16264, section 6), with a limit and a bend of our own.
    """
    excess = np.asarray(params) / (_MOST_PARAMS * np.asarray(unique_tokens))
    used = params / (1.0 + excess**_SHARPNESS) ** (1.0 / _SHARPNESS)
    return used if isinstance(params, np.ndarray) else float(used)
