"""What a user may ask of the toy language."""

from dataclasses import dataclass
from typing import Literal

from danlu.common.errors import DanluError

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class ToyConfig:
    """The toy language: a small simulated world told in English and in Chinese."""

    seed: int = 0
    """Which stream of documents; any whole number from 0 on. Two seeds share nothing but the language."""
    entropy: float = 0.5
    """How evenly words and events are chosen, from 0 (a few favourites) to 1 (all alike). More means a higher source
    entropy (nats a byte), so a higher loss that no model can go below."""
    languages: tuple[Language, ...] = ("en", "zh")
    """The languages documents are written in; each document keeps to one."""
    chinese: float = 0.3
    """Share of the documents that are Chinese, from 0 to 1, where both languages are asked for."""
    questions: float = 0.3
    """Share of the documents that end with questions and their answers, from 0 to 1."""
    megabytes: float = 40.0
    """How much text to make (millions of UTF-8 bytes), training and held-out together."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DanluError(f"the toy language's seed is {self.seed}.", "Give a whole number from 0 on.")
        for name in ("entropy", "chinese", "questions"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise DanluError(f"the toy language's {name} is {value:g}.", "Give a number from 0 to 1.")
        if (
            not self.languages
            or not set(self.languages) <= {"en", "zh"}
            or len(set(self.languages)) < len(self.languages)
        ):
            raise DanluError(
                f"the toy language cannot be written in {', '.join(self.languages) or 'no language'}.",
                "Give languages as en, zh or both.",
            )
        if not 0.0 < self.megabytes < float("inf"):
            raise DanluError(f"the toy language's size is {self.megabytes:g} megabytes.", "Give more than zero.")
