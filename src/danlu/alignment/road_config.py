"""What a user may set about the way from a base model to an assistant: `[alignment]` of a recipe. No torch here."""

from dataclasses import dataclass, field
from typing import Literal

from danlu.alignment.labeller import LabellerConfig
from danlu.alignment.ppo_config import PPOConfig
from danlu.alignment.prompts import PromptsConfig
from danlu.common.errors import DanluError

Label = Literal["auto", "simulated", "page", "none"]


@dataclass(frozen=True)
class AlignmentConfig:
    """From a base model to an assistant: whose help is had, and how much is done."""

    label: Label = "auto"
    """Who ranks: `simulated` labellers, who know the toy language's gold score and err; people on a `page`; `none`. `auto`
    is simulated where the text is the toy language, and none elsewhere."""
    demonstrations: str | None = None
    """A file of demonstrations in any format that is known (jsonl, json, parquet); None makes the toy language's."""
    rankings: str | None = None
    """A file of rankings or preferences in any format that is known; they are learned from beside those made here."""
    share: float = 0.5
    """Compute of the whole alignment as a share of the target's training: what sizes that are None follow from."""
    context: int = 192
    """Tokens that prompt and response may have together. RoPE has no table, so SFT can lengthen the base model's."""
    completions: int = 4
    """Completions of each prompt that are ranked together (K)."""
    overlap: float = 0.1
    """Share of the rankings that two labellers make, so that their agreement is known (0 to 1)."""
    held_out_rankings: float = 0.15
    """Share of the ranked prompts that the reward model is tested on, by their hash (0 to 1)."""
    rounds: int = 1
    """How often completions of the newest policy are ranked, the reward model is trained on all rankings, and PPO goes
    on (Bai et al. 2022, arXiv 2204.05862, "iterated online" training)."""
    prompts: PromptsConfig = field(default_factory=PromptsConfig)
    """The toy language's prompts."""
    labeller: LabellerConfig = field(default_factory=LabellerConfig)
    """Simulated labellers."""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    """Step 3."""

    def __post_init__(self) -> None:
        if not 0.0 < self.share < float("inf"):
            raise DanluError(f"alignment.share is {self.share:g}.", "Give a number above 0.")
        if self.completions < 2:
            raise DanluError(f"alignment.completions is {self.completions}.", "Give 2 or more: one cannot be ranked.")
        if self.rounds < 1 or self.context < 16:
            raise DanluError("alignment.rounds or alignment.context is too small.", "Give 1 round, 16 tokens or more.")
        for name in ("overlap", "held_out_rankings"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise DanluError(f"alignment.{name} is {getattr(self, name):g}.", "Give a share from 0 to below 1.")
