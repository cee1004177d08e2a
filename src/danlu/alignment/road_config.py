"""What a user may set about the way from a base model to an assistant: `[alignment]` of a recipe. No torch here."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from danlu.alignment.labeller_config import LabellerConfig
from danlu.alignment.ppo_config import PPOConfig
from danlu.alignment.prompts_config import PromptsConfig
from danlu.alignment.tuning_config import RewardConfig, SFTConfig
from danlu.common.errors import DanluError

Label = Literal["auto", "simulated", "page", "none"]
REFERENCE_FLOPS = 3e13
"""Training compute of the base model that the sizes below are meant for; see `sized`."""


@dataclass(frozen=True)
class RoadSFTConfig(SFTConfig):
    """Fine-tuning from some thousand demonstrations, in small batches, since there are few steps."""

    epochs: float = 4.0
    """Passes over the demonstrations: more bring a lower loss, and keep more of the base text (NOTES.md)."""
    batch_size: int = 8
    """Demonstrations an optimizer step."""
    final_lr: float = 0.0
    """Share of the peak rate that the cosine ends at; ending at 0 keeps more of the base text."""
    pretraining_share: float = 0.6
    """Pretraining tokens mixed in, as a share of all tokens: without, the base text's bits a byte nearly doubled."""

    largest_lr = 0.006
    new_turns = 4.0, 1.3
    """For some hundred steps of a model that began with an induction circuit: such a one wants higher rates for the
    matrices, and needs no more for the table, which costs the base text (NOTES.md, entry 46)."""


@dataclass(frozen=True)
class RoadRewardConfig(RewardConfig):
    """The reward model from some thousand prompts: many small steps, for in few it learns little (NOTES.md)."""

    epochs: float = 1.0
    """Passes over the rankings: three times the prompts once are worth more than each three times (NOTES.md)."""
    seeds: int = 2
    """On two cores two models take a fifth longer than one, and together are right on one pair in 140 more (NOTES.md,
    entry 50)."""
    keep: Literal["best", "all"] = "all"
    """Both judge: their mean score is the reward."""
    least_steps: int = 1024
    """Optimizer steps that there are to be: fewer rankings are passed over up to three times for them."""
    batch_size: int = 8
    """Prompts an optimizer step, each with all its completions."""
    optimizer: Literal["adamw", "muon"] = "muon"
    """What steps the blocks' matrices: Muon was right on 81.3% of the pairs in one pass and 82.0% in two, AdamW on
    80.6% and 81.8% (NOTES.md, entry 47)."""
    lr: float = 0.02
    """Peak learning rate of the matrices."""
    table_lr: float = 0.003
    """Peak learning rate of the table, the head and the norms."""
    weight_decay: float = 0.1
    """Decoupled decay of the matrices, per unit of learning rate."""

    def passes(self, rankings: int) -> float:
        """Passes over so many rankings."""
        return max(self.epochs, min(3.0, self.least_steps * self.batch_size / max(1, rankings)))


@dataclass(frozen=True)
class RoadPPOConfig(PPOConfig):
    """PPO for models of some hundred thousand parameters, in some minutes on two cores: InstructGPT's, with rates for a
    small width, and smaller batches, since there are a hundred times fewer episodes (NOTES.md, at width 64)."""

    episodes: int = 11_264
    """Responses drawn in the whole run: 9,216 gave 0.007 more gold than 6,144 (NOTES.md, entry 51)."""
    batch_size: int = 128
    """Responses drawn before the policy changes."""
    minibatch_size: int = 16
    """Responses of an optimizer step. As many steps as with 32 and two passes, for two thirds of the time."""
    rollout_batch_size: int = 512
    """Responses that are decoded at once; changes nothing but memory and speed. 64 take four times as long."""
    max_new_tokens: int = 96
    """Longest response (tokens). Prompts that leave no room for it in the context are dropped and counted."""
    beta: float = 0.1
    """Weight of the KL from the SFT model (reward per nat): with 0.02 a policy went 12 nats away, where the reward
    model no longer means gold (NOTES.md, entry 47); from 0.08 to 0.25 gold is the same (entry 50)."""
    lr: float = 3e-3
    """Adam's peak rate for a policy of `lr_width`; others take it times lr_width / width. Twice as much went 13 nats
    away and came back with less gold (NOTES.md, entry 46)."""
    lr_width: int = 64
    """Width of the model that `lr` is meant for."""
    value_lr: float = 6e-3
    """Adam's peak rate for a value network of `value_lr_width`."""
    value_lr_width: int = 64
    """Width of the network that `value_lr` is meant for."""
    warmup_iterations: int = 4
    """Batches over which the rate rises."""
    ema: float = 0.985
    """Decay a step of the averaged weights, which are what is evaluated and saved; 0: none. Longer than 0.95's, the
    average has more gold at less KL, and keeps more of the text (NOTES.md, entry 47)."""
    initial_share: float = 0.1
    """Share of the SFT model's weights in the policy that comes out: it brings back some of the bits a byte that PPO
    cost the base text, and of the KL, for up to 0.003 of gold (NOTES.md, entry 51)."""
    missing_eos_score: float = -3.0
    """Replaces the score of a response without end token: well below the mean of those with one (about -0.6)."""
    ptx_coef: float = 0.7
    """Weight of the pretraining loss (mean a token). Where SFT mixes pretraining text too, this does not keep the
    reward from rising; where it does not, 0.3 did (NOTES.md)."""
    ptx_ratio: float = 0.5
    """Pretraining sequences a response: with half as many the base text lost more (NOTES.md, entry 46); with 1 they
    took half of the time of learning."""


