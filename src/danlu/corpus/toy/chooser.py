"""Every choice of the toy language goes through here, so that its probability is known."""

import math
import random
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T")

ZIPF = 0.75
"""Exponent of the ranked choices at entropy 0.5; smaller than natural text's 1, for the world is small."""


class Choice(Generic[T]):
    """Options with weights: data, written down once; a `Chooser` draws from it.

    Args:
        weights: an option's weight (positive, not normalised).
        fixed: whether the entropy knob leaves the weights alone.
    """

    __slots__ = ("fixed", "options", "weights")

    def __init__(self, weights: Mapping[T, float] | Iterable[tuple[T, float]], *, fixed: bool = False) -> None:
        pairs = list(weights.items() if isinstance(weights, Mapping) else weights)
        assert pairs
        assert all(weight > 0 for _, weight in pairs)
        self.options = tuple(option for option, _ in pairs)
        self.weights = tuple(weight for _, weight in pairs)
        self.fixed = fixed


def ranked(options: Iterable[T]) -> Choice[T]:
    """A choice whose weights fall as a power of the rank (Zipf's law): the first option is the most frequent."""
    return Choice((option, rank**-ZIPF) for rank, option in enumerate(options, start=1))


@cache
def _ranks(count: int) -> Choice[int]:
    return ranked(range(count))


_Table = tuple[tuple[T, ...], list[float], list[float]]  # options, cumulative probabilities, logarithms


def _table(options: Sequence[T], weights: Sequence[float], power: float) -> "_Table[T]":
    tempered = [weight**power for weight in weights]
    total = math.fsum(tempered)
    cumulative = list(accumulate(weight / total for weight in tempered))
    # The last step may miss 1 by rounding, and a draw lies in [0, 1).
    cumulative[-1] = 1.0
    return tuple(options), cumulative, [math.log(weight / total) for weight in tempered]


class Chooser:
    """Draws options and adds up the logarithms of their probabilities.

    The entropy knob e in [0, 1] turns weights w into probabilities proportional to w^(4(1-e)^2): as written at 0.5,
    uniform at 1, fourth powers at 0. The entropy of such a family grows with e (its derivative is the variance of log w,
    times a positive factor), choice by choice.

    One draw of `random.Random` a choice; its `seed(int)` and `random()` give the same numbers on every platform and
    version of Python, by the library's promise.
    """

    __slots__ = ("_power", "_random", "_source", "_tables", "logprob")

    def __init__(self, entropy: float) -> None:
        self._power = 4.0 * (1.0 - entropy) ** 2
        self._tables: dict[object, _Table[object]] = {}
        self._source = random.Random()
        self._random = self._source.random
        self.logprob = 0.0
        """Sum of the logarithms (nats) of the probabilities of what was chosen since `start`."""

    def start(self, key: int) -> None:
        """Begin a document: what follows depends on `key` alone."""
        self._source.seed(key)
        self.logprob = 0.0

    def pick(self, choice: Choice[T]) -> T:
        """One of the choice's options."""
        table: _Table[T] | None = self._tables.get(choice)  # type: ignore[assignment]
        if table is None:
            table = self._remember(choice, choice.options, choice)
        options, cumulative, logs = table
        index = bisect(cumulative, self._random())
        self.logprob += logs[index]
        return options[index]

    def among(self, choice: Choice[T], mask: int) -> T:
        """One of the choice's options whose bit is set in `mask` (bit i: option i), their weights normalised anew."""
        table: _Table[T] | None = self._tables.get((choice, mask))  # type: ignore[assignment]
        if table is None:
            options = [option for i, option in enumerate(choice.options) if mask >> i & 1]
            table = self._remember((choice, mask), options, choice, mask)
        options_left, cumulative, logs = table
        index = bisect(cumulative, self._random())
        self.logprob += logs[index]
        return options_left[index]

    def one_of(self, options: Sequence[T]) -> T:
        """One of a few options, the earlier the likelier. A single option takes no draw."""
        count = len(options)
        return options[0] if count == 1 else options[self.pick(_ranks(count))]

    def _remember(self, key: object, options: Sequence[T], choice: Choice[T], mask: int = -1) -> _Table[T]:
        weights = [weight for i, weight in enumerate(choice.weights) if mask >> i & 1]
        table = _table(options, weights, 1.0 if choice.fixed else self._power)
        self._tables[key] = table  # type: ignore[assignment]
        return table
