"""Every choice of the toy language goes through here, so that its probability is known."""

import math
import random
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")


class Choice(Generic[T]):
    """Options with weights: data, written down once; a `Chooser` draws from it."""

    __slots__ = ("options", "steady", "weights")

    def __init__(self, weights: Mapping[T, float], *, steady: bool = False) -> None:
        self.options = tuple(weights)
        self.steady = steady
        """Whether these are shares that the entropy knob must not touch."""
        self.weights: tuple[float, ...] | None = tuple(weights.values())
        """An option's weight (positive, not normalised); None where it falls with the option's rank."""

    def mask(self, but: Iterable[object] = ()) -> int:
        """The bits of its options, except some."""
        bits = (1 << len(self.options)) - 1
        for option in but:
            bits &= ~(1 << self.options.index(option))
        return bits


def ranked(options: Iterable[T]) -> Choice[T]:
    """A choice by Zipf's law, whose exponent the entropy knob sets: the first option is the most frequent."""
    choice = Choice(dict.fromkeys(options, 1.0))
    choice.weights = None
    return choice


class Rounds:
    """How often something is done: weights of the numbers of times, as a chain of decisions to go on or to stop."""

    __slots__ = ("stops",)

    def __init__(self, weights: Mapping[int, float]) -> None:
        numbers = sorted(weights)
        self.stops = [
            (number, Choice({True: math.fsum(weights[more] for more in numbers[i:]), False: weights[number]}))
            for i, number in enumerate(numbers[:-1], start=1)
        ]
        """A number of times after which it may end, with the choice whether it goes on."""
        self.stops.append((numbers[-1], Choice({False: 1.0})))


@cache
def _ranks(count: int) -> Choice[int]:
    return Choice({rank: 1 / (rank + 1) for rank in range(count)})


_Table: TypeAlias = tuple[tuple[object, ...], list[float], list[float]]
"""Options, their cumulative probabilities, the logarithms of their probabilities."""


class Chooser:
    """Draws options and adds up the logarithms of their probabilities.

    The entropy knob e in [0, 1] evens out the choices among words of a sort (names, places, things, colours, ...):
    their probabilities fall with the rank to the power sqrt(2(1-e)); at 0.5 that is 1, Zipf's law as in natural text,
    and at 1 all are alike. The entropy of such a choice grows with e, for its derivative by the exponent s is -s times
    the variance of log rank. What happens and how sentences are built has weights of its own; the knob raises these to
    a power that falls from 3 at e = 0 to 1 at 0.5 and stays: evened out, they would make texts longer, not richer.

    One draw of `random.Random` a choice; its `seed(int)` and `random()` give the same numbers on every platform and
    version of Python, by the library's promise.
    """

    __slots__ = ("_exponent", "_power", "_random", "_source", "_tables", "logprob")

    def __init__(self, entropy: float) -> None:
        self._exponent = math.sqrt(2.0 * (1.0 - entropy))
        self._power = 1.0 + 4.0 * max(0.0, 0.5 - entropy)
        self._tables: dict[object, _Table] = {}
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
        options, cumulative, logs = self._tables.get(choice) or self._table(choice, choice)
        index = bisect(cumulative, self._random())
        self.logprob += logs[index]
        return options[index]  # type: ignore[return-value]

    def among(self, choice: Choice[T], mask: int) -> T:
        """One of the choice's options whose bit is set in `mask` (bit i: option i), their weights normalised anew."""
        key = (choice, mask)
        options, cumulative, logs = self._tables.get(key) or self._table(key, choice, mask)
        index = bisect(cumulative, self._random())
        self.logprob += logs[index]
        return options[index]  # type: ignore[return-value]

    def one_of(self, options: Sequence[T]) -> T:
        """One of a few options, the earlier the likelier. A single option takes no draw."""
        count = len(options)
        return options[0] if count == 1 else options[self.pick(_ranks(count))]

    def rounds(self, often: Rounds) -> Iterator[int]:
        """Count 0, 1, ... as often as chance says; whether once more is decided only when it comes to that."""
        done = 0
        for number, goes_on in often.stops:
            yield from range(done, number)
            done = number
            if not self.pick(goes_on):
                return

    def _table(self, key: object, choice: Choice[T], mask: int = -1) -> _Table:
        """The table of a choice under this knob; kept, for it is asked again and again."""
        if choice.weights is None:
            weights = [rank**-self._exponent for rank in range(1, len(choice.options) + 1)]
        else:
            power = 1.0 if choice.steady else self._power
            weights = [weight**power for weight in choice.weights]
        allowed = [i for i in range(len(weights)) if mask >> i & 1]
        assert allowed, "nothing is left to choose from"
        total = math.fsum(weights[i] for i in allowed)
        cumulative = list(accumulate(weights[i] / total for i in allowed))
        cumulative[-1] = 1.0  # rounding must not leave a gap below 1
        logs = [math.log(weights[i] / total) for i in allowed]
        table = tuple(choice.options[i] for i in allowed), cumulative, logs
        self._tables[key] = table
        return table
