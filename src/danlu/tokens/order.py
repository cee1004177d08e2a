"""A random order that is computed, not stored: any place of any epoch at once, on any machine."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]

_ROUNDS = 6


class Permutation:
    """A bijection of 0..size-1 that depends on `key` alone.

    A Feistel network permutes the numbers of 2b bits, 4^b >= size being the least such power; a number that lands
    outside is sent through again until it lands inside (cycle walking; Black and Rogaway 2002, "Ciphers with arbitrary
    finite domains"), which takes fewer than four passes on average.
    """

    def __init__(self, size: int, key: tuple[int, ...]) -> None:
        assert size > 0
        self._size = size
        self._half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        self._keys: Words = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64).astype(np.uint64)

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each of `places` (n,) goes; n different places go to n different ones."""
        assert len(places) == 0 or (places.min() >= 0 and places.max() < self._size)
        numbers = self._pass(places.astype(np.uint64))
        while (outside := numbers >= self._size).any():
            numbers[outside] = self._pass(numbers[outside])
        return numbers.astype(np.int64)

    def _pass(self, numbers: Words) -> Words:
        left, right = numbers >> self._half, numbers & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ key) & self._mask)
        return left << self._half | right


def _mix(numbers: Words) -> Words:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014): each bit of the input moves each of the output."""
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return numbers ^ numbers >> np.uint64(31)
