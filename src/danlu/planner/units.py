"""Quantities as people write them, with units, and back: `15T`, `4.6Musd`, `1e24flops`, `64 A100 for 30 days`."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from danlu.common.cells import SCALES
from danlu.common.errors import DanluError
from danlu.planner.currency import USD, Currency, parse_money

Kind = Literal["usd", "chip-hours", "flops", "chips-time"]

_NUMBER = r"([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.(?:[eE][+-]?[0-9]+)?)"
_SCALES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Z": 1e21}
_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "week": 604800.0,
    "month": 2629800.0,
    "year": 31557600.0,
}
_BYTES = r"(?:(?:[kmgtp]i?|kilo|mega|giga|tera|peta)(?:b|bytes?)|bytes?)"


@dataclass(frozen=True)
class Budget:
    """What may be spent."""

    kind: Kind
    amount: float
    """USD, chip-hours or FLOPs; for chips over a time, chip-hours."""
    chip: str = ""
    """Name of the chip, where the budget names one."""
    count: int = 0
    """Chips, where the budget names their number."""
    seconds: float = 0.0
    """Wall time, where the budget names it."""
    currency: Currency = USD
    """What money was named in; the amount is in US dollars all the same."""

    def scaled(self, factor: float) -> "Budget":
        """So many times as much: more chips over the same time, where both are named."""
        count = max(1, round(self.count * factor)) if self.count else 0
        amount = self.amount * (count / self.count if self.count else factor)
        return replace(self, amount=amount, count=count)

    def __str__(self) -> str:
        if self.kind == "usd":
            return f"{compact(self.currency.of(self.amount))}{self.currency.code.lower()}"
        if self.kind == "flops":
            return f"{self.amount:g}flops"
        if self.kind == "chips-time":
            return f"{self.count} {self.chip or 'chips'} for {self.seconds / 86400:g} days"
        return f"{self.amount:g} {self.chip or 'chip'}-hours"


def parse_budget(text: str, currency: Currency = USD) -> Budget:
    """Read `4.6Musd`, `$2M`, `30万元`, `3e6 H100-hours`, `1e24flops`, `3640 PF-days`, `64 A100 for 30 days`.

    Args:
        currency: what the person gave a rate for, beside US dollars.

    Raises:
        DanluError: it has no unit, or one that is none of these, or it is in a currency without a rate.
    """
    words = _spelled(text)
    words = re.sub(r"(?<=\bfor) an? (?=[a-z]+$)", " 1 ", words)
    found = re.fullmatch(rf"(\d+)\s*(?:x\s*)?(.+?),?\s+(?:for\s+|x\s+|×\s*)?{_NUMBER}\s*([a-zA-Z]+)", words)
    if found:
        count, seconds = int(found[1]), _seconds(found[3], found[4], text)
        if count < 1 or seconds <= 0:
            raise _not_positive(text)
        return Budget("chips-time", count * seconds / 3600, _chip_word(found[2]), count, seconds)
    if found := re.fullmatch(rf"{_NUMBER}\s*p(?:eta)?f(?:lops?)?(?:/?s)?[\s-]+days?", words, re.IGNORECASE):
        return Budget("flops", _scaled(found[1], "P", text) * _SECONDS["day"])
    found = re.fullmatch(
        rf"{_NUMBER}\s*(?:([kKMBGT])(?=[\s-])[\s-]*)?([a-z].*?)[\s-]+(hours?|h|days?|weeks?|months?|years?)",
        words,
        re.IGNORECASE,
    )
    if found:
        hours = _seconds("1", found[4], text) / 3600
        return Budget("chip-hours", _scaled(found[1], found[2] or "", text) * hours, _chip_word(found[3]))
    if money := parse_money(words, currency):
        usd, named = money
        if usd <= 0:
            raise _not_positive(text)
        return Budget("usd", usd, currency=named)
    found = re.fullmatch(rf"{_NUMBER}\s*([kKMGTPEZ]?)\s*flops?", words, re.IGNORECASE)
    if found:
        return Budget("flops", _scaled(found[1], found[2], text))
    raise _no_budget(text, words)


def _spelled(text: str) -> str:
    """The words with scales as letters and digits without commas: `4.6 million usd`, `4,600,000usd`."""
    words = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text.strip())
    for name, letter in (("thousand", "k"), ("million", "M"), ("billion", "B"), ("trillion", "T")):
        words = re.sub(rf"\s*\b{name}\b", letter, words, flags=re.IGNORECASE)
        words = re.sub(rf"(?<=\d)\s*{name}\b", letter, words, flags=re.IGNORECASE)
    return words


def _chip_word(words: str) -> str:
    """A chip's name without its plural; empty where the words name none (`gpu-hours`)."""
    name = words.strip(" -")
    if name.lower() in ("chip", "gpu", "gpus", "chips", "accelerator", "accelerators"):
        return ""
    return name.removesuffix("s") if re.search(r"\ds$", name) else name


