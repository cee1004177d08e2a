"""Decoding steps that are recorded once and replayed, on CUDA: a step's hundreds of kernels take ten times as long to
start one by one as to run.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 256
"""A recorded step reads a multiple of so many positions of the cache: with more, more is read in vain; with fewer,
steps are recorded more often, which takes as long as some tens of them."""
_MOST = 64
"""Recordings that are kept; each holds some memory on the device."""


def reach(longest: int) -> int:
    """The largest position that a recorded step reads, for one that is to read as far as `longest`."""
    return (longest // _BLOCK + 1) * _BLOCK - 1


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    result: Tensor


class Replay:
    """A step, recorded once for each kind of it that comes up.

    Args:
        step: computes a step of a kind from tensors that it finds at the same addresses every time and changes in
            place; nothing in it may depend on their values.
    """

    def __init__(self, step: Callable[..., Tensor]) -> None:
        self._step = step
        self._recorded: dict[tuple[Hashable, ...], _Recording | None] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, *kind: Hashable) -> Tensor:
        """Take a step; its result holds until the next one."""
        if kind not in self._recorded:  # what is compiled or chosen at a first run cannot be recorded
            if len(self._recorded) == _MOST:
                del self._recorded[next(iter(self._recorded))]
            self._recorded[kind] = None
            return self._step(*kind)
        recording = self._recorded[kind] or self._record(*kind)
        self._recorded[kind] = recording
        recording.graph.replay()
        return recording.result

    def _record(self, *kind: Hashable) -> _Recording:
        graph, here, aside = torch.cuda.CUDAGraph(), torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            graph.capture_begin(self._pool, capture_error_mode="thread_local")
            try:
                result = self._step(*kind)
            finally:
                graph.capture_end()
        here.wait_stream(aside)
        return _Recording(graph, result)
