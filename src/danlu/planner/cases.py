"""Many training steps side by side as arrays, so that one pass of the model prices a table or a whole search."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from danlu.planner.accelerator import Accelerator
from danlu.planner.layout import RECOMPUTE, Layout
from danlu.planner.precision import Precision
from danlu.planner.shape import ModelShape
from danlu.planner.software import Software

Array = NDArray[np.float64]
SLOTS = 5
"""Most projections of one attention (that of latent attention)."""


@dataclass(frozen=True)
class Job:
    """One training step, in words of the planner: what, on what, how."""

    shape: ModelShape
    accelerator: Accelerator
    precision: Precision
    software: Software
    layout: Layout
    seq_len: int
    batch: int
    """Sequences a step."""


@dataclass(frozen=True)
class Cases:
    """Numbers of n training steps, each an array (n,) or (1,) that broadcasts; slots are (n, SLOTS) or (1, SLOTS)."""

    # the model
    layers: Array
    moe_layers: Array
    hidden: Array
    vocab: Array
    heads: Array
    qk_dim: Array
    v_dim: Array
    kv_width: Array
    """Keys and values of one token in one layer, as attention reads them."""
    ffn: Array
    ffn_matrices: Array
    window: Array
    window_layers: Array
    att_out: Array
    att_in: Array
    att_cut: Array
    """0 whole on each rank, 1 cut by outputs, 2 cut by inputs."""
    experts: Array
    active: Array
    expert_ffn: Array
    shared_ffn: Array
    node_limit: Array
    layer_params: Array
    """Attention and norms of one layer."""
    dense_params: Array
    """Feed-forward network of one dense layer."""
    expert_params: Array
    """One routed expert."""
    shared_params: Array
    """Router and shared experts of one layer."""
    input_params: Array
    head_params: Array
    """Vocabulary times width, wherever the head's weights live."""
    tied: Array
    # the chip
    wide_rate: Array
    narrow_rate: Array
    narrow_bytes: Array
    fine_scaling: Array
    memory: Array
    bandwidth: Array
    link_in: Array
    domain: Array
    link_out: Array
    # the software
    weight_bytes: Array
    """Bytes of a weight as it is multiplied and gathered: 2, or 4 in fp32."""
    unfused: Array
    early: Array
    portable: Array
    tuned: Array
    overlap_dp: Array
    overlap_tp: Array
    overlap_ep: Array
    fp32_gradients: Array
    checkpoints_operators: Array
    plain_loss: Array
    deepspeed: Array
    # the layout
    tp: Array
    pp: Array
    vpp: Array
    dp: Array
    cp: Array
    ep: Array
    expert_cut: Array
    """Ranks among which one expert is cut."""
    sharding: Array
    shard_group: Array
    micro_batch: Array
    recompute: Array
    """0 none, 1 selective, 2 full; between 1 and 2 the share of layers with full recomputation."""
    sequence_parallel: Array
    # the batch
    seq_len: Array
    batch: Array

    @property
    def chips(self) -> Array:
        """Chips of each case."""
        return self.tp * self.pp * self.dp * self.cp

    @property
    def regathers(self) -> NDArray[np.bool_]:
        """Where sharded weights are gathered anew for every micro-batch.

        With a pipeline they stay whole between micro-batches, or each of them would pay for all the traffic
        (torchtitan; Llama 3: Grattafiori et al. 2024, section 3.3.2).
        """
        return np.asarray((self.sharding >= 3) & (self.pp == 1))

    @property
    def micro_batches(self) -> Array:
        """Forward passes of one replica in a step."""
        return self.batch / (self.dp * self.micro_batch)

    @property
    def tokens(self) -> Array:
        """Tokens of one micro-batch on one rank."""
        return self.micro_batch * self.seq_len / self.cp


