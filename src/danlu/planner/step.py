"""One training step from its parts: the slowest pipeline stage sets the pace, the rest is bubble and traffic."""

from dataclasses import dataclass

import numpy as np

from danlu.planner.cases import Array, Cases
from danlu.planner.coefficients import Coefficients
from danlu.planner.compute import (
    BACKWARD_PRODUCTS,
    BACKWARD_TRAFFIC,
    Layer,
    head,
    layer,
    routed,
)
from danlu.planner.network import collective, exchange

TERMS = (
    "matrix products",
    "attention",
    "memory traffic",
    "experts",
    "expert exchange",
    "tensor parallel",
    "context parallel",
    "head and loss",
    "recompute",
    "launching",
    "pipeline bubble",
    "pipeline transfer",
    "data parallel",
    "optimizer",
    "jitter and fixed",
)
"""Names of the parts of a step, in the order in which they are shown."""


@dataclass(frozen=True)
class Step:
    """Seconds of a step, in all and by part; arrays (n,)."""

    seconds: Array
    terms: dict[str, Array]


def local_params(cases: Cases) -> tuple[Array, Array]:
    """Parameters on the fullest rank: those that all replicas share, and the routed experts'."""
    stage = np.ceil(cases.layers / cases.pp) / cases.layers
    share = cases.moe_layers / cases.layers
    layers = cases.layers * cases.layer_params + (cases.layers - cases.moe_layers) * cases.dense_params
    layers = layers + cases.moe_layers * cases.shared_params
    tables = np.where(
        cases.pp > 1,
        np.maximum(cases.input_params, cases.head_params),
        cases.input_params + np.where(cases.tied > 0, 0.0, cases.head_params),
    )
    common = (layers * stage + tables) / cases.tp
    experts = cases.layers * share * cases.experts * cases.expert_params * stage
    return common, experts / cases.ep / cases.expert_cut


def expert_replicas(cases: Cases) -> Array:
    """Copies of one expert among which its gradient is summed."""
    return np.maximum(cases.dp * cases.cp * cases.tp / cases.ep / cases.expert_cut, 1.0)


def step(cases: Cases, k: Coefficients) -> Step:
    """Seconds of one training step of every case."""
    one = layer(cases, k)
    each_micro = _micro_batch(cases, k, one)
    logits, loss = head(cases, k)
    last = 3 * logits + loss
    stage = np.ceil(cases.layers / cases.pp)
    spare = np.floor(cases.layers / cases.pp)
    # Stages that do not divide the layers evenly leave the last one the fewer, which makes room for the head.
    per_layer = sum(each_micro.values(), np.zeros(()))
    body = stage * per_layer
    tail = np.where(cases.pp > 1, np.where(stage > spare, spare, stage), stage) * per_layer + last
    slow_last = tail >= body
    layers = np.where(slow_last, np.where((cases.pp > 1) & (stage > spare), spare, stage), stage)
    extra = np.where(slow_last, last, 0.0)
    micro = cases.micro_batches

    terms = {name: micro * layers * seconds for name, seconds in each_micro.items()}
    terms["head and loss"] = micro * extra
    busy = layers * per_layer + extra
    average = (cases.layers * per_layer + last) / cases.pp
    terms["pipeline bubble"] = (cases.pp - 1) / cases.vpp * average
    terms["launching"] = micro * _launching(cases, k, busy, layers)
    terms["pipeline transfer"] = _transfers(cases, k)
    backward = layers * (2 * one.products + one.attention_backward + 2 * one.experts + BACKWARD_TRAFFIC * one.traffic)
    terms["data parallel"] = _data_parallel(cases, k, backward, busy)
    terms["optimizer"] = _optimizer(cases, k)
    so_far = sum(terms.values(), np.zeros(()))
    domains = np.maximum(cases.chips / cases.domain, 1.0)
    terms["jitter and fixed"] = so_far * k.jitter * np.log2(domains) + k.fixed
    total = so_far + terms["jitter and fixed"]
    return Step(total, {name: np.broadcast_to(terms[name], total.shape) for name in TERMS})


def full_recompute(cases: Cases) -> Array:
    """Share of the layers that are computed a second time before their backward pass."""
    return np.maximum(cases.recompute - 1, 0.0)


