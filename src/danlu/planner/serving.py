"""Serving: prefill and decode from a roofline of arithmetic, memory traffic and exchanges, with the KV cache."""

import math
from dataclasses import dataclass

from danlu.common.errors import DanluError
from danlu.planner.accelerator import GIB, Accelerator
from danlu.planner.coefficients import Calibration, calibration
from danlu.planner.flops import attention_flops
from danlu.planner.shape import ModelShape

BANDWIDTH_SHARE = 0.85
"""Share of the nominal memory bandwidth that long reads reach: 1328 of 1555 GB/s on an A100 (FlagPerf, base tests)."""
LAYER_SECONDS = 56e-6
"""What a layer's kernels take in a step of decoding beside what they read: their starts, and matrices too small to fill
a chip. danlu's own recorded steps on an H200 took 56 and 59 microseconds a layer with one row (124M and 0.9B
parameters), 77 and 90 with 64 (NOTES.md, entry 43). Small models spend nearly all of a step on it."""
CACHE_BYTES = 2.0
"""Bytes a number of the KV cache."""


@dataclass(frozen=True)
class Serving:
    """One instance of a model on a few chips at one batch."""

    chips: int
    """Chips of one instance, tensor parallel."""
    batch: int
    """Sequences decoded together."""
    prompt: int
    context: int
    """Tokens of a whole sequence, prompt included, at the end."""
    prefill_seconds: float
    """To read one prompt: until the first token."""
    token_seconds: float
    """From a token to the next, for every sequence."""
    weight_bytes: float
    """Weights on one chip."""
    cache_bytes: float
    """KV cache of the whole batch on one chip, at full length."""

    @property
    def decode_tokens_per_second(self) -> float:
        """Tokens a second that the instance writes while it only decodes."""
        return self.batch / self.token_seconds

    @property
    def tokens_per_chip_second(self) -> float:
        """Written tokens a second and chip when prefill takes its share of the time."""
        written = max(self.context - self.prompt, 1)
        seconds = self.batch * self.prefill_seconds + written * self.token_seconds
        return self.batch * written / seconds / self.chips


def serve(
    shape: ModelShape,
    chip: Accelerator,
    *,
    chips: int,
    batch: int,
    prompt: int,
    context: int,
    weight_bytes: float = 2.0,
    given: Calibration | None = None,
) -> Serving:
    """One instance by roofline.

    A decode step reads every weight that some sequence of the batch needs (of the experts, E (1 - (1 - k/E)^batch)),
    and the cache; it computes 2 FLOPs a weight and sequence; the slower of the two decides, and every layer adds
    `LAYER_SECONDS` and two all-reduces. Prefill is arithmetic at the training model's sustained rate.

    Args:
        weight_bytes: bytes a weight: 2, or 1 quantised.
    """
    k = (given or calibration()).coefficients
    bandwidth = chip.bandwidth * BANDWIDTH_SHARE
    rate = (chip.wide_rate if weight_bytes >= 2 else chip.narrow_rate) * k.sustained
    experts = shape.expert_params()
    needed = 1.0
    if shape.moe:
        needed = 1 - (1 - shape.moe.active / shape.moe.count) ** batch
    held = shape.params() * weight_bytes / chips
    read = (shape.params() - shape.input_params() - experts * (1 - needed)) * weight_bytes / chips
    one = cache_per_token(shape, chips)
    cache = batch * context * one
    middle = batch * (prompt + context) / 2 * one  # while it grows from the prompt to its full length
    per_token = 2 * shape.matmul_params()
    seen = (prompt + context) / 2
    scores = attention_flops(shape, 1, causal=False) / 3 * seen
    arithmetic = batch * (per_token + scores) / (rate * chips)
    exchange = _exchange(shape, chip, chips, batch, k.link_in, k.latency_in)
    step = max((read + middle) / bandwidth, arithmetic) + LAYER_SECONDS * shape.layers + exchange
    reading = prompt * per_token + prompt * attention_flops(shape, prompt, causal=True) / 3
    prefill = max(reading / (rate * chips), held / bandwidth)
    prefill += _exchange(shape, chip, chips, prompt, k.link_in, k.latency_in)
    return Serving(chips, batch, prompt, context, prefill, step, held, cache)


def cache_per_token(shape: ModelShape, chips: int) -> float:
    """Bytes of the KV cache for one token on one chip; heads are split as far as there are any, latents not at all."""
    split = 1 if shape.mla else min(chips, shape.kv_heads)
    local = shape.window_layers / shape.layers if shape.window else 0.0
    return (1 - local) * shape.layers * shape.kv_cache_width * CACHE_BYTES / split


def largest_batch(
    shape: ModelShape,
    chip: Accelerator,
    chips: int,
    context: int,
    weight_bytes: float,
    given: Calibration | None = None,
) -> int:
    """Sequences whose cache fits beside the weights; 0 where not even one does."""
    model = (given or calibration()).memory
    free = model.usable * chip.memory_bytes - model.fixed - shape.params() * weight_bytes / chips
    each = cache_per_token(shape, chips) * context
    window = shape.window_layers * shape.kv_cache_width * CACHE_BYTES * min(shape.window, context)
    return max(0, math.floor(free / (each + window / min(chips, shape.kv_heads))))


def serving_options(
    shape: ModelShape,
    chip: Accelerator,
    *,
    prompt: int = 1024,
    context: int = 2048,
    weight_bytes: float = 2.0,
    given: Calibration | None = None,
) -> tuple[Serving, ...]:
    """Instances that no other beats in both throughput a chip and time a token, fastest token first.

    Raises:
        DanluError: the model does not fit on one domain of the chip; the error says what would.
    """
    found = []
    degree = 1
    while degree <= max(chip.domain, 1):
        most = largest_batch(shape, chip, degree, context, weight_bytes, given)
        batch = 1
        while batch <= most:
            found.append(
                serve(
                    shape,
                    chip,
                    chips=degree,
                    batch=batch,
                    prompt=prompt,
                    context=context,
                    weight_bytes=weight_bytes,
                    given=given,
                )
            )
            batch = most if batch < most < batch * 2 else batch * 2
        degree *= 2
    if not found:
        need = shape.params() * weight_bytes / GIB
        have = chip.domain * chip.memory_bytes / GIB
        raise DanluError(
            f"{shape.name} needs {need:.0f} GiB for its weights and {chip.domain} x {chip.name} hold {have:.0f} GiB.",
            "Quantise it (one byte a weight), or serve it on chips with more memory or a larger domain.",
        )
    found.sort(key=lambda each: (each.token_seconds, -each.tokens_per_chip_second))
    front: list[Serving] = []
    for each in found:
        if not front or each.tokens_per_chip_second > front[-1].tokens_per_chip_second:
            front.append(each)
    return tuple(front)


def _exchange(shape: ModelShape, chip: Accelerator, chips: int, tokens: int, share: float, latency: float) -> float:
    if chips == 1:
        return 0.0
    volume = 2 * (chips - 1) / chips * tokens * shape.hidden * 2.0
    return 2 * shape.layers * (volume / (chip.link_in * share) + latency * (1 + math.log2(chips)))
