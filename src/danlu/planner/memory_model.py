"""What the memory formulas leave open and published figures teach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryModel:
    """What no formula gives and published figures teach."""

    fixed: float
    """Bytes of the driver's context, of communication libraries and of libraries' workspaces."""
    fixed_deepspeed: float
    """The same for Megatron-DeepSpeed of 2021-22 in fp16, whose logs print what the driver reports: with the flat
    buffers in which it reduces and gathers."""
    copies_deepspeed: float
    """Bytes a parameter beyond weight and gradient that its bf16 optimizer holds unsharded: the gradient's 32-bit sum
    and flat copies."""
    fragmentation: float
    """Share of the activations that the allocator loses."""
    fragmentation_deepspeed: float
    """The same in Megatron-DeepSpeed's logs, of weights and gradients too: they show what the allocator keeps."""
    logit_bytes: float
    """Bytes a logit that the loss keeps at once: the 16-bit one, its 32-bit copy and gradient."""
    usable: float
    """Share of the device memory that a run can fill: the fullest published runs reach it, by this model."""
    usable_deepspeed: float
    """The same for Megatron-DeepSpeed's logs, which show the second step, below the peak of a run."""