def _micro_batch(cases: Cases, k: Coefficients, one: Layer) -> dict[str, Array]:
    """Forward and backward of one layer for one micro-batch by part (seconds)."""
    again = full_recompute(cases)
    light_share = np.minimum(cases.recompute, 1.0) - again
    tensor = _tensor_parallel(cases, k)
    expert = _expert_exchange(cases, k)
    context = _context_parallel(cases, k, one)
    repeated = one.products + one.attention + one.traffic + one.experts + one.permute
    light = one.traffic + np.where(cases.unfused > 0, one.attention, 0.0)
    light = light + np.where(cases.checkpoints_operators > 0, _every_second(cases) * one.products, 0.0)
    return {
        "matrix products": one.products * (1 + BACKWARD_PRODUCTS),
        "attention": one.attention + one.attention_backward,
        "memory traffic": one.traffic * (1 + BACKWARD_TRAFFIC) + _accumulation(cases, k),
        "experts": one.experts * (1 + BACKWARD_PRODUCTS) + 2 * one.permute,
        "expert exchange": expert * (2 + again),
        "tensor parallel": tensor * (2 + again),
        "context parallel": context,
        "recompute": again * repeated + light_share * light,
    }


def _every_second(cases: Cases) -> Array:
    """Share of a layer's products in the second, fourth and sixth of them: key, attention's output, and of a gated
    network the product beside the gate; what the last one gives no backward pass needs."""
    value, keys = cases.heads * cases.v_dim, cases.kv_width / 2
    query = cases.heads * cases.qk_dim
    again = keys + value + (cases.ffn_matrices - 2) * cases.ffn
    return again / (query + 2 * keys + value + cases.ffn_matrices * cases.ffn)


def _accumulation(cases: Cases, k: Coefficients) -> Array:
    """Adding a micro-batch's gradients of one layer to the sum: a read and a write of it, a read of the new ones."""
    common, experts = local_params(cases)
    each = (common + experts) / np.ceil(cases.layers / cases.pp)
    size = 2 * np.where(cases.fp32_gradients > 0, 4.0, cases.weight_bytes) + cases.weight_bytes
    passes = k.accumulate * np.where(cases.deepspeed > 0, k.accumulate_deepspeed, 1.0)
    return np.where(cases.micro_batches > 1, passes * each * size / cases.bandwidth, 0.0)


def _tensor_parallel(cases: Cases, k: Coefficients) -> Array:
    """Forward traffic of tensor parallelism in one average layer: two all-reduces, or as many gathers and scatters."""
    volume = cases.tokens * cases.hidden * cases.weight_bytes
    share = cases.moe_layers / cases.layers * np.where(cases.ep > 1, 1.0, 0.0)
    blocks = 2.0 - share  # experts on ranks of their own need no tensor parallel exchange
    one = 2 * collective(cases, k, cases.tp, np.ones(1), volume, np.ones(1))
    exposed = np.where(cases.tuned > 0, k.tp_tuned, np.where(cases.overlap_tp > 0, k.tp_exposed, 1.0))
    return blocks * one * exposed


def _expert_exchange(cases: Cases, k: Coefficients) -> Array:
    """Forward traffic of expert parallelism in one average layer: tokens to their experts and back.

    Ranks that share an expert gather each other's tokens after the exchange, and scatter the sums before the way back.
    """
    one = cases.tokens / cases.tp * cases.hidden * cases.weight_bytes
    both = 2 * exchange(cases, k, cases.ep, one, np.maximum(cases.active, 1.0))
    joined = routed(cases) * cases.hidden * cases.weight_bytes
    sharing = collective(cases, k, cases.expert_cut, np.ones(1), joined, np.ones(1))
    both = both + np.where(cases.ep > 1, 2 * sharing, 0.0)
    return cases.moe_layers / cases.layers * both * np.where(cases.overlap_ep > 0, k.ep_hidden, k.ep_exposed)


def _context_parallel(cases: Cases, k: Coefficients, one: Layer) -> Array:
    """What remains of passing keys and values round a ring while attention computes, forward and backward."""
    volume = cases.tokens * cases.cp * cases.kv_width / cases.tp * cases.weight_bytes
    ring = collective(cases, k, cases.cp, cases.tp, volume, cases.cp)
    forward = np.maximum(ring - one.attention, 0.1 * ring)
    return forward + np.maximum(2 * ring - one.attention_backward, 0.2 * ring)


