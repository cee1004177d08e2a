"""What a reader should know about a result: a key and its figures, said in the reader's language."""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal

from danlu.common.duration import format_count

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Remark:
    """A sentence of remarks.json with the figures of one case. In files it is the key and the figures, no words."""

    key: str
    """Of the sentence."""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """What is put into it, by name."""

    @classmethod
    def of(cls, key: str, **figures: float | str) -> "Remark":
        """A remark; whole numbers become floats, so that it is the same after a way through a file."""
        assert key in sentences(), key
        return cls(key, {name: value if isinstance(value, str) else float(value) for name, value in figures.items()})

    def say(self, language: Language) -> str:
        """The sentence in a language; the bare key and figures where a file holds what this version does not know."""
        pattern = sentences().get(self.key, {}).get(language)
        if pattern is None or not placeholders(pattern) <= set(self.figures):
            return f"{self.key}: " + ", ".join(f"{name} {value}" for name, value in self.figures.items())
        try:
            return pattern.format(**{name: _figure(value) for name, value in self.figures.items()})
        except ValueError:  # a word where a number belongs
            return f"{self.key}: " + ", ".join(f"{name} {value}" for name, value in self.figures.items())

    def __str__(self) -> str:
        return self.say("en")


class _Count(float):
    """A number that knows one more format, `count`: 786k, 1.23M."""

    def __format__(self, spec: str) -> str:
        return format_count(self) if spec == "count" else super().__format__(spec)


def _figure(value: float | str) -> float | str:
    return value if isinstance(value, str) else _Count(value)


@cache
def sentences() -> dict[str, dict[str, str]]:
    """Every sentence by key and language."""
    loaded: dict[str, dict[str, str]] = json.loads(
        files("danlu.common").joinpath("remarks.json").read_text(encoding="utf-8")
    )
    return loaded


def placeholders(pattern: str) -> set[str]:
    """The names of the figures that a sentence asks for."""
    return {name for _, name, _, _ in string.Formatter().parse(pattern) if name}