@dataclass(frozen=True)
class AlignmentConfig:
    """From a base model to an assistant: whose help is had, and how much is done."""

    label: Label = "auto"
    """Who ranks: `simulated` labellers, who know the toy language's gold score and err; people on a `page`; `none`.
    `auto` is simulated where the text is the toy language, and none elsewhere."""
    demonstrations: str | None = None
    """A file of demonstrations in any format that is known (jsonl, json, parquet); None makes the toy language's."""
    rankings: str | None = None
    """A file of rankings or preferences in any format that is known; they are learned from beside those made here."""
    prompts_file: str | None = None
    """A file of prompts to rank for and to practise on, where demonstrations come from a file. None takes theirs, or
    the toy language's where they come from an annotation page's store and the text is the toy language."""
    scale: float | None = None
    """Factor on the numbers of prompts and episodes below. None: the square root of the target's training compute over
    3e13 FLOPs, so that alignment takes the same share of a run whatever its size."""
    context: int = 224
    """Tokens that prompt and response may have together. RoPE has no table, so SFT can lengthen the base model's."""
    completions: int = 4
    """Completions of each prompt that are ranked together (K)."""
    opinions: int | None = None
    """Labellers who rank each prompt; the sum of their ranks is what the reward model learns. None: 3 where they are
    simulated, 1 at a page."""
    overlap: float = 0.1
    """Share of the prompts that two labellers rank where one would do, so that their agreement is known (0 to 1)."""
    held_out_rankings: float = 0.1
    """Share of the ranked prompts that the reward model is tested on, by their hash (0 to 1)."""
    page_prompts: int = 40
    """Prompts whose completions people at a page are asked to rank in a round: the first of those that there are."""
    rounds: int = 1
    """How often completions of the newest policy are ranked, the reward model is trained on all rankings, and PPO goes
    on (Bai et al. 2022, arXiv 2204.05862, "iterated online" training)."""
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    """The toy language's prompts."""
    labeller: LabellerConfig = field(default_factory=LabellerConfig)
    """Simulated labellers."""
    sft: RoadSFTConfig = field(default_factory=RoadSFTConfig)
    """Step 1. Its context is `context` above."""
    reward: RoadRewardConfig = field(default_factory=RoadRewardConfig)
    """Step 2."""
    ppo: RoadPPOConfig = field(default_factory=RoadPPOConfig)
    """Step 3."""

    def __post_init__(self) -> None:
        if self.scale is not None and not 0.0 < self.scale < float("inf"):
            raise DanluError(f"alignment.scale is {self.scale:g}.", "Give a number above 0.")
        if self.demonstrations is None and (self.rankings or self.prompts_file):
            raise DanluError(
                "rankings or prompts are given, and no demonstrations.",
                "Give --demonstrations too: the reward model begins as the model that has seen them.",
            )
        if self.completions < 2:
            raise DanluError(f"alignment.completions is {self.completions}.", "Give 2 or more: one cannot be ranked.")
        if self.opinions is not None and self.opinions < 1:
            raise DanluError(f"alignment.opinions is {self.opinions}.", "Give 1 or more, or leave it out.")
        if self.page_prompts < 2:
            raise DanluError(f"alignment.page_prompts is {self.page_prompts}.", "Give 2 or more: some are held out.")
        if self.rounds < 1 or self.context < 16:
            raise DanluError("alignment.rounds or alignment.context is too small.", "Give 1 round, 16 tokens or more.")
        for name in ("overlap", "held_out_rankings"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise DanluError(f"alignment.{name} is {getattr(self, name):g}.", "Give a share from 0 to below 1.")


def seeded(config: AlignmentConfig, seed: int) -> AlignmentConfig:
    """The configuration with all its seeds."""
    return replace(
        config,
        labeller=replace(config.labeller, seed=seed),
        sft=replace(config.sft, seed=seed),
        reward=replace(config.reward, seed=seed),
        ppo=replace(config.ppo, seed=seed),
    )


def sized(config: AlignmentConfig, target_flops: float) -> AlignmentConfig:
    """The configuration with its numbers of prompts and episodes for a target of that training compute (FLOPs).

    A model's parameters grow with the square root of its compute, so what alignment costs grows with the compute.
    """
    scale = math.sqrt(target_flops / REFERENCE_FLOPS) if config.scale is None else config.scale
    prompts, ppo = config.prompts, config.ppo
    count = {name: max(8, round(getattr(prompts, name) * scale)) for name in ("demonstrations", "comparisons", "ppo")}
    batches = max(2, round(ppo.iterations * scale))
    return replace(
        config,
        scale=1.0,
        prompts=replace(prompts, **count),
        ppo=replace(ppo, episodes=batches * ppo.batch_size),
    )
