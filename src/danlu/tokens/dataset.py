"""A stream of tokens on the disk, read through memory maps: nothing is loaded before it is asked for."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.common.files import sha256_file
from danlu.tokens.order import Permutation
from danlu.tokens.shards import DocumentSpan, TokenIndex, read_index

_PIECE = 2048  # tokens of an excerpt that lay together
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


class Excerpt:
    """So many tokens of a dataset as one shorter sequence: what a smaller corpus of the same kind would give.

    It is made of pieces of 2,048 tokens from random places, so that every source has its share and few sequences hold a
    seam. Of two excerpts with the same seed, the longer begins with the shorter.

    Args:
        num_tokens: its length; at most the dataset's.
    """

    def __init__(self, dataset: TokenDataset, num_tokens: int, seed: int) -> None:
        assert 0 < num_tokens <= dataset.num_tokens
        self.num_tokens = num_tokens
        self._dataset = dataset
        pieces = -(-dataset.num_tokens // _PIECE)
        order = Permutation(pieces - 1, (seed, 0, 1))(np.arange(pieces - 1)) if pieces > 1 else np.empty(0, np.int64)
        # The last piece, which may be shorter, comes last.
        self._starts: list[int] = [*(order * _PIECE).tolist(), (pieces - 1) * _PIECE]

    def slice(self, start: int, stop: int) -> NDArray[np.integer]:
        """Tokens start..stop-1 of the excerpt, (stop - start,)."""
        assert 0 <= start <= stop <= self.num_tokens
        parts = []
        while start < stop:
            piece, inside = divmod(start, _PIECE)
            length = min(stop - start, _PIECE - inside)
            begin = self._starts[piece] + inside
            parts.append(self._dataset.slice(begin, begin + length))
            start += length
        return np.concatenate(parts) if parts else np.empty(0, self._dataset.dtype)
