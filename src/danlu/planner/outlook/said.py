"""Short words in English and Chinese, kept side by side."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """The same words in both languages."""

    en: str
    zh: str


def same(text: str) -> Said:
    """Words that are the same in both, such as a formula."""
    return Said(text, text)
