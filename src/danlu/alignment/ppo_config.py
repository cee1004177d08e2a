"""What a user may set about learning from rewards. Every default has its source. No torch here.

I: InstructGPT, Ouyang et al. 2022 (arXiv 2203.02155), appendices C.3, C.4 and E. S: Stiennon et al. 2020 (2009.01325).
Z: Ziegler et al. 2019 (1909.08593) and its code. N: Huang et al. 2023, "The N Implementation Details of RLHF with PPO".
N+: Huang et al. 2024 (2403.17031). D: Shao et al. 2024, DeepSeekMath (2402.03300).
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from danlu.alignment.guards import GuardConfig
from danlu.common.errors import DanluError

Preset = Literal["instructgpt", "stiennon", "ziegler"]


@dataclass(frozen=True)
class RewardLearningConfig:
    """What PPO and GRPO have in common."""

    episodes: int = 256_000
    """Responses drawn in the whole run; rounded to whole batches (I)."""
    batch_size: int = 512
    """Responses drawn before the policy changes (I)."""
    minibatch_size: int = 64
    """Responses of an optimizer step; divides batch_size (I)."""
    epochs: int = 1
    """Passes over each batch (I; S and Z: 4)."""
    micro_batch_size: int | None = None
    """Responses that go through a model at once on one process; changes nothing but memory and speed. None: as many as
    give 4096 to 16384 tokens on a processor, elsewhere as many as find room, up to 65536 tokens."""
    rollout_batch_size: int | None = None
    """Responses that are decoded at once; changes nothing but memory and speed. None: 64 on a processor, elsewhere as
    many as find room, up to 512."""
    max_new_tokens: int = 128
    """Longest response (tokens). Prompts that leave no room for it in the model's context are dropped and counted."""
    temperature: float = 1.0
    """Divides the logits wherever a probability is meant: in sampling, in scoring and in the reference (I; Z: 0.7)."""
    beta: float = 0.02
    """Weight of the KL from the reference (reward per nat) (I: 0.01 to 0.02 is best, E.7)."""
    clip: float = 0.2
    """How far a probability ratio may go from 1 before the objective is clipped (I)."""
    lr: float = 8.05e-6
    """Adam's peak rate for a policy of `lr_width`; others take it times lr_width / width (Yang et al. 2022,
    arXiv 2203.03466). I does not say what its models took: this is the largest that did not diverge for 1.3B."""
    lr_width: int | None = 2048
    """Width of the model that `lr` is meant for (I's 1.3B); None: take lr as it is."""
    warmup_iterations: int = 10
    """Batches over which the rate rises (I: from a tenth)."""
    lr_decay: bool = False
    """Whether the rate falls linearly to 0 over the run (S, Z); constant otherwise (I)."""
    adam_betas: tuple[float, float] = (0.9, 0.95)
    """Adam's (I)."""
    adam_eps: float = 1e-5
    """Adam's, added behind the bias correction as PyTorch does; TensorFlow 1, which Z used, adds it before (N)."""
    max_grad_norm: float = 1.0
    """Longest gradient (TRL's default; the papers do not say)."""
    ema: float = 0.992
    """Decay a step of the averaged weights, which are what is evaluated and saved (I); 0: none. In its first steps the
    average follows faster, min(ema, (1 + step) / (10 + step)), so that it soon forgets where it began."""
    initial_share: float = 0.0
    """Share, in the weights that come out, of those that the run began with. Averaging the two keeps much of what the
    start knew and nearly all of the reward (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903; for learning from rewards
    WARP, Rame et al. 2024, arXiv 2406.16768, "towards initialization"); 0: none (I)."""
    missing_eos_score: float | None = -1.0
    """Replaces the score of a response without end token (N+); None keeps the score."""
    seed: int = 0
    """Of the responses and of all orders."""
    guards: GuardConfig = field(default_factory=GuardConfig)
    """What is watched."""
    device: str = "auto"
    """auto, or torch's name of a device."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: auto is bf16 where the hardware has it. Weights and optimizer stay fp32 (S)."""
    checkpoint_seconds: float = 15.0
    """Seconds between checkpoints, more where saving would take over a fiftieth of them; 0: after every batch."""
    keep_checkpoints: int = 2
    """Newest checkpoints that are kept."""

    def __post_init__(self) -> None:
        for name in ("episodes", "batch_size", "minibatch_size", "epochs", "max_new_tokens", "rollout_batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DanluError(f"{name} is {value}.", "Give 1 or more.")
        if self.batch_size % self.minibatch_size:
            raise DanluError(
                f"a batch of {self.batch_size} responses cannot be cut into minibatches of {self.minibatch_size}.",
                "Give a minibatch_size that divides batch_size.",
            )
        if self.micro_batch_size is not None and self.micro_batch_size < 1:
            raise DanluError(f"micro_batch_size is {self.micro_batch_size}.", "Give 1 or more, or leave it out.")
        for name in ("temperature", "clip", "lr", "max_grad_norm"):
            value = getattr(self, name)
            if not 0.0 < value < float("inf"):
                raise DanluError(f"{name} is {value:g}.", "Give a number above 0.")
        if self.beta < 0.0:
            raise DanluError(f"beta is {self.beta:g}.", "Give 0 or more.")
        for name in ("ema", "initial_share"):
            value = getattr(self, name)
            if not 0.0 <= value < 1.0:
                raise DanluError(f"{name} is {value:g}.", "Give a number from 0 to below 1.")

    @property
    def iterations(self) -> int:
        """Batches of the whole run, at least one."""
        return max(1, round(self.episodes / self.batch_size))

    @property
    def minibatches(self) -> int:
        """Minibatches of a batch."""
        return self.batch_size // self.minibatch_size

    @property
    def steps_per_iteration(self) -> int:
        """Optimizer steps between two changes of batch."""
        return self.epochs * self.minibatches

    def rate(self, lr: float, lr_width: int | None, width: int) -> float:
        """The peak rate for a model of a width."""
        return lr if lr_width is None else lr * lr_width / width


@dataclass(frozen=True)
class PPOConfig(RewardLearningConfig):
    """PPO as InstructGPT has it."""

    adaptive_kl: bool = False
    """Whether beta steers the KL towards `kl_target` (Z); fixed otherwise (I, S)."""
    kl_target: float = 6.0
    """KL of a whole response (nats) that an adaptive beta aims at (Z)."""
    kl_horizon: float = 10_000.0
    """Episodes over which an adaptive beta moves (Z)."""
    kl_kind: Literal["k1", "k2", "k3"] = "k1"
    """The estimator of the KL in the reward (I, S, Z: k1)."""
    gamma: float = 1.0
    """Discount (I: none)."""
    lam: float = 0.95
    """Lambda of the generalised advantage estimation (S, Z; I does not say)."""
    value_clip: float = 0.2
    """How far a value may go from its old one before the loss is clipped (Z; I does not say)."""
    value_coef: float = 0.1
    """Weight of the value loss in the joint gradient (Z, N+). Policy and value share no weight, so it matters for the
    clipping of the gradient alone."""
    value_lr: float = 9e-6
    """Adam's peak rate for a value network of `value_lr_width` (I)."""
    value_lr_width: int | None = 4096
    """Width of the network that `value_lr` is meant for (I: its 6B); None: take value_lr as it is."""
    whiten_rewards: bool = False
    """Whether rewards are scaled to variance one, their mean kept (Z: yes; S, I: no)."""
    whiten_advantages: bool = True
    """Whether advantages are scaled to mean zero and variance one over a batch's real tokens (Z, N)."""
    ptx_coef: float = 1.0
    """Weight of the pretraining loss (mean a token), where pretraining tokens are given. I's 27.8 belongs to its own
    scaling of the two losses, which it does not say; with means a token it makes runs diverge."""
    ptx_ratio: float = 8.0
    """Pretraining sequences a response (I); less than 1 for a few of them beside many."""

    @property
    def ptx_sequences(self) -> int:
        """Pretraining sequences of an optimizer step."""
        return max(1, round(self.minibatch_size * self.ptx_ratio))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("gamma", "lam"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise DanluError(f"{name} is {value:g}.", "Give a number from 0 to 1.")
        for name in ("value_clip", "value_lr", "kl_target", "kl_horizon"):
            value = getattr(self, name)
            if not value > 0.0:
                raise DanluError(f"{name} is {value:g}.", "Give a number above 0.")
        if self.value_coef < 0.0 or self.ptx_coef < 0.0 or self.ptx_ratio <= 0.0:
            raise DanluError("value_coef, ptx_coef or ptx_ratio is too small.", "Give 0 or more; a ratio above 0.")


@dataclass(frozen=True)
class GRPOConfig(RewardLearningConfig):
    """Group-relative policy optimisation: several responses a prompt, each judged beside the others; no values."""

    batch_size: int = 1024
    """Responses drawn before the policy changes: whole groups (D)."""
    minibatch_size: int = 1024
    """Responses of an optimizer step (D)."""
    group_size: int = 16
    """Responses drawn for each prompt; divides batch_size and minibatch_size (D: 64; 8 to 16 is usual since)."""
    beta: float = 0.04
    """Weight of the KL from the reference (D)."""
    kl_in: Literal["reward", "loss"] = "reward"
    """Where the KL stands: part of a response's reward, as PPO's, whose optimum is pi_ref exp(r / beta); or a term of
    each token's loss (D), which leaves out what a token does to the KL of those behind it and has another optimum."""
    kl_kind: Literal["k1", "k2", "k3", "k3+"] = "k1"
    """The estimator. In the loss, k1 pulls nowhere, and k3 (D) along the gradient of KL(reference || policy); k3+ shows
    k3's number and pulls along k2's gradient, which is that of KL(policy || reference). In the reward k3+ is k3."""
    scale: Literal["batch", "group", "none"] = "batch"
    """What advantages are divided by: the standard deviation of the batch, of the group (D), or nothing. Dividing by
    the group's favours prompts that are almost always, or almost never, solved (Liu et al. 2025, "Dr. GRPO", arXiv
    2503.20783)."""
    lr: float = 1e-6
    """Adam's peak rate for a policy of `lr_width` (D)."""
    lr_width: int | None = 4096
    """Width of the model that `lr` is meant for (D's 7B)."""
    missing_eos_score: float | None = None
    """Replaces the score of a response without end token; None keeps it: a programmed reward judges that itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise DanluError(f"group_size is {self.group_size}.", "Give 2 or more: responses are judged beside others.")
        if self.batch_size % self.group_size:
            raise DanluError(
                f"a batch of {self.batch_size} responses does not hold whole groups of {self.group_size}.",
                "Give a batch_size that group_size divides.",
            )


DEEPSEEKMATH = GRPOConfig(group_size=64, kl_in="loss", kl_kind="k3", scale="group")
"""GRPO as its paper has it."""

PRESETS: dict[Preset, PPOConfig] = {
    "instructgpt": PPOConfig(),
    "stiennon": PPOConfig(
        episodes=1_000_000,
        epochs=4,
        minibatch_size=512,
        beta=0.05,
        lr=1.5e-5,  # of its 1.3B; 7e-6 for 6.7B
        value_lr=1.5e-5,
        value_lr_width=2048,
        lr_decay=True,
        warmup_iterations=0,
        ema=0.0,
        ptx_coef=0.0,
    ),
    "ziegler": PPOConfig(
        episodes=1_000_000,
        epochs=4,
        minibatch_size=512,
        temperature=0.7,
        beta=0.15,
        adaptive_kl=True,
        whiten_rewards=True,
        lr=1e-5,  # of its 774M, width 1280; policy and value shared it
        lr_width=1280,
        value_lr=1e-5,
        value_lr_width=1280,
        lr_decay=True,
        warmup_iterations=0,
        adam_betas=(0.9, 0.999),
        ema=0.0,
        ptx_coef=0.0,
    ),
}
"""Whole configurations by name. What a paper does not say is as InstructGPT has it."""


def preset(name: Preset, **changes: object) -> PPOConfig:
    """A preset with some fields changed."""
    return replace(PRESETS[name], **changes)  # type: ignore[arg-type]
