"""Arithmetic and memory traffic of one layer, forward, for one micro-batch on one rank (seconds)."""

from dataclasses import dataclass

import numpy as np

from danlu.planner.cases import Array, Cases
from danlu.planner.coefficients import Coefficients

BACKWARD_PRODUCTS = 2.0
"""Backward over forward of a matrix product: gradients of its input and of its weights."""
BACKWARD_FLASH = 2.5
"""Fused attention recomputes the scores: five products against two (Dao 2023, FlashAttention-2, section 3.1)."""
BACKWARD_TRAFFIC = 2.0


@dataclass(frozen=True)
class Layer:
    """Forward seconds of one average layer by cause."""

    products: Array
    attention: Array
    attention_backward: Array
    traffic: Array
    """Norms, residuals, activations, casts."""
    experts: Array
    """Products of the routed experts."""
    permute: Array


def product(cases: Cases, k: Coefficients, m: Array, n: Array, depth: Array, *, narrow: bool = False) -> Array:
    """Seconds of one product (m x depth) by (depth x n).

    Arithmetic at the sustained rate, and the share of its operands' traffic that is not hidden behind it: the time
    over the ideal one is 1 + c (1/m + 1/n + 1/depth), so that small and thin products are slow.
    """
    rate = cases.narrow_rate if narrow else cases.wide_rate
    size = cases.narrow_bytes if narrow else cases.weight_bytes
    moved = (m * depth + depth * n) * size + m * n * cases.weight_bytes
    return 2 * m * n * depth / (rate * k.sustained) + k.traffic * moved / cases.bandwidth


def layer(cases: Cases, k: Coefficients) -> Layer:
    """One average layer; experts and dense networks weigh by their share of the layers."""
    tokens, tp = cases.tokens, cases.tp
    width = tokens[:, None]
    cut_out = np.where(cases.att_cut == 1, tp[:, None], 1.0)
    cut_in = np.where(cases.att_cut == 2, tp[:, None], 1.0)
    products: Array = np.zeros(())
    for slot in range(cases.att_out.shape[1]):
        outputs = (cases.att_out / cut_out)[:, slot]
        inputs = (cases.att_in / cut_in)[:, slot]
        products = products + product(cases, k, width[:, 0], outputs, inputs, narrow=True)
    share = cases.moe_layers / cases.layers
    dense = _network(cases, k, tokens, cases.ffn / tp)
    shared = np.where(cases.shared_ffn > 0, _network(cases, k, tokens, np.maximum(cases.shared_ffn, 1) / tp), 0.0)
    router = np.where(cases.experts > 0, product(cases, k, tokens, np.maximum(cases.experts, 1), cases.hidden), 0.0)
    products = products + (1 - share) * dense + share * (shared + router)
    forward, backward = attention(cases, k)
    experts, permute, inner = _experts(cases, k)
    inner_width = ((1 - share) * cases.ffn + share * (cases.shared_ffn + inner)) / tp
    return Layer(
        products=products,
        attention=forward,
        attention_backward=backward,
        traffic=_traffic(cases, k, inner_width),
        experts=share * experts,
        permute=share * permute,
    )


def _network(cases: Cases, k: Coefficients, tokens: Array, width: Array) -> Array:
    """A feed-forward network: the gate and up products are one."""
    up = product(cases, k, tokens, width * (cases.ffn_matrices - 1), cases.hidden, narrow=True)
    return up + product(cases, k, tokens, cases.hidden, width, narrow=True)


def routed(cases: Cases) -> Array:
    """Tokens times experts that one rank sends out for one micro-batch; ranks that share an expert see the same."""
    return cases.tokens * cases.active * cases.expert_cut / cases.tp


