"""What a training framework does, as far as it changes time and memory: kernels, overlap, buffers."""

import re
from dataclasses import dataclass, replace
from typing import Literal

Attention = Literal["unfused", "early", "fused"]


@dataclass(frozen=True)
class Software:
    """Traits of a framework."""

    name: str
    attention: Attention = "fused"
    """`unfused` writes the scores to memory (before FlashAttention, 2022); `early` is a first fused kernel."""
    portable: bool = False
    """The fused kernel is one written for the chip's predecessor (FlashAttention-1 and 2 on Hopper and later)."""
    tuned: bool = False
    """The chip vendor's own stack in its benchmark recipe: fused kernels, graphs, overlapped tensor parallelism."""
    overlap_dp: bool = True
    """Gradients travel during the backward pass."""
    overlap_tp: bool = True
    """Part of the tensor parallel traffic hides behind matrix products."""
    overlap_ep: bool = False
    """Expert parallel traffic of one micro-batch hides behind the arithmetic of another (DeepSeek-AI 2024, DeepSeek-V3,
    section 3.2.1: DualPipe)."""
    sequence_parallel: bool = True
    fp32_gradients: bool = True
    """Gradients are summed and sent in 32 bits when weights are 16 bits wide."""
    checkpoints_operators: bool = False
    """Selective recomputation repeats every second matrix product (torchtitan's per-operator checkpointing), not only
    what is no product."""
    plain_loss: bool = False
    """Cross-entropy as PyTorch has it: whole 32-bit copies of the logits."""
    deepspeed: bool = False
    """Megatron-DeepSpeed of 2021-22: every tensor parallel rank sends whole activations to the next stage, and memory
    is what the driver reports, with large fixed buffers."""


MODERN = Software("modern")
"""The default: fused attention, overlap, sequence parallelism, without the vendor's own tuning."""

_LEGACY = Software(
    "legacy Megatron",
    attention="unfused",
    overlap_dp=False,
    overlap_tp=False,
    sequence_parallel=False,
    fp32_gradients=False,
)
_TUNED = (
    r"megatron.?bridge|megatron.?core|megatron.?lm|\bmcore|nemo|mlperf|transformer.?engine|maxtext|optimum|primus"
    r"|hai-llm|megascale|dualpipe"
)
_PLAIN = r"torchtitan|fsdp|lit-?gpt|pytorch|deepspeed|nanotron|internevo|colossal|composer|tinyllama|modern|metaseq"
_HIDES_EXCHANGE = r"hai-llm|dualpipe"
_OWN_KERNELS = r"nanochat|mindspeed|megatron"


def is_known(framework: str) -> bool:
    """Whether anything is known here of a framework's kernels and overlap."""
    return bool(re.search(rf"{_TUNED}|{_PLAIN}|{_OWN_KERNELS}|foundry|mosaic|neox", framework.lower()))


def assumes_fp8_experts(framework: str, precision: str, experts: bool) -> bool:
    """Whether a tuned stack is assumed without a word: of 14 published runs with experts in fp8 every one had it, and
    taken for a plain stack's they came out 25% off (log, mean), as a tuned one's 21%; DeepSeek-V3's hours 50 and 19%.
    """
    return experts and not framework and precision in ("fp8", "fp4")


FP8_EXPERTS = "experts in fp8: planned as a tuned stack, for no plain one trains them"
"""What is assumed where experts are trained in fp8 and no framework is named."""


def software_for(framework: str, vendor: str, released: int, precision: str, experts: bool = False) -> Software:
    """The traits of a framework by its printed name; `MODERN` where it says nothing.

    Megatron-LM and Megatron-DeepSpeed before FlashAttention are told from later ones by chip and arithmetic: fp16, or
    chips of 2020 and before. Later Megatron is its vendor's tuned stack; MindSpeed builds on it and is another's.

    Args:
        vendor: the chip's.
        released: the chip's year.
        precision: the arithmetic's name.
        experts: the model is a mixture of experts; in fp8 its owner has kernels for them, if no framework is named.
    """
    if assumes_fp8_experts(framework, precision, experts):
        return Software("tuned", tuned=True, fp32_gradients=False)
    words = framework.lower()
    old = precision == "fp16" or released <= 2020
    if re.search(r"megatron.?deepspeed", words) and old:
        return replace(_LEGACY, name=framework, deepspeed=True, fp32_gradients=precision == "bf16")
    if "neox" in words and old:  # Megatron-DeepSpeed's line, with FlashAttention from 2022 on
        return replace(_LEGACY, name=framework, attention="early", deepspeed=True, fp32_gradients=precision == "bf16")
    if re.search(r"megatron.?lm|^megatron$", words) and old and "mindspeed" not in words:
        return replace(_LEGACY, name=framework)
    name = framework or "modern"
    later = vendor == "NVIDIA" and released >= 2022
    if re.search(_TUNED, words) and "mindspeed" not in words:
        hides = bool(re.search(_HIDES_EXCHANGE, words))
        return Software(name, tuned=True, overlap_ep=hides, fp32_gradients=hides)
    if re.search(r"foundry|mosaic", words):
        return Software(name, attention="early", portable=later, overlap_tp=False, fp32_gradients=False)
    return Software(
        name,
        portable=later and not re.search(_OWN_KERNELS, words),
        overlap_tp=not re.search(r"torchtitan|fsdp|lit-gpt", words),
        checkpoints_operators="torchtitan" in words,
        plain_loss="torchtitan" in words,
    )
