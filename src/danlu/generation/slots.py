"""The memory of a running batch: rows that decode, side by side without gaps, and prompts that are still being read."""

import functools
import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from danlu.generation.attention import BLOCK, attend, visible
from danlu.generation.decoder import Attend, Decoder
from danlu.generation.pages import fresh
from danlu.generation.prefix import BLOCK_TOKENS
from danlu.generation.replay import Replay, reach


class Staging:
    """Keys and values of a prompt that is being read, (layers, key-value heads, tokens, head_dim).

    A prompt is always read in the same pieces, whatever else is read in the same step and wherever reading was
    interrupted: each piece ends at the next multiple of BLOCK_TOKENS. So the numbers depend on the text alone.
    """

    def __init__(self, decoder: Decoder, tokens: Sequence[int], known: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        config = decoder.config
        shape = (config.num_hidden_layers, config.num_key_value_heads, len(tokens), config.head_dim)
        self.tokens = list(tokens)
        self.keys, self.values = (fresh(shape, decoder.dtype, decoder.device)[0] for _ in range(2))
        self.read = 0
        """How many tokens have been read."""
        for keys, values in known:
            end = self.read + BLOCK_TOKENS
            self.keys[:, :, self.read : end], self.values[:, :, self.read : end] = keys, values
            self.read = end

    @property
    def left(self) -> int:
        """How many tokens are still to be read."""
        return len(self.tokens) - self.read

    def next_piece(self) -> "Piece":
        """Take the next piece."""
        start = self.read
        self.read = min(len(self.tokens), (start // BLOCK_TOKENS + 1) * BLOCK_TOKENS)
        return Piece(self, start, self.read)


@dataclass(frozen=True)
class Piece:
    """A stretch of a prompt that is read in one step."""

    staging: Staging
    start: int
    end: int

    @functools.cached_property
    def _mask(self) -> Tensor:
        """Which tokens each one may look at: (T, end)."""
        size, device = self.end - self.start, self.staging.keys.device
        return torch.ones(size, self.end, dtype=torch.bool, device=device).tril(self.start)

    def mix(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention over all that has been read and this piece: (T, H * Dh) from (heads, T, Dh)."""
        keys, values = self.staging.keys[layer], self.staging.values[layer]
        keys[:, self.start : self.end], values[:, self.start : self.end] = key, value
        size, mask = self.end - self.start, self._mask if self.start else None
        mixed = F.scaled_dot_product_attention(
            query[None], keys[None, :, : self.end], values[None, :, : self.end],
            attn_mask=mask, is_causal=mask is None, enable_gqa=query.shape[0] != key.shape[0],
        )  # fmt: skip
        return mixed[0].transpose(0, 1).reshape(size, -1)


class Slots:
    """The key-value cache of the rows that decode. Row i of the batch is in slot i; the last one fills a freed slot.

    On a processor its memory is taken page by page as it is first written, until the slot is cleared.
    """

    def __init__(self, decoder: Decoder, count: int) -> None:
        config = decoder.config
        self._decoder = decoder
        self.count = count
        capacity = -(-config.max_position_embeddings // BLOCK) * BLOCK
        shape = (count, config.num_key_value_heads, capacity, config.head_dim)
        self._slot_bytes = math.prod(shape[1:]) * decoder.dtype.itemsize
        made = [fresh(shape, decoder.dtype, decoder.device) for _ in range(2 * config.num_hidden_layers)]
        self._pages = [pages for _, pages in made if pages is not None]
        self._keys = [tensor for tensor, _ in made[: config.num_hidden_layers]]
        self._values = [tensor for tensor, _ in made[config.num_hidden_layers :]]
        self._replay = Replay(self._next) if decoder.replays else None
        self._newest = torch.zeros(2, count, dtype=torch.int64, device=decoder.device)  # tokens and their positions

    def put(self, slot: int, staging: Staging) -> None:
        """Fill a slot from a prompt that has been read."""
        length = len(staging.tokens)
        for layer, (keys, values) in enumerate(zip(self._keys, self._values, strict=True)):
            keys[slot, :, :length], values[slot, :, :length] = staging.keys[layer], staging.values[layer]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first positions of a slot to another."""
        for layer in (*self._keys, *self._values):
            layer[target, :, :length] = layer[source, :, :length]

    def clear(self, slot: int) -> None:
        """Give back the pages of a slot that no row is in."""
        size = mmap.PAGESIZE
        start, end = -(-slot * self._slot_bytes // size) * size, (slot + 1) * self._slot_bytes // size * size
        if end > start and hasattr(mmap, "MADV_DONTNEED"):
            for pages in self._pages:
                pages.madvise(mmap.MADV_DONTNEED, start, end - start)

    def forward(self, tokens: list[int], positions: list[int], pieces: Sequence[Piece]) -> Tensor:
        """One pass through the model: a token more for each of the first rows, and some pieces of prompts.

        Args:
            tokens, positions: of rows 0, 1, ...

        Returns:
            Hidden states (N, hidden): of the rows, then of the pieces' tokens.
        """
        rows, device = len(tokens), self._decoder.device
        if self._replay is None:
            where = torch.tensor(positions + _places(pieces), device=device)
            every = torch.tensor(tokens + _tokens(pieces), device=device)
            return self._decoder.hidden_states(every, where, self._mix(rows, where[:rows], positions, pieces))
        parts = []
        if rows:
            # Slots that no row is in take part up to a number that comes up often: they hold nothing.
            count = min(self.count, _alike(rows))
            newest = torch.tensor((tokens, positions))
            self._newest[:, :rows].copy_(newest)
            self._newest[:, rows:count] = 0
            parts.append(self._replay(count, reach(max(positions)))[:rows])
        if pieces:
            where, every = (torch.tensor(each, device=device) for each in (_places(pieces), _tokens(pieces)))
            parts.append(self._decoder.hidden_states(every, where, self._mix(0, where[:0], [], pieces)))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _next(self, count: int, longest: int) -> Tensor:
        """A token more for each of the first rows, from what `_newest` holds."""
        keys, values = ([layer[:count] for layer in layers] for layers in (self._keys, self._values))
        tokens, positions = self._newest[:, :count]
        return self._decoder.attended(tokens, positions, keys, values, longest)

    def _mix(self, rows: int, own: Tensor, positions: list[int], pieces: Sequence[Piece]) -> Attend:
        """Attention of the first rows, whose tokens stand at `own`, and of some pieces behind them."""
        seen = visible(own, self._keys[0], max(positions)) if rows else None

        def mix(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            parts, at = [], rows
            if rows:
                keys, values = self._keys[layer][:rows], self._values[layer][:rows]
                q, k, v = (part[:, :rows] for part in (query, key, value))
                parts.append(attend(q, k, v, keys, values, own, seen))
            for piece in pieces:
                after = at + piece.end - piece.start
                parts.append(piece.mix(layer, query[:, at:after], key[:, at:after], value[:, at:after]))
                at = after
            return torch.cat(parts) if len(parts) > 1 else parts[0]

        return mix


def _places(pieces: Sequence[Piece]) -> list[int]:
    return [place for piece in pieces for place in range(piece.start, piece.end)]


def _tokens(pieces: Sequence[Piece]) -> list[int]:
    return [token for piece in pieces for token in piece.staging.tokens[piece.start : piece.end]]


def _alike(rows: int) -> int:
    """The number of rows, rounded up: 1, 2, 4, 8, then multiples of 8."""
    return 1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8


def bytes_of_token(decoder: Decoder) -> int:
    """What a token takes in the cache."""
    return decoder.config.kv_cache_bytes(1, decoder.dtype.itemsize)
