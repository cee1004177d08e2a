"""Export control: what a chip counts for under each dated rule, computed from its own figures."""

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

from danlu.common.strict import from_mapping
from danlu.hardware.catalogue import Chip

_BITS = {"fp64": 64, "fp32": 32, "bf16": 16, "fp16": 16, "fp8": 8, "int8": 8, "fp4": 4}
"""Bit length of the inputs of a product. TF32 is not counted: its inputs are stored as 32 bits and rounded to 19, and
no rule says which counts."""

Class = Literal["controlled", "notification", "below", "undetermined"]
"""3A090 or 3A090.a; 3A090.b; neither; or a figure is missing that would decide."""

Verdict = Literal["free", "notification", "case by case", "presumed denied", "undetermined"]
"""Whether a chip made under US rules may be sold to China: without a licence, after a notification (licence exception
NAC), with a licence judged case by case or presumed denied, or unknown for want of a figure."""


@dataclass(frozen=True)
class Rule:
    """One dated event of export control."""

    key: str
    effective: str
    """Day it took effect, YYYY-MM-DD."""
    citation: str
    en: str
    zh: str
    verification: str
    """How far it was checked for the catalogue."""


@dataclass(frozen=True)
class Listing:
    """A chip maker on the US Entity List."""

    vendor: str
    date: str
    citation: str


@dataclass(frozen=True)
class _Document:
    rule: tuple[Rule, ...]
    listing: tuple[Listing, ...]


@dataclass(frozen=True)
class Performance:
    """Total processing performance (TPP) and what it was computed from."""

    tpp: float
    """TOPS x bit length, at the precision where that is greatest, dense (88 FR 73458, note to 3A090)."""
    precision: str
    density: float | None
    """TPP a mm2 of die; None where the die area is unknown."""


@dataclass(frozen=True)
class Status:
    """How a rule classes a chip, and why."""

    rule: Rule
    found: Class
    why: str
    """The arithmetic, in figures."""


@dataclass(frozen=True)
class Licence:
    """Whether a chip may be sold to China on a date."""

    verdict: Verdict
    why: str
    rules: tuple[Rule, ...]
    """The rules that decide."""


@cache
def _document() -> _Document:
    text = files("danlu.planner").joinpath("data", "rules.toml").read_text(encoding="utf-8")
    return from_mapping(_Document, tomllib.loads(text), "rules.toml")


def all_rules() -> tuple[Rule, ...]:
    """Every dated event, oldest first."""
    return tuple(sorted(_document().rule, key=lambda rule: rule.effective))


def all_listings() -> tuple[Listing, ...]:
    """Chip makers on the Entity List, oldest first."""
    return tuple(sorted(_document().listing, key=lambda listing: listing.date))


def rule(key: str) -> Rule:
    """The rule of a key."""
    return next(each for each in all_rules() if each.key == key)


def performance(chip: Chip) -> Performance | None:
    """TPP and performance density; None where the chip's throughput is not published.

    TPP = 2 x MacTOPS x bit length = (operations a second / 1e12) x bit length, over dense peaks.
    """
    counted = {
        precision: chip.peaks[precision].value / 1e12 * bits
        for precision, bits in _BITS.items()
        if precision in chip.peaks
    }
    if not counted:
        return None
    precision = max(counted, key=lambda name: counted[name])
    tpp = counted[precision]
    density = tpp / chip.die_mm2.value if chip.die_mm2 else None
    return Performance(tpp, precision, density)


def status_2022(chip: Chip) -> Status:
    """The rule of October 2022: fast links and fast arithmetic together."""
    said = rule("3A090-2022")
    found = performance(chip)
    links = chip.link_total
    if found is None:
        return Status(said, "undetermined", "throughput unpublished")
    if found.tpp < 4800:
        return Status(said, "below", f"TPP {found.tpp:.0f} < 4800")
    if links is None:
        return Status(said, "undetermined", f"TPP {found.tpp:.0f} >= 4800, link bandwidth unpublished")
    if links < 600e9:
        return Status(said, "below", f"links {links / 1e9:.0f} GB/s < 600")
    return Status(said, "controlled", f"links {links / 1e9:.0f} GB/s >= 600, TPP {found.tpp:.0f} >= 4800")


