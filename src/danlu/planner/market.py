"""What a region can buy on a date, for training and for inference, each judged by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, all_chips
from danlu.planner.dates import first_day
from danlu.planner.rules import all_listings, licence_for_china, named, rule

Use = Literal["training", "inference"]
USES: tuple[Use, ...] = ("training", "inference")

Sale = Literal["yes", "notification", "case by case", "no", "cloud only", "not yet", "unknown"]
"""Whether a region's buyers get the chip: freely, after a notification, with a licence judged case by case, not at all,
only as a cloud service of its maker, not yet released, or a figure is missing that would decide."""

Ability = Literal["shown", "possible", "no", "unknown"]
"""Whether the chip does the work: a published run shows it, its figures allow it or rule it out, or nobody knows."""

REGIONS = {
    "cn": "China",
    "us": "United States",
    "eu": "European Union",
    "gb": "United Kingdom",
    "jp": "Japan",
    "kr": "South Korea",
    "tw": "Taiwan",
    "ca": "Canada",
    "au": "Australia",
}
"""Regions whose rules are known here: China, which the rules aim at, and places that they leave open."""

_TRAINS = ("bf16", "fp16", "tf32", "fp32", "fp8")
_INFERS = (*_TRAINS, "int8", "fp4")


@dataclass(frozen=True)
class Availability:
    """One chip, one region, one day, one use."""

    chip: Chip
    region: str
    on: date
    use: Use
    sale: Sale
    ability: Ability
    reasons: tuple[str, ...]
    """Why, rule by rule and figure by figure."""

    @property
    def open(self) -> bool:
        """Whether a plan may count on it: for sale without a licence, and not ruled out by its figures."""
        return self.sale in ("yes", "notification") and self.ability in ("shown", "possible")


def check_region(region: str) -> str:
    """The code of a region whose rules are known, from its code or its English name.

    Raises:
        DanluError: they are not.
    """
    code = region.strip().lower()
    code = next((key for key, name in REGIONS.items() if name.lower() == code), code)
    if code not in REGIONS:
        raise DanluError(f"no export rules are known here for the region '{region}'.", f"Known: {', '.join(REGIONS)}.")
    return code


def availability(chip: Chip, region: str, on: date, use: Use) -> Availability:
    """Whether a region can buy a chip on a day and put it to a use.

    Raises:
        DanluError: no such region.
    """
    region = check_region(region)
    sale, reasons = _sale(chip, region, on)
    if on.year == chip.released:
        reasons.append(f"released during {chip.released}: in which month, the catalogue does not know")
    ability, more = _ability(chip, on, use)
    return Availability(chip, region, on, use, sale, ability, (*reasons, *more))


def market(region: str, on: date, use: Use, chips: Sequence[Chip] | None = None) -> tuple[Availability, ...]:
    """All chips as `availability` judges them; what is open comes first.

    Raises:
        DanluError: no such region.
    """
    chips = all_chips() if chips is None else chips
    found = [availability(chip, region, on, use) for chip in chips]
    return tuple(sorted(found, key=lambda each: not each.open))


def open_chips(region: str, on: date, use: Use, chips: Sequence[Chip] | None = None) -> tuple[Chip, ...]:
    """The chips that a plan in a region may count on."""
    return tuple(each.chip for each in market(region, on, use, chips) if each.open)


def _sale(chip: Chip, region: str, on: date) -> tuple[Sale, list[str]]:
    if chip.announced_only:
        return "not yet", ["announced only"]
    if first_day(str(chip.released)) > on:
        return "not yet", [f"released in {chip.released}"]
    if chip.country == "CN":
        return _domestic(chip, on) if region == "cn" else _chinese_abroad(chip, on)
    if chip.cloud_only:
        where = "; access from China is subject to the rules on cloud services" if region == "cn" else ""
        return "cloud only", [f"rented in its maker's cloud only{where}"]
    if region != "cn":
        return "yes", []
    licence = licence_for_china(chip, on)
    cited = ", ".join(each.citation for each in licence.rules)
    reasons = [f"{licence.why}{f' ({cited})' if cited else ''}"]
    customs = rule("customs-2026")
    if named(chip, customs.key) and date.fromisoformat(customs.effective) <= on:
        return "no", [*reasons, f"{customs.en} ({customs.citation}, {customs.effective})"]
    sales: dict[str, Sale] = {
        "free": "yes",
        "notification": "notification",
        "case by case": "case by case",
        "presumed denied": "no",
        "undetermined": "unknown",
    }
    return sales[licence.verdict], reasons


def _domestic(chip: Chip, on: date) -> tuple[Sale, list[str]]:
    reasons = ["domestic: not an export"]
    for listing in all_listings():
        if chip.vendor.startswith(listing.vendor) and date.fromisoformat(listing.date) <= on:
            reasons.append(f"its maker is on the Entity List since {listing.date}: foundries abroad stop serving it")
    foundry = rule("foundry-2025")
    if date.fromisoformat(foundry.effective) <= on and any(name in chip.foundry for name in ("TSMC", "Samsung")):
        reasons.append(f"wafers of {chip.foundry} are presumed controlled since {foundry.effective}: stock, if any")
    return "yes", reasons


def _chinese_abroad(chip: Chip, on: date) -> tuple[Sale, list[str]]:
    guidance = rule("GP10-2025")
    if named(chip, guidance.key) and date.fromisoformat(guidance.effective) <= on:
        return "no", [f"{guidance.en} ({guidance.citation}, {guidance.effective})"]
    return "unknown", ["not known to be sold outside China"]


def _ability(chip: Chip, on: date, use: Use) -> tuple[Ability, list[str]]:
    known = {*chip.peaks, *chip.measured}
    runs = [run for run in chip.trained if not run.date or first_day(run.date) <= on]
    if use == "training":
        if chip.inference_only:
            return "no", ["sold for inference only"]
        if runs:
            largest = max(runs, key=lambda run: run.chips)
            when = f", {largest.date}" if largest.date else ""
            return "shown", [f"trained {largest.model} on {largest.chips} chips{when} ({largest.source})"]
        if not known:
            return "unknown", ["throughput unpublished"]
        if not known.intersection(_TRAINS):
            return "no", ["no published rate in a format that trains"]
        if chip.memory_bytes is None:
            return "unknown", ["memory size unpublished"]
        return "possible", ["no published training run in the catalogue"]
    if not known:
        return "unknown", ["throughput unpublished"]
    assert known.intersection(_INFERS), chip.name
    if chip.memory_bytes is None:
        return "unknown", ["memory size unpublished"]
    return "possible", []