def _no_budget(text: str, words: str) -> DanluError:
    if re.search(r"flops?\s*/\s*s|flop/s", words, re.IGNORECASE):
        return DanluError(
            f"the budget '{text}' is a rate, not an amount.",
            "Give FLOPs in all, such as 1e24flops, or chips for a time.",
        )
    if re.fullmatch(rf"{_NUMBER}\s*(?:[kKMBGT]|{'|'.join(SCALES)})?", words):
        return DanluError(
            f"the budget '{text}' has no unit.", f"Write {words}usd, '{words} H100-hours' or {words}flops."
        )
    if re.search(r"eur|€|rmb|cny|yuan|元|¥|￥|gbp|£|jpy|yen", words, re.IGNORECASE):
        return DanluError(
            f"'{text}' is no budget.",
            "Write money as 4.6Musd or, with --exchange 7.1CNY for your rate, 30万元 or 4.6M CNY.",
        )
    if re.fullmatch(rf"{_NUMBER}\s*({'|'.join(_SECONDS)})s?", words, re.IGNORECASE):
        return DanluError(
            f"the budget '{text}' is a time without chips.", f"Write '64 H100 for {words}' or '3e6 H100-hours'."
        )
    if re.search(r"\d,\d", words):
        return DanluError(f"'{text}' is no budget.", "Write fractions with a point: 1.5Musd.")
    return DanluError(
        f"'{text}' is no budget.", "Write it as 4.6Musd, '3e6 H100-hours', 1e24flops or '64 A100 for 30 days'."
    )


def parse_tokens(text: str) -> float:
    """Read a number of tokens: `15T`, `300B`, `1.5e12`, `300 B tokens`.

    Raises:
        DanluError: it is bytes, or no number.
    """
    words = _spelled(text)
    bytes_ = re.fullmatch(rf"{_NUMBER}\s*({_BYTES})", words, re.IGNORECASE)
    if bytes_:
        number, unit = bytes_[1], bytes_[2]
        letter = "" if unit.lower().startswith("byte") else unit[0].upper().replace("G", "B")
        raise DanluError(
            f"'{text}' are bytes, not tokens.",
            f"Write tokens as in 15T; {text} of text are some {float(number) / 4:g}{letter} tokens, at about four"
            " bytes each.",
        )
    found = re.fullmatch(rf"{_NUMBER}\s*([kKMBGT]?)\s*(?:tok|tokens?)?", words, re.IGNORECASE)
    if not found:
        raise DanluError(f"'{text}' is no number of tokens.", "Write it as 15T, 300B or 1.5e12.")
    return _scaled(found[1], found[2], text)


def parse_seconds(text: str) -> float:
    """Read a time: `30 days`, `12h`, `90min`.

    Raises:
        DanluError: no such unit, or none.
    """
    found = re.fullmatch(rf"{_NUMBER}\s*([a-zA-Z]+)", text.strip())
    if not found:
        raise DanluError(f"'{text}' is no time.", "Write a number and a unit, such as '30 days' or 12h.")
    return _seconds(found[1], found[2], text)


def compact(number: float) -> str:
    """A count that reads back: `1.5T`, `300B`, `4.6M`, `812`; six digits."""
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= scale and number < 1e15:
            return f"{number / scale:.6g}{letter}"
    return f"{number:.6g}"


def _scaled(number: str, scale: str, text: str) -> float:
    letter = scale if scale in _SCALES else scale.upper()
    value = float(number) * _SCALES[letter]
    if not 0 < value < float("inf"):
        raise _not_positive(text)
    return value


def _seconds(number: str, unit: str, text: str) -> float:
    name = unit.lower()
    name = name if name in _SECONDS else name.rstrip("s")
    if name not in _SECONDS:
        raise DanluError(f"'{unit}' in '{text}' is no unit of time.", "Write hours, days, weeks, months or years.")
    return float(number) * _SECONDS[name]


def _not_positive(text: str) -> DanluError:
    return DanluError(f"'{text}' is not more than zero.", "Give a larger amount.")
