"""Training sequences by number. There is no state: to resume is to ask for the next number."""

import numpy as np
from numpy.typing import NDArray

from danlu.common.errors import DanluError
from danlu.tokens.dataset import Excerpt, TokenDataset
from danlu.tokens.order import Permutation


class Loader:
    """Cuts a token stream into sequences and gives them in an order drawn anew for each epoch.

    A sequence is `seq_len + 1` tokens: inputs and, one further, targets. Sequences follow one another every `seq_len`
    tokens, so each token is a target once. Each epoch begins its first sequence at another of the first `seq_len`
    tokens, so that over the epochs a token is seen with different amounts of context; fewer than `2 * seq_len` tokens
    at the two ends are left out of an epoch.

    Sequence number g is one of epoch g // sequences_per_epoch. Which one is a pure function of (seed, epoch, place in
    the epoch), so it depends neither on the batch size nor on the number of processes, and none is repeated or left
    out within an epoch.

    Args:
        seq_len: inputs a sequence (tokens).
        seed: of the order.
        unique_tokens: draw from an excerpt of so many tokens, as if the corpus were that small; None: from all.

    Raises:
        DanluError: the stream is shorter than two sequences.
    """

    def __init__(self, dataset: TokenDataset, seq_len: int, seed: int, unique_tokens: int | None = None) -> None:
        assert seq_len > 0
        assert seed >= 0
        self._tokens: TokenDataset | Excerpt = dataset
        if unique_tokens is not None and unique_tokens < dataset.num_tokens:
            self._tokens = Excerpt(dataset, unique_tokens, seed)
        self._seq_len = seq_len
        self._seed = seed
        self.sequences_per_epoch = max(0, self._tokens.num_tokens // seq_len - 1)
        """Sequences in an epoch, the same in each."""
        if self.sequences_per_epoch == 0:
            raise DanluError(
                f"there are {self._tokens.num_tokens:,} tokens to train on, fewer than two sequences of {seq_len:,}.",
                "Give more text or a shorter context.",
            )

    def require(self, count: int) -> None:
        """Refuse a batch of `count` sequences (that of all processes together) that an epoch does not hold.

        Raises:
            DanluError: the corpus is smaller than one batch.
        """
        if count > self.sequences_per_epoch:
            raise DanluError(
                f"the corpus is smaller than one batch: it gives {self.sequences_per_epoch:,} sequences of "
                f"{self._seq_len:,} tokens, and a batch takes {count:,}.",
                "Give more text, a smaller batch or a shorter context.",
            )

    def batch(self, first: int, count: int) -> NDArray[np.int64]:
        """Sequences number first..first+count-1, (count, seq_len + 1), counted from 0 through all epochs.

        Raises:
            DanluError: the corpus is smaller than one batch.
        """
        assert first >= 0
        self.require(count)
        tokens = np.empty((count, self._seq_len + 1), np.int64)
        for row, start in enumerate(self._starts(first, count).tolist()):
            tokens[row] = self._tokens.slice(start, start + self._seq_len + 1)
        return tokens

    def _starts(self, first: int, count: int) -> NDArray[np.int64]:
        """The first token of each sequence, (count,)."""
        size = self.sequences_per_epoch
        numbers = np.arange(first, first + count, dtype=np.int64)
        epochs = numbers // size
        starts = np.empty(count, np.int64)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            offset = int(np.random.SeedSequence((self._seed, epoch)).generate_state(1)[0]) % self._seq_len
            order = Permutation(size, (self._seed, epoch))
            starts[here] = offset + self._seq_len * order(numbers[here] - epoch * size)
        return starts
