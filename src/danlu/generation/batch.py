"""Rows that are decoded together, token by token, until each has ended. Knows token ids alone, no text."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.generation.replay import Replay, reach
from danlu.generation.sampling import RandomStreams, choose
from danlu.hardware.memory import free_memory

FinishReason = Literal["stop", "length"]
Places = npt.NDArray[Any]

# Ended rows are dropped from the batch when no more than this share is left: dropping copies the cache of the others,
# and where steps are recorded, it takes a new recording.
_KEEP_SHARE, _KEEP_SHARE_RECORDED = 0.75, 0.5
_FEW_ROWS, _MOST_ROWS = 64, 512
# Of the memory that an accelerator has left, what the caches of a batch may take.
_CACHE_SHARE = 0.25

ENDS = 1
"""The sign of a token that ends a row."""
MAY_END = 2
"""The sign of a token behind which `Ends.completed` must be asked."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn behind one prompt."""

    tokens: tuple[int, ...]
    """All tokens, the one that ended it included."""
    logprobs: tuple[float, ...]
    """Log-probability (nats) of each token under softmax(logits / temperature), before top_k, top_p and min_p."""
    finish_reason: FinishReason
    """`stop`: an end; `length`: max_new_tokens or the model's context."""


@dataclass(frozen=True)
class Ends:
    """What ends a row."""

    signs: Tensor
    """(V,) uint8: for each token 0, ENDS or MAY_END. Its length says which columns of the logits are tokens."""
    completed: Callable[[list[int]], bool] = lambda tokens: False
    """Whether these tokens of a row, the last of which has the sign MAY_END, are an end."""

    @classmethod
    def at(cls, stop: Sequence[int], vocab_size: int) -> "Ends":
        """Rows end at these tokens."""
        signs = torch.zeros(vocab_size, dtype=torch.uint8)
        signs[list(stop)] = ENDS
        return cls(signs)


class Batch:
    """Rows that are decoded together.

    Args:
        prompts: tokens, at least one each.
        numbers: name each row's random stream.
    """

    def __init__(
        self, decoder: Decoder, prompts: list[list[int]], numbers: list[int], config: SamplingConfig, ends: Ends
    ) -> None:
        self._ends, self._signs = ends, ends.signs.numpy()
        lengths = [len(prompt) for prompt in prompts]
        limits = [min(config.max_new_tokens, decoder.config.max_position_embeddings - length) for length in lengths]
        steps, self._limits = max(limits), np.array(limits)
        self._tokens = np.zeros((len(prompts), steps), dtype=np.int64)
        self._logprobs = np.zeros((len(prompts), steps), dtype=np.float32)
        self._counts = np.zeros(len(prompts), dtype=np.int64)
        self._stopped = np.zeros(len(prompts), dtype=bool)
        self._step = 0
        self._state = _State(decoder, prompts, numbers, config, limits, len(self._signs))
        self._rows = np.arange(len(prompts))  # those still in the cache, as places in the batch's lists
        self._begun: deque[_Begun] = deque()
        # An accelerator begins with the next step before this one's tokens are looked at: it is never without work.
        self._ahead = int(decoder.device.type != "cpu")
        self._keep_share = _KEEP_SHARE_RECORDED if decoder.replays else _KEEP_SHARE

    @torch.inference_mode()
    def step(self) -> list[int] | None:
        """Draw a token for every row in the cache, and return them; None when all have ended."""
        if not self._live(np.arange(len(self._limits)), self._step).any():
            self._state.end()
            return None
        while len(self._begun) <= self._ahead and self._state.step < self._limits.max():
            self._begin()
        begun = self._begun.popleft()
        tokens, logprobs = begun.drawn()
        live = self._live(begun.rows, self._step)
        self._tokens[begun.rows, self._step], self._logprobs[begun.rows, self._step] = tokens, logprobs
        self._step += 1
        self._counts[begun.rows[live]] = self._step
        signs = self._signs[tokens]
        ended = signs == ENDS
        for place in ((signs == MAY_END) & live).nonzero()[0]:
            ended[place] = self._ends.completed(self._tokens[begun.rows[place], : self._step].tolist())
        self._stopped[begun.rows[live & ended]] = True
        found: list[int] = tokens.tolist()
        return found

    def _live(self, rows: Places, step: int) -> Places:
        """Which of some rows go on, as far as is known."""
        live: Places = ~self._stopped[rows] & (self._limits[rows] > step)
        return live

    def _begin(self) -> None:
        """Have the tokens of one more step drawn."""
        live = self._live(self._rows, self._state.step)
        if 0 < live.sum() <= self._keep_share * len(live):
            self._rows = self._rows[live]
            self._state.keep(torch.from_numpy(live.nonzero()[0]))
        self._begun.append(_Begun(self._rows, self._state.next()))

    def results(self) -> list[Drawn]:
        """What was drawn, in the order of the prompts."""
        columns = (self._tokens, self._logprobs, self._counts, self._stopped)
        return [
            Drawn(tuple(tokens[:count]), tuple(logprobs[:count]), "stop" if stopped else "length")
            for tokens, logprobs, count, stopped in zip(*(column.tolist() for column in columns), strict=True)
        ]


