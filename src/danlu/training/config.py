"""What a user may set about training. No torch here."""

from dataclasses import dataclass
from typing import Literal

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class TrainingConfig:
    """How models are trained. What is None follows from the model's size (see dials.py)."""

    context: int = 128
    """Tokens a training sequence holds; what the model can look back on."""
    seed: int = 0
    """Of the weights' initialisation and of the data order."""
    induction: bool = True
    """Whether models begin with heads that copy what followed a token before (model/fresh.py): one of small size learns
    that too late for its ladder to see, and is much better for having it."""
    lr: float | None = None
    """Peak learning rate of the matrices (Muon's, per unit of spectral norm); None: from the dials."""
    table_lr: float | None = None
    """Peak learning rate of the embedding table, the head and the norms (AdamW's); None: from the dials."""
    batch_tokens: int | None = None
    """Tokens an optimizer step; None: from the dials."""
    weight_decay: float | None = None
    """Decoupled decay of the matrices, per unit of learning rate; None: from the dials."""
    warmup_steps: int | None = None
    """First steps, over which the learning rate rises; None: from the dials."""
    cooldown: float = 0.4
    """Share of a run's steps, its last, over which the learning rate falls to zero."""
    clip: float = 1.0
    """Largest norm of the gradient; a longer one is scaled down to it."""
    device: str = "auto"
    """Where to compute: auto takes the accelerator where there is one; otherwise torch's name (cpu, cuda:1)."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of activations and products: auto is bf16 where the hardware has it. Weights stay fp32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile of the blocks: auto compiles models of 30M parameters and more on CUDA: smaller ones are trained
    before it pays, and on the CPU the fused passes need no compilation."""
    micro_batch_tokens: int | None = None
    """Tokens that go through the model at once; None: 4096 to 16384 on a CPU, elsewhere as many as find room, up to
    65536."""
    nonfinite: Literal["stop", "skip"] = "stop"
    """What a step with a loss or gradient that is not finite does: stop the run, or skip the update and count it."""
    checkpoint_seconds: float = 15.0
    """Seconds between checkpoints, more where saving would take over a fiftieth of them; 0: after every step."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""
    evaluations: int = 8
    """Held-out evaluations on the way, evenly spread; the last is at the end."""
    samples: int = 4
    """Openings of held-out documents that the target goes on from at each evaluation (samples.jsonl); 0: none."""

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise DanluError(f"samples is {self.samples}.", "Give 0 (none) or more openings.")
