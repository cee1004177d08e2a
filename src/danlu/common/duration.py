"""Lengths of a run with their unit: never a bare number."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from danlu.common.errors import DanluError

Unit = Literal["steps", "tokens", "flops", "epochs", "seconds"]

_SPELLINGS: dict[str, tuple[Unit, float]] = {
    "step": ("steps", 1.0),
    "steps": ("steps", 1.0),
    "token": ("tokens", 1.0),
    "tokens": ("tokens", 1.0),
    "flop": ("flops", 1.0),
    "flops": ("flops", 1.0),
    "epoch": ("epochs", 1.0),
    "epochs": ("epochs", 1.0),
    "s": ("seconds", 1.0),
    "sec": ("seconds", 1.0),
    "second": ("seconds", 1.0),
    "seconds": ("seconds", 1.0),
    "min": ("seconds", 60.0),
    "minute": ("seconds", 60.0),
    "minutes": ("seconds", 60.0),
    "h": ("seconds", 3600.0),
    "hour": ("seconds", 3600.0),
    "hours": ("seconds", 3600.0),
    "day": ("seconds", 86400.0),
    "days": ("seconds", 86400.0),
}
_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_PATTERN = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([kKMBGTPE]?)\s*([A-Za-z]+)\s*")


@dataclass(frozen=True)
class Duration:
    """A length with its unit, for example 1e14 FLOPs, 30M tokens, 10 minutes."""

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        assert self.unit in get_args(Unit)
        if not 0 < self.value < float("inf"):
            raise DanluError(
                f"a duration must be more than zero, not {self.value:g} {self.unit}.", "Give a larger one."
            )

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read `1e14flops`, `10min`, `30M tokens`, `2 epochs`, `500steps`.

        Raises:
            DanluError: no such unit, or no number.
        """
        match = _PATTERN.fullmatch(text)
        if match:
            number, prefix, word = match.groups()
            for letter, name in ((prefix, word), ("", prefix + word)):
                if name.lower() in _SPELLINGS:
                    unit, scale = _SPELLINGS[name.lower()]
                    return cls(float(number) * _PREFIXES[letter] * scale, unit)
        raise DanluError(
            f"'{text}' is not a duration.",
            "Write a number and a unit, such as 1e14flops, 10min, 30Mtokens or 500steps.",
        )

    def __str__(self) -> str:
        if self.unit != "seconds":
            return f"{self.value:g} {self.unit}"
        return format_seconds(self.value)


def format_seconds(seconds: float) -> str:
    """Seconds for a person: `42 s`, `3 min 05 s`, `2 h 10 min`, `3.5 days`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{seconds / 86400:.1f} days"


def format_count(number: float) -> str:
    """A count for a person, three digits: `786k`, `1.23M`, `70.6B`, `9.1e13` from 1e15 on."""
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 0.9995 * scale:  # from where three digits round up to it
            if number >= 0.9995e15:
                return f"{number:.3g}"
            return f"{number / scale:.3g}{letter}"
    return f"{number:.4g}"