def _launching(cases: Cases, k: Coefficients, busy: Array, layers: Array) -> Array:
    """Time in which the chip waits for the host to launch kernels, where layers are small."""
    share = cases.moe_layers / cases.layers
    passes = 3.0 + full_recompute(cases)
    host = layers * passes * (k.launch + share * k.launch_moe) * np.where(cases.tuned > 0, k.fused, 1.0)
    return np.hypot(busy, host) - busy


def _transfers(cases: Cases, k: Coefficients) -> Array:
    """Activations to the next stage and gradients back, for every micro-batch and chunk."""
    volume = cases.tokens * cases.hidden * cases.weight_bytes / cases.tp
    near = cases.domain >= cases.tp * cases.cp * cases.dp * cases.pp
    wire = np.where(near, cases.link_in * k.link_in, cases.link_out * k.link_out)
    latency = np.where(near, k.latency_in, k.latency_out)
    times = 2 * cases.vpp * cases.micro_batches + 2 * (cases.pp - 1)
    return np.where(cases.pp > 1, k.pp_exposed * times * (volume / wire + latency), 0.0)


BUCKET = 5e8
"""Bytes of gradients that travel together: between the 0.1 and 1 GB of common frameworks."""


def _data_parallel(cases: Cases, k: Coefficients, backward: Array, busy: Array) -> Array:
    """Exposed traffic of gradients and weights."""
    common, experts = local_params(cases)
    weight = cases.weight_bytes
    gradient = np.where(cases.fp32_gradients > 0, 4.0, weight)
    shared_ranks, stride = cases.dp * cases.cp, cases.tp
    expert_ranks, expert_stride = expert_replicas(cases), cases.ep * cases.expert_cut

    def travel(size: float | Array, scale: float | Array = 1.0) -> Array:
        """One reduce-scatter or all-gather of everything, at `size` bytes a parameter."""
        total: Array = np.zeros(())
        for params, ranks, apart in ((common, shared_ranks, stride), (experts, expert_ranks, expert_stride)):
            volume = params * size * scale
            total = total + collective(cases, k, ranks, apart, volume, np.maximum(volume / BUCKET, 1.0))
        return total

    inner = np.minimum(cases.shard_group, cases.dp)
    gather = collective(cases, k, inner * cases.cp, stride, common * weight, np.maximum(common * weight / BUCKET, 1.0))
    expert_volume = experts * weight
    gather = gather + collective(
        cases, k, expert_ranks, expert_stride, expert_volume, np.maximum(expert_volume / BUCKET, 1.0)
    )
    sharded = cases.sharding >= 1
    whole = np.where(cases.shard_group < cases.dp, 2.0, np.where(sharded, 1.0, 2.0))
    once = whole * travel(gradient) + np.where(sharded, gather, 0.0)
    floor = np.where(cases.overlap_dp > 0, k.dp_exposed, 1.0)
    window = np.where(cases.overlap_dp > 0, backward + np.where(sharded, busy / 3, 0.0), 0.0)
    plain = floor * once + np.maximum((1 - floor) * once - window, 0.0)
    # With sharded weights every micro-batch gathers them twice and scatters its gradients.
    each = 2 * gather + travel(gradient)
    whole_time = busy
    fsdp = cases.micro_batches * (k.fsdp_exposed * each + np.maximum((1 - k.fsdp_exposed) * each - whole_time, 0.0))
    return np.where(cases.dp * cases.cp > 1, np.where(cases.regathers, fsdp, plain), 0.0)


def _optimizer(cases: Cases, k: Coefficients) -> Array:
    """Reading and writing the optimizer's state: 4 bytes each of weight, two moments, gradient, and the 16-bit copy."""
    common, experts = local_params(cases)
    group = np.minimum(cases.shard_group, cases.dp) * cases.cp
    share = np.where(cases.sharding >= 1, common / group + experts / expert_replicas(cases), common + experts)
    return k.optimizer * share * 34.0 / cases.bandwidth
