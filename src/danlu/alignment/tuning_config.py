"""What a user may set about fine-tuning, the reward model and DPO. No torch here.

I: InstructGPT, Ouyang et al. 2022 (arXiv 2203.02155), appendix C. S: Stiennon et al. 2020 (2009.01325). R: Rafailov et
al. 2023, DPO (2305.18290).
"""

from dataclasses import dataclass
from typing import Literal

from danlu.common.errors import DanluError

_REFERENCE_WIDTH = 2048
"""Width of I's 1.3B model."""


@dataclass(frozen=True)
class TuningConfig:
    """What all of them have in common."""

    epochs: float = 1.0
    """Passes over the data."""
    batch_size: int = 32
    """Conversations (for rankings: prompts) an optimizer step, over all processes."""
    lr: float | None = None
    """Peak learning rate of the matrices; None: the source's for a 1.3B model (width 2048), times
    (2048 / width)^1.5 for another width, at most 0.002 (SFT: 0.004)."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """What steps the blocks' matrices (I: Adam). Everything else is AdamW's always."""
    table_lr: float | None = None
    """Peak learning rate of the table, the head and the norms; None: as `lr`, or with Muon a tenth of it. SFT takes
    more for a model without chat template, since its table must learn the token that ends a turn: see `rates`."""
    weight_decay: float = 0.0
    """Decoupled decay of the matrices, per unit of learning rate."""
    warmup: int = 0
    """Steps over which the rate rises (I: none)."""
    final_lr: float = 0.1
    """Share of the peak rate that the cosine ends at (I)."""
    context: int | None = None
    """Tokens that a conversation may have. None: the model's own context. More lengthens it: rotary positions have no
    table."""
    max_prompt_tokens: int | None = None
    """Longest prompt (I: half the context); longer ones are left out and counted, never cut. None: the context."""
    template: Literal["auto", "own", "chatml"] = "auto"
    """The chat template: the model's `own`, danlu's (`chatml`), or the model's where it has one (`auto`)."""
    packing: bool = True
    """Several conversations in a row of the context, none seeing another; changes nothing but speed."""
    held_out: float = 0.1
    """Share of the prompts kept for validation, by their hash, where no file of them is given (0 to 1)."""
    seed: int = 0
    """Of the order, and of a new head."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it. Weights and optimizer stay fp32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile of the blocks: auto compiles models of 30M parameters and more on CUDA."""
    micro_batch_size: int | None = None
    """Conversations (for rankings: prompts) that go through the model at once; changes nothing but memory and speed.
    None: as many as have 4096 to 16384 tokens on a processor, elsewhere as many as find room, up to 65536."""
    nonfinite: Literal["stop", "skip"] = "stop"
    """What a step with a loss or gradient that is not finite does: stop the run, or skip the update and count it."""
    checkpoint_seconds: float = 15.0
    """Seconds between checkpoints, more where saving would take over a fiftieth of them; 0: after every step."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""

    reference_lr = 9.65e-6
    largest_lr = 0.002
    new_turns = 1.0, 1.0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or (self.micro_batch_size is not None and self.micro_batch_size < 1):
            raise DanluError("batch_size or micro_batch_size is below 1.", "Give 1 or more.")
        for name in ("epochs", "clip"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise DanluError(f"{name} is {getattr(self, name):g}.", "Give a number above 0.")
        if not 0.0 <= self.held_out < 1.0:
            raise DanluError(f"held_out is {self.held_out:g}.", "Give a share from 0 to below 1.")
        if self.context is not None and self.context < 8:
            raise DanluError(f"context is {self.context}.", "Give 8 tokens or more.")

    def rates(self, width: int, knows_turns: bool = True) -> tuple[float, float]:
        """Peak learning rates of the matrices and of everything else, for a model of a width.

        Args:
            knows_turns: whether the model was ever shown the tokens that begin and end a turn.
        """
        if self.optimizer == "muon":
            lr = self.lr or 0.005
            return lr, self.table_lr or lr / 10
        faster, table = (1.0, 1.0) if knows_turns else self.new_turns
        scaled = faster * self.reference_lr * (_REFERENCE_WIDTH / width) ** 1.5
        lr = self.lr or min(self.largest_lr, scaled)
        return lr, self.table_lr or table * lr


@dataclass(frozen=True)
class SFTConfig(TuningConfig):
    """Fine-tuning on demonstrations."""

    epochs: float = 3.0
    """Passes over the demonstrations (I: 16 of 12,725, chosen by the reward model's score)."""
    loss_on: Literal["response", "all"] = "response"
    """Which tokens are learned: the response with its end, or the prompt too."""
    evaluations: int = 4
    """Evaluations on the way, evenly spread; the last is at the end."""
    select: Literal["loss", "reward", "last"] = "loss"
    """The checkpoint that is kept: of least held-out loss, of highest reward (I; needs a reward model), or the last."""
    reward_samples: int = 64
    """Held-out prompts that are answered for the reward model at each evaluation."""
    pretraining_share: float = 0.0
    """Pretraining tokens mixed in, as a share of all tokens (I: 0.1 for the model that PPO begins from)."""

    largest_lr = 0.004
    new_turns = 2.3, 3.25
    """Factors on the rate of the matrices, and from there to the table's, for a base model: it has pushed the row of a
    token that it never saw away from everything. At width 48 over 52 steps 4% of the answers ended with rates of 0.002,
    72% with 0.004 and 0.013, which these give at widths up to 64 (NOTES.md)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.evaluations < 1:
            raise DanluError(f"evaluations is {self.evaluations}.", "Give 1 or more.")
        if not 0.0 <= self.pretraining_share < 1.0:
            raise DanluError(f"pretraining_share is {self.pretraining_share:g}.", "Give a share from 0 to below 1.")


@dataclass(frozen=True)
class RewardConfig(TuningConfig):
    """The reward model."""

    epochs: float = 1.0
    """Passes over the rankings (I: one; it overfits with more)."""
    batch_size: int = 64
    """Prompts an optimizer step, each with all its completions (I)."""
    margin: float = 0.0
    """How much better a preferred completion must score before its loss falls under ln 2."""
    seeds: int = 1
    """Models trained from heads and orders of their own, where the machine has room for it at once (S: 3 to 10)."""
    keep: Literal["best", "all"] = "best"
    """What is kept of several: the best on held-out pairs (S), or all, whose mean score is then the reward. What one
    takes for good by chance the others do not, so a policy finds less to exploit (Coste et al. 2023, arXiv 2310.02743).
    """

    reference_lr = 9e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seeds < 1:
            raise DanluError(f"seeds is {self.seeds}.", "Give 1 or more.")


@dataclass(frozen=True)
class DPOConfig(TuningConfig):
    """Direct preference optimisation."""

    batch_size: int = 64
    """Prompts an optimizer step (R)."""
    beta: float = 0.1
    """Weight of the divergence from the start model (R)."""
    warmup: int = 10
    """Steps over which the rate rises (R: 150)."""

    reference_lr = 1e-6
