"""Decoding steps that are recorded once and replayed, on CUDA: a step's hundreds of kernels take ten times as long to
start one by one as to run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 128
"""A recorded step reads a multiple of so many positions of the cache: more would be read in vain, fewer recorded often.
"""
_MOST = 64
"""Recordings that are kept; each holds some memory on the device."""

Step = Callable[[Tensor, Tensor, int], Tensor]
"""From tokens (B,), positions (B,) and the largest position that is read to what the model makes of them, (B, ...)."""


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    tokens: Tensor
    positions: Tensor
    result: Tensor


class Replay:
    """A step over one cache, recorded for each number of rows and length of the cache that comes up.

    Args:
        step: computes a step on tensors whose addresses do not change but for its arguments'; nothing in it may depend
            on their values. A step taken twice must leave what it leaves when taken once.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._recorded: dict[tuple[int, int], _Recording | None] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, tokens: Tensor, positions: Tensor, longest: int) -> Tensor:
        """The step's result; it holds until the next call."""
        longest = (longest // _BLOCK + 1) * _BLOCK - 1
        key = len(tokens), longest
        if key not in self._recorded:  # what is compiled or chosen at a first run cannot be recorded
            if len(self._recorded) == _MOST:
                del self._recorded[next(iter(self._recorded))]
            self._recorded[key] = None
            return self._step(tokens, positions, longest)
        recording = self._recorded[key] or self._record(tokens, positions, longest)
        self._recorded[key] = recording
        recording.tokens.copy_(tokens)
        recording.positions.copy_(positions)
        recording.graph.replay()
        return recording.result

    def _record(self, tokens: Tensor, positions: Tensor, longest: int) -> _Recording:
        tokens, positions, graph = tokens.clone(), positions.clone(), torch.cuda.CUDAGraph()
        here, aside = torch.cuda.current_stream(tokens.device), torch.cuda.Stream(tokens.device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            graph.capture_begin(self._pool, capture_error_mode="thread_local")
            try:
                result = self._step(tokens, positions, longest)
            finally:
                graph.capture_end()
        here.wait_stream(aside)
        return _Recording(graph, tokens, positions, result)
