"""Rows that are decoded together, token by token, until each has ended. Knows token ids alone, no text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from danlu.generation.config import SamplingConfig
from danlu.generation.decoder import Decoder
from danlu.generation.sampling import RandomStreams, choose
from danlu.hardware.memory import free_memory

FinishReason = Literal["stop", "length"]

# Ended rows are dropped from the batch when no more than this share is left: dropping copies the cache of the others,
# and where steps are recorded, it takes a new recording.
_KEEP_SHARE, _KEEP_SHARE_RECORDED = 0.75, 0.5
_CPU_ROWS, _MOST_ROWS = 64, 512
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
        self._decoder, self._config, self._ends = decoder, config, ends
        device, context = decoder.device, decoder.config.max_position_embeddings
        lengths = [len(prompt) for prompt in prompts]
        limits = [min(config.max_new_tokens, context - length) for length in lengths]
        steps = max(limits)
        self._limits = torch.tensor(limits)
        self._tokens = torch.zeros(len(prompts), steps, dtype=torch.int64)
        self._logprobs = torch.zeros(len(prompts), steps)
        self._counts = torch.zeros(len(prompts), dtype=torch.int64)
        self._stopped = torch.zeros(len(prompts), dtype=torch.bool)
        self._rows = torch.arange(len(prompts))  # those still in the cache, as places in the batch's lists
        self._step = 0
        self._streams = RandomStreams(config.seed, torch.tensor(numbers).to(device), steps, len(ends.signs))
        self._positions = torch.tensor(lengths).to(device)
        self._longest = max(lengths)
        capacity = max(length + limit for length, limit in zip(lengths, limits, strict=True))
        self._logits, self._cache = decoder.prefill(prompts, capacity)
        self._drawn = torch.zeros_like(self._positions)

    @torch.inference_mode()
    def step(self) -> list[int] | None:
        """Draw a token for every row in the cache, and return them; None when all have ended."""
        live = self._live()
        if not live.any():
            return None
        if self._step:
            live = self._advance(live)
        # Rows of the embedding that pad it to a round size stand for no token.
        logits = self._logits[:, : len(self._ends.signs)]
        self._drawn, logprobs = choose(logits, self._streams, self._step, self._config, fuse=self._decoder.fuses)
        tokens = self._drawn.cpu()
        self._tokens[self._rows, self._step] = tokens
        self._logprobs[self._rows, self._step] = logprobs.cpu()
        self._step += 1
        self._counts[self._rows[live]] = self._step
        signs = self._ends.signs[tokens]
        ended = signs == ENDS
        for place in ((signs == MAY_END) & live).nonzero()[:, 0].tolist():
            ended[place] = self._ends.completed(self._tokens[self._rows[place], : self._step].tolist())
        self._stopped[self._rows[live & ended]] = True
        return tokens.tolist()

    def _live(self) -> Tensor:
        """Which rows of the cache go on."""
        return ~self._stopped[self._rows] & (self._limits[self._rows] > self._step)

    def _advance(self, live: Tensor) -> Tensor:
        """Compute the logits behind the tokens drawn last; returns which rows of the cache go on."""
        device = self._decoder.device
        share = _KEEP_SHARE_RECORDED if self._decoder.replays else _KEEP_SHARE
        if int(live.sum()) <= share * len(live):
            kept = live.nonzero()[:, 0]
            self._rows, live = self._rows[kept], live[kept]
            kept = kept.to(device)
            self._drawn, self._positions = self._drawn[kept], self._positions[kept]
            self._cache.keep(kept)
            self._streams.keep(kept)
        self._logits = self._decoder.step(self._drawn, self._positions, self._cache, self._longest)
        self._longest += 1
        self._positions = self._positions + live.to(device)  # an ended row writes to one place over and over
        return live

    def results(self) -> list[Drawn]:
        """What was drawn, in the order of the prompts."""
        columns = (self._tokens, self._logprobs, self._counts, self._stopped)
        return [
            Drawn(tuple(tokens[:count]), tuple(logprobs[:count]), "stop" if stopped else "length")
            for tokens, logprobs, count, stopped in zip(*(column.tolist() for column in columns), strict=True)
        ]


def rows_at_once(decoder: Decoder, length: int) -> int:
    """Rows of a length (tokens) to decode together: more give more speed, until memory ends."""
    if decoder.device.type == "cpu":
        return _CPU_ROWS
    row = decoder.config.kv_cache_bytes(min(length, decoder.config.max_position_embeddings), decoder.dtype.itemsize)
    return max(1, min(_MOST_ROWS, int(_CACHE_SHARE * free_memory(decoder.device)) // row))


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
