"""A document: text, where it came from, and what is known about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Label: TypeAlias = "str | int | float | bool | Sequence[Label]"


@dataclass(frozen=True)
class Document:
    """One text of a corpus, whichever source it came from."""

    text: str
    """The text itself, clean Unicode without a closing newline."""
    source: str
    """The name of its source, by which counts and losses are kept apart, such as `toy` or a file's name."""
    labels: dict[str, Label] = field(default_factory=dict)
    """What its source knows about it: plain JSON values, so that they survive being written to a file."""
    logprob: float | None = None
    """Natural logarithm (nats) of the probability of the choices that made the text; None where nobody knows it."""

    @property
    def num_bytes(self) -> int:
        """Length of the text in UTF-8 (bytes)."""
        return len(self.text.encode())