class _Begun:
    """A step whose tokens are on their way."""

    def __init__(self, rows: Places, drawn: Tensor) -> None:
        self.rows = rows
        self._event: torch.cuda.Event | None = None
        if drawn.device.type == "cuda":
            self._drawn = torch.empty(drawn.shape, dtype=drawn.dtype, pin_memory=True)
            self._drawn.copy_(drawn, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._drawn = drawn.cpu()

    def drawn(self) -> tuple[Places, Places]:
        """Tokens and their log-probabilities."""
        if self._event is not None:
            self._event.synchronize()
        tokens, logprobs = self._drawn.numpy()
        return tokens.astype(np.int64), logprobs


class _State:
    """What a batch has on the device. It changes in place, so that a step can be recorded."""

    def __init__(
        self,
        decoder: Decoder,
        prompts: list[list[int]],
        numbers: list[int],
        config: SamplingConfig,
        limits: Sequence[int],
        vocabulary: int,
    ) -> None:
        device, lengths = decoder.device, [len(prompt) for prompt in prompts]
        self._decoder, self._config, self._vocabulary = decoder, config, vocabulary
        self._streams = RandomStreams(config.seed, torch.tensor(numbers).to(device), max(limits), vocabulary)
        capacity = max(length + limit for length, limit in zip(lengths, limits, strict=True))
        self._logits, self._cache = decoder.prefill(prompts, capacity)
        self._last = min(self._cache.keys[0].shape[2], decoder.config.max_position_embeddings) - 1
        self._longest = max(lengths) - 1
        self._positions = torch.tensor(lengths).to(device)
        self._at = torch.zeros(1, dtype=torch.int64, device=device)
        self._drawn = torch.zeros_like(self._positions)
        # Whether top_p lets a token through is asked until one is found: how often, a recording cannot know.
        self._records_choice = config.top_p == 1 or config.temperature == 0
        self._replay: Replay | None = None
        self.step = 0
        """Steps begun."""

    def next(self) -> Tensor:
        """Tokens and their log-probabilities, (2, B) in float64, drawn in the next step; they hold until the one behind
        it.
        """
        self.step += 1
        if self.step == 1:
            return self._choose(self._logits)
        self._longest = min(self._longest + 1, self._last)
        if not self._decoder.replays:
            return self._choose(self._forward(self._longest))
        if self._replay is None:
            self._replay = Replay(self._whole if self._records_choice else self._forward)
        found = self._replay(reach(self._longest))
        return found if self._records_choice else self._choose(found)

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these (indices)."""
        rows = rows.to(self._drawn.device)
        self._drawn, self._positions = self._drawn[rows], self._positions[rows]
        self._cache.keep(rows)
        self._streams.keep(rows)
        self._replay = None

    def end(self) -> None:
        """Give back what was recorded: it refers to this object, and with it holds the cache."""
        self._replay = None

    def _whole(self, longest: int) -> Tensor:
        return self._choose(self._forward(longest))

    def _forward(self, longest: int) -> Tensor:
        """The logits behind the tokens drawn last."""
        keys, values = self._cache.keys, self._cache.values
        hidden = self._decoder.attended(self._drawn, self._positions, keys, values, longest)
        # An ended row goes on until it is dropped; it may write to its last place over and over.
        self._positions.add_(1).clamp_(max=self._last)
        return self._decoder.logits(hidden)

    def _choose(self, logits: Tensor) -> Tensor:
        # Rows of the embedding that pad it to a round size stand for no token.
        logits = logits[:, : self._vocabulary]
        tokens, logprobs = choose(logits, self._streams, self._at, self._config, fuse=self._decoder.fuses)
        self._drawn.copy_(tokens)
        self._at.add_(1)
        return torch.stack((tokens.double(), logprobs.double()))


def rows_at_once(decoder: Decoder, length: int) -> int:
    """Rows of a length (tokens) to decode together: more give more speed, until memory ends."""
    free = None if decoder.device.type == "cpu" else free_memory(decoder.device)
    if free is None:
        return _FEW_ROWS
    row = decoder.config.kv_cache_bytes(min(length, decoder.config.max_position_embeddings), decoder.dtype.itemsize)
    return max(1, min(_MOST_ROWS, int(_CACHE_SHARE * free) // row))


def draw(
    decoder: Decoder,
    prompts: Sequence[list[int]],
    config: SamplingConfig,
    ends: Ends,
    *,
    numbers: Sequence[int] | None = None,
    batch_size: int | None = None,
) -> list[Drawn]:
    """Continue every prompt (at least one token each).

    A result depends on the model, the prompt, its number and the configuration, not on the prompts beside it: exactly
    so on a processor, and up to the rounding of the matrix library on an accelerator.

    Args:
        numbers: one for each prompt, which names its random stream; by default its place in the list.
        batch_size: most prompts that are decoded together; memory grows with it. None: `rows_at_once`.
    """
    if batch_size is None:
        batch_size = rows_at_once(decoder, max(map(len, prompts), default=0) + config.max_new_tokens)
    names = list(range(len(prompts))) if numbers is None else list(numbers)
    assert len(names) == len(prompts)
    # Prompts of like length together: the cache of a batch is as long as its longest row.
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    results: dict[int, Drawn] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = Batch(decoder, [prompts[i] for i in rows], [names[i] for i in rows], config, ends)
        while batch.step() is not None:
            pass
        results |= zip(rows, batch.results(), strict=True)
    return [results[i] for i in range(len(prompts))]