def _model(shape: ModelShape) -> dict[str, float | list[float]]:
    matrices = shape.attention_matrices()
    cuts = {"none": 0.0, "out": 1.0, "in": 2.0}
    pad = [0.0] * (SLOTS - len(matrices))
    moe = shape.moe
    kv = shape.heads * (shape.qk_dim + shape.v_dim) if shape.mla else 2 * shape.kv_heads * shape.head_dim
    return {
        "layers": shape.layers,
        "moe_layers": shape.moe_layers,
        "hidden": shape.hidden,
        "vocab": shape.vocab,
        "heads": shape.heads,
        "qk_dim": shape.qk_dim,
        "v_dim": shape.v_dim,
        "kv_width": kv,
        "ffn": shape.ffn,
        "ffn_matrices": shape.ffn_matrices,
        "window": shape.window,
        "window_layers": shape.window_layers,
        "att_out": [float(out) for out, _, _ in matrices] + pad,
        "att_in": [float(inside) for _, inside, _ in matrices] + pad,
        "att_cut": [cuts[cut] for _, _, cut in matrices] + pad,
        "experts": moe.count if moe else 0,
        "active": moe.active if moe else 0,
        "expert_ffn": moe.ffn if moe else 0,
        "shared_ffn": moe.shared_ffn if moe else 0,
        "node_limit": moe.node_limit if moe else 0,
        "layer_params": shape.attention_params() + shape.norms_per_layer * shape.norm_params(),
        "dense_params": shape.ffn_params(shape.ffn),
        "expert_params": shape.ffn_params(moe.ffn) if moe else 0,
        "shared_params": (shape.ffn_params(moe.shared_ffn) if moe.shared_ffn else 0) + shape.router_params()
        if moe
        else 0,
        "input_params": shape.input_params(),
        "head_params": shape.vocab * shape.hidden,
        "tied": float(shape.tied),
    }


def _machine(accelerator: Accelerator, precision: Precision, software: Software) -> dict[str, float | list[float]]:
    return {
        "wide_rate": accelerator.wide_rate,
        "narrow_rate": accelerator.narrow_rate,
        "narrow_bytes": precision.bytes,
        "fine_scaling": float(precision.fine_scaling),
        "memory": accelerator.memory_bytes,
        "bandwidth": accelerator.bandwidth,
        "link_in": accelerator.link_in,
        "domain": accelerator.domain,
        "link_out": accelerator.link_out,
        "weight_bytes": 4.0 if precision.bits == 32 else 2.0,
        "unfused": float(software.attention == "unfused"),
        "early": float(software.attention == "early"),
        "portable": float(software.portable),
        "tuned": float(software.tuned),
        "overlap_dp": float(software.overlap_dp),
        "overlap_tp": float(software.overlap_tp),
        "overlap_ep": float(software.overlap_ep),
        "fp32_gradients": float(software.fp32_gradients or precision.bits == 32),
        "checkpoints_operators": float(software.checkpoints_operators),
        "plain_loss": float(software.plain_loss),
        "deepspeed": float(software.deepspeed),
    }


def _layout(layout: Layout) -> dict[str, float]:
    return {
        "tp": layout.tp,
        "pp": layout.pp,
        "vpp": layout.vpp,
        "dp": layout.dp,
        "cp": layout.cp,
        "ep": layout.ep,
        "expert_cut": layout.expert_cut,
        "sharding": layout.sharding,
        "shard_group": layout.shard_group or layout.dp,
        "micro_batch": layout.micro_batch,
        "recompute": 1 + layout.recompute_share if layout.recompute == "full" else RECOMPUTE.index(layout.recompute),
        "sequence_parallel": float(layout.sequence_parallel),
    }


def stack(jobs: Sequence[Job]) -> Cases:
    """The cases of a list of jobs."""
    rows = [
        _model(job.shape)
        | _machine(job.accelerator, job.precision, job.software)
        | _layout(job.layout)
        | {"seq_len": job.seq_len, "batch": job.batch}
        # Fused kernels learned attention sinks late; the runs published so far write the scores out.
        | ({"unfused": 1.0} if job.shape.sinks else {})
        for job in jobs
    ]
    return Cases(**{field.name: np.array([row[field.name] for row in rows], dtype=float) for field in fields(Cases)})


def spread_layouts(job: Job, layouts: dict[str, Array]) -> Cases:
    """One model on one kind of chip under many layouts.

    Args:
        layouts: arrays (n,) by the names of a layout's fields in `Cases`; what is missing comes from `job`.
    """
    one = stack([job])
    return Cases(**{field.name: layouts.get(field.name, getattr(one, field.name)) for field in fields(Cases)})
