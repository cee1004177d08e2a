"""Keys and values of the beginnings of recent prompts, in blocks, so that a conversation is not read again each turn.

A block is found by everything from the beginning of the text up to its end, so conversations with the same system
prompt share its blocks. What is kept was computed exactly as it would be computed again (`Staging`), to the last bit.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from torch import Tensor

from danlu.generation.pages import fresh

BLOCK_TOKENS = 64
"""Tokens in a block: prompts are read in pieces that begin at multiples of this and end with the next at the latest."""


class PrefixCache:
    """Blocks by the text that they end, the least recently used dropped first.

    Args:
        capacity_bytes: most that they may take together.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._blocks: OrderedDict[bytes, tuple[Tensor, Tensor]] = OrderedDict()
        self.num_bytes = 0

    def find(self, tokens: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the longest known beginning that leaves at least one token to read.

        Returns:
            for each block its keys and its values, (layers, key-value heads, BLOCK_TOKENS, head_dim).
        """
        names = []
        for name in block_names(tokens[: len(tokens) - 1]):
            if name not in self._blocks:
                break
            names.append(name)
        for name in reversed(names):  # the first block of a text is the last of it to be dropped
            self._blocks.move_to_end(name)
        return [self._blocks[name] for name in names]

    def keep(self, tokens: Sequence[int], keys: Tensor, values: Tensor) -> None:
        """Keep the whole blocks of a text.

        Args:
            keys, values: (layers, key-value heads, at least len(tokens), head_dim).
        """
        for number, name in enumerate(block_names(tokens)):
            if name in self._blocks:
                continue
            span = slice(number * BLOCK_TOKENS, (number + 1) * BLOCK_TOKENS)
            parts = keys[:, :, span], values[:, :, span]
            size = sum(part.numel() * part.element_size() for part in parts)
            if size > self._capacity:
                return
            block = fresh((2, *parts[0].shape), keys.dtype, keys.device)[0]
            block[0], block[1] = parts
            self._blocks[name] = block[0], block[1]
            self.num_bytes += size
            self._drop()

    def limit(self, capacity_bytes: int) -> None:
        """Have the blocks take so much at most from now on."""
        self._capacity = capacity_bytes
        self._drop()

    def _drop(self) -> None:
        while self.num_bytes > self._capacity:
            _, dropped = self._blocks.popitem(last=False)
            self.num_bytes -= sum(part.numel() * part.element_size() for part in dropped)

    def clear(self) -> None:
        """Forget everything."""
        self._blocks.clear()
        self.num_bytes = 0


def block_names(tokens: Sequence[int]) -> Iterator[bytes]:
    """A name for each whole block, made from all tokens up to its end."""
    state = hashlib.blake2b(digest_size=20)
    for end in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
        state.update(array("q", tokens[end - BLOCK_TOKENS : end]).tobytes())
        yield state.digest()
