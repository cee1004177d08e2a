"""What a user may set about the toy language's prompts. No torch here."""

from dataclasses import dataclass
from typing import Literal, get_args

from danlu.common.errors import DanluError

Part = Literal["held_out", "demonstrations", "comparisons", "ppo"]
"""What a prompt is for."""
PARTS: tuple[Part, ...] = get_args(Part)
PromptKind = Literal["scene", "story", "continue", "question", "list", "sum", "translate"]
"""The toy language's kinds of instruction."""
KINDS: tuple[PromptKind, ...] = get_args(PromptKind)


@dataclass(frozen=True)
class PromptsConfig:
    """How many prompts of the toy language each step gets."""

    demonstrations: int = 3000
    """Prompts with a demonstration each, for SFT."""
    comparisons: int = 14_000
    """Prompts whose completions are ranked, for the reward model."""
    ppo: int = 3000
    """Prompts that PPO answers."""
    held_out: int = 200
    """Prompts that only evaluations see."""
    kinds: tuple[PromptKind, ...] = KINDS
    """Kinds of instruction: scene, story, continue, question, list, sum, translate."""
    even_languages: bool = True
    """Whether the prompts to rank for and to practise on are shared out evenly over the toy language's languages,
    whatever share of the text each has. With three in ten Chinese, as in the text, both languages gained less from PPO
    (NOTES.md)."""
    good: float = 0.35
    """Share of the demonstrations that are perfect (0 to 1); the others have two to four defects. Mixed quality is
    what leaves the later steps something to improve: with more careless ones reward models are right more often, and
    PPO gains more, but ends a little lower (NOTES.md, entry 51)."""

    def __post_init__(self) -> None:
        for part in PARTS:
            if getattr(self, part) < 1:
                raise DanluError(f"the number of prompts for {part} is {getattr(self, part)}.", "Give 1 or more.")
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise DanluError("no kind of instruction is named, or one twice.", f"Give some of {', '.join(KINDS)}.")
        if not 0.0 <= self.good <= 1.0:
            raise DanluError(f"the share of good demonstrations is {self.good:g}.", "Give a number from 0 to 1.")

    @property
    def total(self) -> int:
        """All prompts."""
        return sum(getattr(self, part) for part in PARTS)
