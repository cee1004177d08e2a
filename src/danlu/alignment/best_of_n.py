"""Best of n: draw n responses, keep the one that the reward likes best. Its curve, its KL, and rejection sampling.

The KL of the best of n from the model is known without measuring: log n - (n - 1) / n where no two responses score
the same (Gao et al. 2022, arXiv 2210.10760; `best_of_n_kl`). Where scores tie, and the tie is decided by chance, it is
less: `tied_best_of_n_kl` is exact for any number of classes of equal scores.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danlu.alignment.maths import best_of_n_kl
from danlu.common.errors import DanluError

Array = NDArray[np.float64]


def choice_weights(num_samples: int, n: int) -> Array:
    """The probability that the sample of each rank is the best of n drawn without replacement from N, (N,).

    In ascending order of score: C(i - 1, n - 1) / C(N, n) for the i-th (Nakano et al. 2021, arXiv 2112.09332, appendix
    I). With these weights, N samples give an unbiased estimate for every n up to N at once.

    Raises:
        ValueError: n is not from 1 to N.
    """
    if not 1 <= n <= num_samples:
        raise ValueError(f"the best of {n} cannot be estimated from {num_samples} samples")
    total = math.comb(num_samples, n)
    return np.array([math.comb(i, n - 1) / total for i in range(num_samples)])


def expected_best(proxy: Array, gold: Array, n: int) -> Array:
    """What is expected of the best of n by the proxy, for each prompt: (P,), unbiased.

    Args:
        proxy: (P, N), by which the best is chosen; ties are decided by chance.
        gold: (P, N), what is asked about; the proxy itself, or another judge's scores of the same responses.
    """
    weights = choice_weights(proxy.shape[1], n)
    found = np.empty(len(proxy))
    for row, (by, value) in enumerate(zip(proxy, gold, strict=True)):
        order = np.argsort(by, kind="stable")
        _, place = np.unique(by[order], return_inverse=True)
        shared = np.bincount(place, weights) / np.bincount(place)  # equal scores share their chances
        found[row] = shared[place] @ value[order]
    return found


def tied_best_of_n_kl(masses: Sequence[float] | Array, n: int) -> float:
    """KL (nats) of the best of n where scores come in classes: the exact value, ties being decided by chance.

    A class of probability p above everything of probability F is chosen with (F + p)^n - F^n, and within it responses
    keep their proportions; so the KL is that between the classes.

    Args:
        masses: probability of each class of equal scores, in ascending order of score; they add up to one.
    """
    p = np.asarray(masses, float)
    upper = np.cumsum(p)
    if not math.isclose(upper[-1], 1.0, rel_tol=1e-6) or (p < 0).any():
        raise ValueError("the classes' probabilities must be 0 or more and add up to one")
    q = np.minimum(upper, 1.0) ** n - np.minimum(upper - p, 1.0).clip(0.0) ** n
    there = q > 0
    return float((q[there] * np.log(q[there] / p[there])).sum())


def estimated_kl(proxy: Array, n: int) -> float:
    """KL (nats) of the best of n, from N samples a prompt: their mean, with ties as seen among the samples.

    Where all scores of a prompt differ this is `best_of_n_kl`; where k of N share a score, they count as a class of
    probability k / N as far as they make the KL less.
    """
    every = best_of_n_kl(n)
    found = []
    for row in proxy:
        counts = np.unique(row, return_counts=True)[1]
        distinct = len(counts) == len(row)
        found.append(every if distinct else min(every, tied_best_of_n_kl(counts / len(row), n)))
    return float(np.mean(found))


@dataclass(frozen=True)
class Point:
    """Best of n for one n."""

    n: int
    kl: float
    """Nats a response."""
    proxy: float
    """Mean expected score of the reward that chooses."""
    proxy_se: float
    """Its standard error, over prompts."""
    gold: float | None = None
    """Mean expected score of another judge."""
    gold_se: float | None = None


def curve(proxy: Array, gold: Array | None = None, ns: Sequence[int] | None = None) -> list[Point]:
    """Best of n for many n from one set of samples.

    Args:
        proxy, gold: (P, N).
        ns: by default 1, 2, 4, ... up to N, and N.
    """
    num_samples = proxy.shape[1]
    wanted = ns or sorted({*(2**k for k in range(num_samples.bit_length()) if 2**k <= num_samples), num_samples})
    points = []
    for n in wanted:
        chosen = expected_best(proxy, proxy, n)
        judged = None if gold is None else expected_best(proxy, gold, n)
        points.append(
            Point(
                n,
                estimated_kl(proxy, n),
                float(chosen.mean()),
                _standard_error(chosen),
                None if judged is None else float(judged.mean()),
                None if judged is None else _standard_error(judged),
            )
        )
    return points


def best_indices(proxy: Array) -> NDArray[np.int64]:
    """(P,) the place of each prompt's best response; of equal ones the first drawn."""
    return np.argmax(proxy, axis=1)


def sample_and_score(
    num_prompts: int,
    n: int,
    draw: Callable[[Sequence[int], Sequence[int]], Sequence[str]],
    score: Callable[[Sequence[int], Sequence[str]], Sequence[float]],
    *,
    prompts_at_once: int = 16,
    show: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[list[str]], Array]:
    """Draw n responses to each prompt and score them.

    Args:
        draw: responses to prompts (by place), whose random streams have these numbers.
        score: of responses to prompts (by place).

    Returns:
        Responses (P lists of n) and scores (P, n).
    """
    if n < 1:
        raise DanluError(f"the best of {n} responses means nothing.", "Give n of 1 or more.")
    responses: list[list[str]] = []
    scores = np.empty((num_prompts, n))
    for first in range(0, num_prompts, prompts_at_once):
        some = range(first, min(first + prompts_at_once, num_prompts))
        places = [place for place in some for _ in range(n)]
        drawn = list(draw(places, range(some.start * n, some.stop * n)))
        scores[some.start : some.stop] = np.asarray(score(places, drawn), float).reshape(len(some), n)
        responses += [drawn[i : i + n] for i in range(0, len(drawn), n)]
        show(some.stop, num_prompts)
    return responses, scores


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
