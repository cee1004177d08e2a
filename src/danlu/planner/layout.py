"""How a training run is spread over chips, and which spreads are possible."""

from dataclasses import dataclass
from typing import Literal

from danlu.common.errors import DanluError
from danlu.planner.shape import ModelShape

Recompute = Literal["none", "selective", "full"]
Sharding = Literal[0, 1, 2, 3]

RECOMPUTE: tuple[Recompute, ...] = ("none", "selective", "full")


@dataclass(frozen=True)
class Layout:
    """Degrees of parallelism and what goes with them."""

    tp: int = 1
    """Tensor parallel degree."""
    pp: int = 1
    """Pipeline stages."""
    vpp: int = 1
    """Interleaved model chunks on each stage."""
    dp: int = 1
    """Data parallel replicas (the shards of ZeRO and FSDP)."""
    cp: int = 1
    """Context parallel degree."""
    ep: int = 1
    """Expert parallel degree; its ranks are taken from tp x cp x dp."""
    expert_tp: int = 0
    """Ranks among which one expert is cut; 0 means the tensor parallel ones without expert parallelism, one with it."""
    sharding: Sharding = 1
    """ZeRO stage: 0 nothing, 1 optimizer, 2 and gradients, 3 and weights (FSDP)."""
    shard_group: int = 0
    """Replicas over which the shards of one copy spread; 0 means all."""
    micro_batch: int = 1
    """Sequences of one forward pass of one replica."""
    recompute: Recompute = "none"
    recompute_share: float = 1.0
    """Share of the layers that full recomputation covers; the others recompute selectively."""
    sequence_parallel: bool = True
    """Norms and residuals are cut along the sequence among tensor parallel ranks."""

    @property
    def chips(self) -> int:
        """Chips that the layout takes."""
        return self.tp * self.pp * self.cp * self.dp

    @property
    def expert_cut(self) -> int:
        """Ranks among which one expert is cut."""
        return self.expert_tp or (1 if self.ep > 1 else self.tp)

    def describe(self) -> str:
        """Short words such as `tp8 pp4x2 dp16 ep8 zero1 mb1 recompute full`."""
        parts = [f"tp{self.tp}", f"pp{self.pp}" + (f"x{self.vpp}" if self.vpp > 1 else ""), f"dp{self.dp}"]
        parts += [f"cp{self.cp}"] * (self.cp > 1) + [f"ep{self.ep}"] * (self.ep > 1)
        parts += [f"etp{self.expert_tp}"] * (self.expert_tp > 1 and self.ep > 1)
        again = f"recompute {self.recompute}"
        if self.recompute == "full" and self.recompute_share < 1:
            again += f" of {self.recompute_share:.0%}"
        return " ".join([*parts, f"zero{self.sharding}", f"mb{self.micro_batch}", again])


def why_impossible(layout: Layout, shape: ModelShape, chips: int, batch: int, seq_len: int) -> str | None:
    """Why a layout cannot be, in words; None where it can.

    Args:
        batch: sequences a step.
    """
    if layout.chips != chips:
        return f"tp {layout.tp} x pp {layout.pp} x cp {layout.cp} x dp {layout.dp} = {layout.chips}, not {chips} chips"
    if shape.heads % layout.tp and layout.tp > 1:
        return f"tp {layout.tp} does not divide {shape.heads} heads"
    if layout.pp > shape.layers:
        return f"{layout.pp} pipeline stages for {shape.layers} layers"
    if layout.vpp > 1 and layout.pp == 1:
        return "interleaving needs a pipeline (pp above 1)"
    if layout.pp * layout.vpp > shape.layers + 2:
        return f"{layout.pp} stages x {layout.vpp} chunks are more than {shape.layers} layers"
    if layout.ep > 1 and shape.moe is None:
        return "expert parallelism in a model without experts"
    if shape.moe and shape.moe.count % layout.ep:
        return f"ep {layout.ep} does not divide {shape.moe.count} experts"
    if layout.expert_tp > layout.tp:
        return f"experts cut among {layout.expert_tp} ranks, more than tp {layout.tp}"
    if layout.ep > layout.tp * layout.cp * layout.dp:
        return f"ep {layout.ep} is more than tp x cp x dp = {layout.tp * layout.cp * layout.dp}"
    if layout.ep > 1 and layout.ep * layout.expert_cut > layout.tp * layout.cp * layout.dp:
        return f"ep {layout.ep} x {layout.expert_cut} ranks an expert are more than tp x cp x dp"
    if seq_len % layout.cp:
        return f"cp {layout.cp} does not divide {seq_len} tokens a sequence"
    if batch % (layout.dp * layout.micro_batch):
        return f"{layout.dp} replicas x {layout.micro_batch} sequences do not divide a batch of {batch} sequences"
    return None


def check_layout(layout: Layout, shape: ModelShape, chips: int, batch: int, seq_len: int) -> None:
    """Refuse an impossible layout.

    Raises:
        DanluError: why it cannot be.
    """
    reason = why_impossible(layout, shape, chips, batch, seq_len)
    if reason:
        raise DanluError(
            f"the layout {layout.describe()} is impossible: {reason}.",
            "Change the degrees, the batch or the number of chips; without a layout the best one is searched.",
        )


def divides(layers: int, pp: int, vpp: int) -> bool:
    """Whether chunks of equal size make up the layers, or all but the two places of the input table and the head."""
    return pp > 1 and layers % (pp * vpp) in (0, pp * vpp - 2)
