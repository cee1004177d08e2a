"""Choosing the next token for a whole batch at once, with randomness that belongs to the prompt and not to the batch.

A token is drawn as the one with the largest p / E, where E are independent exponential variates (the Gumbel-max trick,
in the form that needs one logarithm): no sorting, no cumulative sums, one pass over the vocabulary. The variates are a
hash of (seed, prompt, step, token), so they do not depend on which prompts are decoded together or on the device.
"""

import torch
from torch import Tensor

from danlu.generation.config import SamplingConfig
from danlu.model.kernels import Kernels
from danlu.model.ops import compiled, kernels_for


class RandomStreams:
    """Exponential noise for every (prompt, step, token).

    Args:
        seed: any integer.
        prompts: (B,) int64, a number for each prompt; equal numbers have equal streams.
        steps: how many steps there will be.
        vocab_size: tokens.
    """

    def __init__(self, seed: int, prompts: Tensor, steps: int, vocab_size: int) -> None:
        start = torch.tensor(seed, dtype=torch.int64, device=prompts.device)
        stream = _mix(_mix(start) + prompts)[:, None]
        keys = _mix(stream + torch.arange(1, steps + 1, device=prompts.device) * _GOLDEN)  # (B, steps)
        self._factor = _low_half(keys) | 1
        self._offset = _low_half(keys >> 32)
        self._tokens = token_words(vocab_size, prompts.device)

    def exponential(self, step: int | Tensor, tokens: Tensor | None = None) -> Tensor:
        """Minus the variates, all below 0, of one step: (B, V), or (B, K) for chosen tokens (B, K)."""
        words, factor, offset = self.words(step)
        return _exponential(words if tokens is None else words[tokens], factor, offset)

    def words(self, step: int | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the hash of one step is made of: int32 (V,), (B,) and (B,).

        Args:
            step: its number, from 0; as a tensor (1,), int64, where the device alone knows it.
        """
        if isinstance(step, int):
            return self._tokens, self._factor[:, step].contiguous(), self._offset[:, step].contiguous()
        factor, offset = (each.index_select(1, step)[:, 0] for each in (self._factor, self._offset))
        return self._tokens, factor, offset

    def keep(self, rows: Tensor) -> None:
        """Drop all prompts but these (indices)."""
        self._factor, self._offset = self._factor[rows], self._offset[rows]


class RowStreams(RandomStreams):
    """The noise of one step for rows that stand at steps of their own and have seeds of their own.

    Args:
        streams: (B,) int64, from `stream_of`.
        steps: (B,) int64, how many tokens each row has drawn.
        words: int32 (V,), from `token_words`.
    """

    def __init__(self, streams: Tensor, steps: Tensor, words: Tensor) -> None:
        keys = _mix(streams + (steps + 1) * _GOLDEN)[:, None]
        self._factor = _low_half(keys) | 1
        self._offset = _low_half(keys >> 32)
        self._tokens = words


def stream_of(seed: int, number: int) -> int:
    """The stream of a prompt's number under a seed: the same noise as `RandomStreams` gives it."""
    return int(_mix(_mix(torch.tensor(seed, dtype=torch.int64)) + number))


def token_words(vocab_size: int, device: torch.device) -> Tensor:
    """What the hash takes from the tokens: int32 (V,)."""
    return _low_half(_mix(torch.arange(vocab_size, device=device) * _GOLDEN))


def _exponential(words: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Minus exponential variates, fp32 (B, K), from int32 (K,) or (B, K), (B,) and (B,)."""
    # 32-bit: a product and a sum with 63 bits of key, then a finaliser in the manner of MurmurHash3. The shifts
    # keep the sign, which costs one bit; 31 are left.
    bits = (words * factor[:, None]).add_(offset[:, None])
    bits.bitwise_xor_(bits >> 15).mul_(-0x7A143595).bitwise_xor_(bits >> 13).mul_(-0x3D4D51CB)
    bits.bitwise_xor_(bits >> 16).bitwise_and_(0x7FFFFFFF).bitwise_or_(1)
    return bits.float().mul_(-(2.0**-31)).log1p_()  # log(1 - u), u in (0, 1]: finely spaced where it is small


def choose(
    logits: Tensor, streams: RandomStreams, step: int | Tensor, config: SamplingConfig, *, fuse: bool = False
) -> tuple[Tensor, Tensor]:
    """The next token of every row.

    Args:
        logits: (B, V).
        step: see `RandomStreams.words`.
        fuse: compile the passes over the vocabulary, where nothing is filtered out.

    Returns:
        The tokens (B,) int64, and their log-probabilities (B,), in nats, under softmax(logits / temperature) before any
        token is filtered out; at temperature 0 under softmax(logits).
    """
    if not config.top_k and (kernels := kernels_for(logits)):
        return _choose_fused(kernels, logits, streams, step, config)
    if fuse and config.temperature > 0 and not config.top_k and config.top_p == 1 and config.min_p == 0:
        rescale = logits.new_full((), 1 / config.temperature, dtype=torch.float32)
        found: tuple[Tensor, Tensor] = compiled(_race)(logits, *streams.words(step), rescale)
        return found
    scaled = logits.float()
    if config.temperature > 0:
        scaled = scaled * (1 / config.temperature)
    scaled = scaled - scaled.amax(-1, keepdim=True)
    weights = scaled.exp()
    if config.temperature == 0:
        chosen = scaled.argmax(-1, keepdim=True)
    elif config.top_k:
        few, ids = scaled.topk(min(config.top_k, logits.shape[-1]))
        chosen = ids.gather(-1, _draw(few, few.exp(), streams.exponential(step, ids), config))
    else:
        chosen = _draw(scaled, weights, streams.exponential(step), config)
    return chosen[:, 0], scaled.gather(-1, chosen)[:, 0] - weights.sum(-1).log()


def _race(logits: Tensor, words: Tensor, factor: Tensor, offset: Tensor, rescale: Tensor) -> tuple[Tensor, Tensor]:
    """`choose` where every token may be drawn, in a form that is compiled to a few passes."""
    scaled = logits.float() * rescale
    scaled = scaled - scaled.amax(-1, keepdim=True)
    weights = scaled.exp()
    chosen = (weights / _exponential(words, factor, offset)).argmin(-1, keepdim=True)
    return chosen[:, 0], scaled.gather(-1, chosen)[:, 0] - weights.sum(-1).log()


def _choose_fused(
    kernels: Kernels, logits: Tensor, streams: RandomStreams, step: int | Tensor, config: SamplingConfig
) -> tuple[Tensor, Tensor]:
    rows, vocab = logits.shape
    assert logits.stride(1) == 1
    chosen, logprobs = torch.empty(rows, dtype=torch.int64), torch.empty(rows)
    noise = streams.words(step) if config.temperature > 0 else (None, None, None)
    rescale = 1 / config.temperature if config.temperature > 0 else 1.0
    whole = logits.as_strided((logits.stride(0) * (rows - 1) + vocab,), (1,))
    sizes = (rows, vocab, logits.stride(0), rescale, float(config.top_p), float(config.min_p))
    kernels.call("choose", logits.dtype, whole, *noise, chosen, logprobs, *sizes)
    return chosen, logprobs


def _draw(scaled: Tensor, weights: Tensor, noise: Tensor, config: SamplingConfig) -> Tensor:
    """Columns (B, 1), drawn in proportion to the weights, exp(scaled), among those that top_p and min_p let through.

    Whether a token belongs to the nucleus is asked only of the one that would be drawn: it does if what is likelier has
    less than `top_p` of the probability. If it does not, neither do the less likely ones, and the draw is made again,
    with the same noise, among the others: the same answer as from sorting first, for a small part of the time.
    """
    ratio = weights / noise
    if config.min_p > 0:
        ratio = torch.where(weights < config.min_p, 0.0, ratio)
    chosen = ratio.argmin(-1, keepdim=True)
    if config.top_p == 1:
        return chosen
    enough = config.top_p * weights.sum(-1)
    rows = torch.arange(len(scaled), device=scaled.device)
    column = chosen
    while True:
        edge = scaled.gather(-1, column)
        outside = torch.where(scaled > edge, weights, 0.0).sum(-1) >= enough
        again = outside.nonzero()[:, 0]
        if len(again) == 0:
            return chosen
        ratio = torch.where(scaled[again] <= edge[again], 0.0, ratio[again])
        rows, scaled, weights, enough = rows[again], scaled[again], weights[again], enough[again]
        column = ratio.argmin(-1, keepdim=True)
        chosen[rows] = column


_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed number


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele et al. 2014) on int64, which wraps."""
    x = (x ^ _shift(x, 30)) * -0x40A7B892E31B1A47
    x = (x ^ _shift(x, 27)) * -0x6B2FB644ECCEEE15
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """To the right, filling with zeros."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _low_half(x: Tensor) -> Tensor:
    """The low 32 bits of int64, as int32."""
    return ((x << 32) >> 32).int()