def _experts(cases: Cases, k: Coefficients) -> tuple[Array, Array, Array]:
    """Products of the routed experts, sorting their tokens, and the inner width a token passes in all."""
    count = np.maximum(cases.experts, 1)
    local = count / cases.ep
    width = np.maximum(cases.expert_ffn, 1) / cases.expert_cut
    each = routed(cases) / local  # tokens of one expert: what all ranks send is spread evenly
    up = product(cases, k, each, width * (cases.ffn_matrices - 1), cases.hidden, narrow=True)
    down = product(cases, k, each, cases.hidden, width, narrow=True)
    fused = np.where(cases.tuned > 0, k.fused, 1.0)
    permute = fused * k.permute * routed(cases) * cases.hidden * cases.weight_bytes / cases.bandwidth
    has = cases.experts > 0
    return (
        np.where(has, local * (up + down) / k.grouped, 0.0),
        np.where(has, permute, 0.0),
        cases.active * cases.expert_ffn,
    )


def mean_pairs(cases: Cases, *, causal: bool) -> Array:
    """Keys that a query meets on average, over layers with and without a window."""
    everywhere = cases.seq_len * (0.5 if causal else 1.0)
    near = np.where(cases.window > 0, np.minimum(cases.window, everywhere), everywhere)
    local = cases.window_layers / cases.layers
    return local * near + (1 - local) * everywhere


def attention(cases: Cases, k: Coefficients) -> tuple[Array, Array]:
    """Scores, softmax and weighted values, forward and backward (seconds)."""
    heads = cases.heads / cases.tp
    both = cases.qk_dim + cases.v_dim
    flops = 2 * cases.tokens * mean_pairs(cases, causal=True) * heads * both
    wide = both / 2
    rate = cases.wide_rate * k.flash * wide / (wide + k.flash_dim)
    rate = rate * cases.seq_len / (cases.seq_len + k.flash_len)  # blocks on the diagonal are half empty
    rate = rate * np.where(cases.early > 0, k.early, 1.0) * np.where(cases.portable > 0, k.portable, 1.0)
    fused = flops / rate
    pairs = cases.tokens * mean_pairs(cases, causal=False) * heads
    plain = 2 * pairs * both / (cases.wide_rate * k.sustained)
    moved = k.traffic * 2 * pairs + k.softmax * pairs
    aligned = (cases.qk_dim % 8 == 0) | (cases.unfused == 0)
    plain = plain * np.where(aligned, 1.0, k.misaligned) + moved * 2.0 / cases.bandwidth
    unfused = cases.unfused > 0
    return np.where(unfused, plain, fused), np.where(unfused, BACKWARD_PRODUCTS * plain, BACKWARD_FLASH * fused)


def _traffic(cases: Cases, k: Coefficients, inner: Array) -> Array:
    """Bytes of what is not a product, over the memory's bandwidth.

    Two norms (read, write) and two residual sums (two reads, a write) over the hidden width; the rotation of queries
    and keys; the activation, which reads its one or two inputs and writes one output.
    """
    cut = np.where(cases.sequence_parallel > 0, cases.tp, 1.0)
    rotary = 2 * (cases.heads * cases.qk_dim + cases.kv_width / 2) / cases.tp
    numbers = 10 * cases.hidden / cut + rotary + cases.ffn_matrices * inner
    plain = k.elementwise * numbers * cases.weight_bytes
    factors = 2 * cases.hidden + (cases.heads * cases.v_dim) / cases.tp + inner
    narrow = np.where(cases.narrow_bytes < 2, k.cast * (1 + cases.fine_scaling), 0.0)
    fused = np.where(cases.tuned > 0, k.fused, 1.0)
    return fused * cases.tokens * (plain + narrow * factors * 3.0) / cases.bandwidth


def head(cases: Cases, k: Coefficients) -> tuple[Array, Array]:
    """The logits' product forward, and the passes over them forward and backward (seconds)."""
    columns = cases.vocab / cases.tp
    forward = product(cases, k, cases.tokens, columns, cases.hidden)
    fused = np.where(cases.tuned > 0, k.fused, 1.0)
    return forward, fused * k.loss * cases.tokens * columns * 4.0 / cases.bandwidth
