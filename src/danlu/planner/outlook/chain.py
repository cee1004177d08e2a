"""The supply chain: who makes what, and what China can still buy of it, link by link and by date."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from danlu.hardware.catalogue import Chip, all_chips
from danlu.planner.market import USES, Use, availability, check_region
from danlu.planner.outlook.records import VendorRecord, vendors
from danlu.planner.rules import Listing, Rule, all_listings, rule

Access = Literal["open", "licence", "cloud only", "unknown", "no rule"]
"""Of what the company makes, a region gets: some without a licence; none without; only a cloud service; nobody knows
(figures are missing); or no rule here speaks of it."""

_VENDORS = {"Huawei (HiSilicon)": "Huawei"}
"""Vendors of the chain whose chips the catalogue files under a shorter name."""


@dataclass(frozen=True)
class Link:
    """One company on one day."""

    vendor: VendorRecord
    listing: Listing | None
    """Its place on the US Entity List by that day."""
    rule: Rule | None
    """The rule that by that day limits what China buys of it."""
    chips: tuple[str, ...]
    """Its chips in the catalogue."""
    open_for: dict[Use, tuple[str, ...]]
    """Of these, what the region's buyers get without a licence, by use."""
    access: Access


def chain(region: str, on: date) -> tuple[Link, ...]:
    """Every company of the chain as a region's buyers find it on a day.

    Raises:
        DanluError: no such region.
    """
    region = check_region(region)
    return tuple(_link(vendor, region, on) for vendor in vendors())


def _link(vendor: VendorRecord, region: str, on: date) -> Link:
    name = _VENDORS.get(vendor.name, vendor.name)
    made = [chip for chip in all_chips() if chip.vendor == name]
    listing = next((each for each in all_listings() if name.startswith(each.vendor) and _in_force(each.date, on)), None)
    limit = rule(vendor.rule) if vendor.rule and region == "cn" and _in_force(rule(vendor.rule).effective, on) else None
    return Link(
        vendor=vendor,
        listing=listing,
        rule=limit,
        chips=tuple(chip.name for chip in made),
        open_for={use: _open(made, region, on, use) for use in USES},
        access=_access(made, region, on, limit),
    )


def _access(made: Sequence[Chip], region: str, on: date, limit: Rule | None) -> Access:
    if limit is not None:
        return "licence"
    if not made:
        return "no rule"
    found = [availability(chip, region, on, use) for chip in made for use in USES]
    if any(each.open for each in found):
        return "open"
    sales = {each.sale for each in found}
    if "cloud only" in sales:
        return "cloud only"
    return "licence" if sales <= {"no", "case by case"} else "unknown"


def _open(made: Sequence[Chip], region: str, on: date, use: Use) -> tuple[str, ...]:
    return tuple(chip.name for chip in made if availability(chip, region, on, use).open)


def _in_force(day: str, on: date) -> bool:
    return date.fromisoformat(day) <= on
