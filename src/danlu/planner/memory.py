"""Memory of the fullest chip in training, by part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danlu.planner.cases import Array, Cases
from danlu.planner.compute import routed
from danlu.planner.memory_model import MemoryModel
from danlu.planner.step import expert_replicas, local_params

GIB = 2.0**30
MEMORY_PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers", "fragmentation")
"""Parts of a chip's memory, in the order in which they are shown."""
SCORE_BYTES = 5.0
"""Bytes of a score that unfused attention keeps: softmax, dropped-out copy, mask (Korthikanti et al. 2022)."""
PLAIN_LOGIT_BYTES = 12.0
"""Bytes a logit in PyTorch's own cross-entropy: the 16-bit one, its 32-bit copy, its log-softmax, and two more of the
gradient while the first of them are still there."""
TIGHT = 0.85
"""Share of the memory above which a plan is called tight."""


@dataclass(frozen=True)
class Memory:
    """Bytes of the fullest chip, in all and by part; arrays (n,)."""

    total: Array
    parts: dict[str, Array]


def activation_bytes(cases: Cases, recompute: Array) -> Array:
    """Bytes that one average layer keeps of one micro-batch for its backward pass, at a level of recomputation.

    Korthikanti et al. 2022, section 4 (34 s b h + 5 a s^2 b for a GPT layer), with the widths of gated networks,
    grouped heads and experts, without dropout masks; fused attention keeps no scores.
    """
    size, tp = cases.weight_bytes, cases.tp
    cut = np.where(cases.sequence_parallel > 0, tp, 1.0)
    share = cases.moe_layers / cases.layers
    value = cases.heads * cases.v_dim
    heads = cases.heads * cases.qk_dim + cases.kv_width + value
    gated = cases.ffn_matrices
    inner = (1 - share) * cases.ffn + share * cases.shared_ffn
    outward = routed(cases) / cases.tokens  # experts that a token of this rank passes through
    inner_routed = share * outward * cases.expert_ffn / cases.expert_cut
    moved = share * outward * cases.hidden
    scores = np.where(cases.unfused > 0, SCORE_BYTES * cases.heads * cases.seq_len / tp, 0.0)
    everything = size * (4 * cases.hidden / cut + heads / tp + gated * (inner / tp + inner_routed) + 2 * moved) + scores
    products = size * (
        2 * cases.hidden / cut + heads / tp + (gated - 1) * (inner / tp + inner_routed) + np.where(share > 0, moved, 0)
    )
    # Of every two products one is kept: query, value, the gate and the output, with attention's own.
    every_second = size * (
        2 * cases.hidden / cut
        + (cases.heads * cases.qk_dim + cases.kv_width / 2 + value) / tp
        + (inner / tp + inner_routed)
        + np.where(share > 0, moved, 0)
    )
    products = np.where(cases.checkpoints_operators > 0, every_second, products)
    selective = np.where(cases.unfused > 0, everything - scores, products)
    full = size * cases.hidden / cut
    repeated = np.maximum(recompute - 1, 0.0)
    return cases.tokens * np.where(recompute >= 1, repeated * full + (1 - repeated) * selective, everything)


def memory(cases: Cases, model: MemoryModel) -> Memory:
    """Memory of the fullest chip of every case."""
    common, experts = local_params(cases)
    group = np.minimum(cases.shard_group, cases.dp) * cases.cp
    copies = expert_replicas(cases)
    stage = cases.sharding

    def held(size: Array | float, sharded: NDArray[np.bool_]) -> Array:
        return size * (common / np.where(sharded, group, 1.0) + experts / np.where(sharded, copies, 1.0))

    wide = cases.weight_bytes == 4
    per_layer = (common + experts) / np.ceil(cases.layers / cases.pp)
    again = cases.regathers
    # Full sharding keeps the 32-bit weights alone, which the optimizer counts; 16-bit ones exist while gathered.
    own = np.where((stage >= 3) & again, np.where(wide, cases.weight_bytes, 0.0), cases.weight_bytes)
    gathered = np.where(again, 2 * cases.weight_bytes * per_layer, 0.0)
    weights = held(own, again) + gathered
    gradient = np.where(cases.fp32_gradients > 0, 4.0, cases.weight_bytes)
    gradients = held(gradient, again | (stage == 2)) + np.where(again, cases.weight_bytes * per_layer, 0.0)
    optimizer = held(np.where(wide, 8.0, 12.0), stage >= 1)

    micro = cases.micro_batches
    in_flight = np.minimum(cases.pp, micro)
    interleaved = 1 + (cases.pp - 1) / (cases.pp * cases.vpp)
    in_flight = np.where(cases.vpp > 1, np.minimum(cases.pp * interleaved, micro), in_flight)
    kept = activation_bytes(cases, cases.recompute)
    # While a layer is computed again, what it keeps and the gradients of that are there together, the scores without
    # theirs: with 16 to 256 heads BLOOM's authors saw the same memory.
    scores = np.where(cases.unfused > 0, SCORE_BYTES * cases.tokens * cases.heads * cases.seq_len / cases.tp, 0.0)
    working = np.where(cases.recompute > 0, 2 * activation_bytes(cases, np.zeros(1)) - scores, 0.0)
    stage_layers = np.ceil(cases.layers / cases.pp)
    first = stage_layers * kept * in_flight + working
    last = stage_layers * kept + working
    each_logit = np.where(cases.plain_loss > 0, PLAIN_LOGIT_BYTES, model.logit_bytes)
    logits = cases.tokens * cases.vocab / cases.tp * each_logit
    # Before the first layer is computed again a fused loss is done with its logits; others keep pieces of them.
    logits = np.where(cases.tuned > 0, np.maximum(logits - working, 0.0), logits)
    logits_lead = last + logits > first
    one_stage = cases.pp == 1
    activations = np.where(one_stage, last, np.where(logits_lead, last, first))
    shown_logits = np.where(one_stage | logits_lead, logits, 0.0)
    # The allocator loses a share of the many tensors; what DeepSpeed lays out flat leaves no gaps. Its logs print the
    # driver's figure, so there the lost part of weights and gradients shows too.
    loose = activations + shown_logits + np.where(cases.deepspeed > 0, weights + gradients, 0.0)
    flat = (cases.deepspeed > 0) & (cases.fp32_gradients > 0)
    gradients = gradients + np.where(flat, (model.copies_deepspeed - 2) * (common + experts), 0.0)
    buffers = (cases.deepspeed > 0) & ~flat
    # Its fp16 optimizer without sharding copies the gradients to 32 bits one by one, and these into a flat tensor.
    gradients = gradients + np.where(buffers & (stage == 0), 8.0 * (common + experts), 0.0)
    fixed = np.where(buffers, model.fixed_deepspeed, model.fixed)
    share = np.where(cases.deepspeed > 0, model.fragmentation_deepspeed, model.fragmentation)
    lost = share * loose
    parts = {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer,
        "activations": activations,
        "logits": shown_logits,
        "buffers": fixed + 0 * cases.tokens,
        "fragmentation": lost,
    }
    total = sum(parts.values(), np.zeros(()))
    return Memory(total, {name: np.broadcast_to(part, total.shape) for name, part in parts.items()})


def fits(cases: Cases, model: MemoryModel, need: Memory) -> Array:
    """Where the memory suffices (booleans, n)."""
    usable = np.where(cases.deepspeed > 0, model.usable_deepspeed, model.usable)
    return np.asarray(need.total <= usable * cases.memory)
