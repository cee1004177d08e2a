"""Which documents stay: exact duplicates out, some kept aside, both by the hash of the text alone."""

import heapq
from collections import Counter, defaultdict
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from danlu.corpus.records import Block, Entry, Reason


class KeySet:
    """A set of 64-bit keys that takes 8 bytes each, filled a block at a time.

    Ten gigabytes of documents of a kilobyte are 80 MB here and about 1 GB in a `set`. Two of n different texts share a
    key with probability n^2 / 2^65: one in seven hundred thousand for n = 5 million.

    The keys lie in sorted arrays of falling size; two are merged when the later has grown as large as the earlier, so
    each key is moved a number of times that grows with the logarithm of their number.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def add(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Add keys (n,) and say of each whether it is new; of equal ones, the first alone is."""
        values, first = np.unique(keys, return_index=True)
        fresh = np.ones(len(values), bool)
        for run in self._runs:
            place = np.searchsorted(run, values)
            place[place == len(run)] = 0
            fresh &= run[place] != values
        is_new = np.zeros(len(keys), bool)
        is_new[first[fresh]] = True
        if fresh.any():
            self._runs.append(values[fresh])
        while len(self._runs) > 1 and len(self._runs[-1]) >= len(self._runs[-2]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")  # finds the two sorted halves and merges them
            self._runs.append(merged)
        return is_new


class Sieve:
    """Lets each text through once, and counts what stays behind."""

    def __init__(self) -> None:
        self._seen = KeySet()
        self.dropped: defaultdict[str, Counter[Reason]] = defaultdict(Counter)
        """By source and reason."""
        self.first_dropped: defaultdict[str, dict[Reason, str]] = defaultdict(dict)
        """By source and reason: where the first one stands, for faults."""

    def new(self, block: Block) -> list[Entry]:
        """The documents of a block whose texts were not seen before, in order."""
        entries = []
        for entry in block:
            if isinstance(entry, Entry):
                entries.append(entry)
            else:
                self.dropped[entry.source][entry.reason] += 1
                self.first_dropped[entry.source].setdefault(entry.reason, entry.where)
        is_new = self._seen.add(np.array([entry.key for entry in entries], np.uint64)).tolist()
        for entry, new in zip(entries, is_new, strict=True):
            if not new:
                self.dropped[entry.source]["duplicate"] += 1
        return list(compress(entries, is_new))


class Holdout:
    """Chooses the held-out documents of a stream of unknown length: those with the smallest keys.

    A document is held out when its key is in the lowest `share` of all keys and the documents with smaller keys leave
    room for it under `max_bytes`. That depends on the set of texts alone, not on their order, and a text is never on
    both sides. The document with the smallest key of all is always held out.
    """

    def __init__(self, share: float, max_bytes: float) -> None:
        self._limit = share * 2.0**64
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._heap: list[tuple[int, Entry]] = []  # (-key, entry): the largest key on top

    def offer(self, entry: Entry) -> list[Entry]:
        """Take one more document, and give back those that are for training after all."""
        if self._heap and entry.key >= max(self._limit, -self._heap[0][0]):
            return [entry]
        heapq.heappush(self._heap, (-entry.key, entry))
        self._num_bytes += entry.num_bytes
        returned = []
        while len(self._heap) > 1 and (self._num_bytes > self._max_bytes or -self._heap[0][0] >= self._limit):
            last = heapq.heappop(self._heap)[1]
            self._num_bytes -= last.num_bytes
            self._limit = min(self._limit, last.key)  # no later document may slip in behind one that found no room
            returned.append(last)
        return returned

    def chosen(self) -> list[Entry]:
        """The held-out documents so far, by key, so in an order as good as random."""
        return [entry for _, entry in sorted(self._heap, key=lambda item: -item[0])]
