"""A stream of tokens on the disk, read through memory maps: nothing is loaded before it is asked for."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.common.files import sha256_file
from danlu.tokens.shards import DocumentSpan, TokenIndex, read_index

_REMEDY = "Remove the tokens folder and run the same command again: the tokens are then made anew from the corpus."


class TokenDataset:
    """All tokens of one side of a corpus, as one sequence.

    Args:
        folder: holds index.json and the shards that it names.
        verify: also compare each shard's SHA-256 with the index; the sizes are compared always.

    Raises:
        DanluError: a shard is missing, cut short or altered.
    """

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        self.folder = folder
        self.index: TokenIndex = read_index(folder)
        self.dtype = np.dtype(self.index.dtype).newbyteorder("<")
        self._shards: list[NDArray[np.integer]] = []
        for shard in self.index.shards:
            path = folder / shard.file
            if not path.is_file():
                raise DanluError(f"there is no file {path}.", _REMEDY)
            expected, size = shard.tokens * self.dtype.itemsize, path.stat().st_size
            if size != expected:
                raise DanluError(f"{path} has {size:,} bytes, not the {expected:,} that were written.", _REMEDY)
            if verify and sha256_file(path) != shard.sha256:
                raise DanluError(f"{path} is not as it was written.", _REMEDY)
            # As a plain array: slicing a memmap costs ten times as much.
            self._shards.append(np.asarray(np.memmap(path, self.dtype, mode="r")))
        self._ends = list(accumulate(shard.tokens for shard in self.index.shards))

    @property
    def num_tokens(self) -> int:
        """Tokens in all."""
        return self.index.tokens

    @property
    def documents(self) -> tuple[DocumentSpan, ...]:
        """Where each document lies; empty for a training stream, which does not keep that."""
        return self.index.spans

    def slice(self, start: int, stop: int) -> NDArray[np.integer]:
        """Tokens start..stop-1, (stop - start,), in the files' own type. Read only where it lies in one shard."""
        assert 0 <= start <= stop <= self.num_tokens
        parts = []
        number = bisect_right(self._ends, start)
        while start < stop:
            shard, end = self._shards[number], self._ends[number]
            until = min(stop, end)
            parts.append(shard[start - end + len(shard) : until - end + len(shard)])
            start, number = until, number + 1
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)