def status_2023(chip: Chip) -> Status:
    """The rule of October 2023 (in force from 2023-11-17): arithmetic, or arithmetic and density.

    Consumer parts are 3A090.a from TPP 4,800 on only, and licence exception NAC (a notification) is open to them.
    """
    said = rule("3A090-2023")
    found = performance(chip)
    if found is None:
        return Status(said, "undetermined", "throughput unpublished")
    tpp, density = found.tpp, found.density
    if tpp >= 4800:
        kind: Class = "notification" if chip.consumer else "controlled"
        return Status(
            said,
            kind,
            f"TPP {tpp:.0f} >= 4800{', consumer part: exception NAC (detail unverified)' if chip.consumer else ''}",
        )
    if tpp < 1600 or chip.consumer:
        return Status(said, "below", f"TPP {tpp:.0f} < {4800 if chip.consumer else 1600}")
    if density is None:
        return Status(said, "undetermined", f"TPP {tpp:.0f}, die area unpublished")
    figures = f"TPP {tpp:.0f}, density {density:.2f}"
    if density >= 5.92:
        return Status(said, "controlled", f"{figures} >= 5.92")
    if (tpp >= 2400 and density >= 1.6) or density >= 3.2:
        return Status(said, "notification", f"{figures}: 3A090.b")
    return Status(said, "below", figures)


def licence_for_china(chip: Chip, on: date) -> Licence:
    """Whether the rules of a day let a chip under US jurisdiction go to China, and how its licence is judged."""
    now = {each.key for each in all_rules() if date.fromisoformat(each.effective) <= on}
    named = {each.key for each in all_rules() if each.key in now and _named(chip, each.key)}
    if "3A090-2023" in now:
        status = status_2023(chip)
    elif "3A090-2022" in now:
        status = status_2022(chip)
    elif "letters-2022" in named:
        return Licence("presumed denied", "named in a letter", (rule("letters-2022"),))
    else:
        return Licence("free", "no rule in force yet", ())
    by_letter = "letters-2025" in named
    if status.found == "undetermined" and not by_letter:
        return Licence("undetermined", status.why, (status.rule,))
    if status.found == "notification":
        return Licence("notification", status.why, (status.rule,))
    if status.found == "below" and not by_letter:
        return Licence("free", status.why, (status.rule,))
    if by_letter:
        rules = [rule("letters-2025"), *([rule("promise-2025")] if "promise-2025" in now else [])]
        if "promise-2025" in now:
            return Licence("case by case", "named in a letter; licences promised", tuple(rules))
        return Licence("presumed denied", "named in a letter", tuple(rules))
    if "3A090-2026" in now:
        return _licence_2026(chip, status)
    return Licence("presumed denied", status.why, (status.rule,))


def _licence_2026(chip: Chip, status: Status) -> Licence:
    said, found = rule("3A090-2026"), performance(chip)
    assert found is not None
    if chip.bandwidth is None:
        return Licence("undetermined", f"{status.why}; memory bandwidth unpublished", (status.rule, said))
    bandwidth = chip.bandwidth.value / 1e9
    figures = f"TPP {found.tpp:.0f}, memory {bandwidth:.0f} GB/s"
    if found.tpp < 21000 and bandwidth < 6500:
        return Licence("case by case", f"{figures}: under 21000 and 6500", (status.rule, said))
    return Licence("presumed denied", f"{figures}: not under 21000 and 6500", (status.rule, said))


_NAMED = {
    "letters-2022": ("A100", "H100", "MI250"),
    "letters-2025": ("H20", "MI308"),
    "GP10-2025": ("Ascend 910B", "Ascend 910C"),
    "customs-2026": ("H200",),
}


def _named(chip: Chip, key: str) -> bool:
    """Whether a letter or a notice names the chip."""
    first = chip.name.split()[0]
    for name in _NAMED.get(key, ()):
        if first == name or (chip.name.startswith(name) and (" " in name or first == name + "X")):
            return True
    return False


def named(chip: Chip, key: str) -> bool:
    """Whether the event `key` names this chip (letters, guidance, customs)."""
    return _named(chip, key)
