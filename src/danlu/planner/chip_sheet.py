"""Everything about one chip on one day: its figures, what the rules make of it, and what it costs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from danlu.common.errors import DanluError
from danlu.common.strict import to_mapping
from danlu.hardware.catalogue import Chip
from danlu.planner.market import USES, Availability, availability
from danlu.planner.money import Quote, owned_hour, purchase, rent
from danlu.planner.ranges import Range
from danlu.planner.rules import Performance, Status, performance, status_2022, status_2023

T = TypeVar("T")


@dataclass(frozen=True)
class ChipSheet:
    """One chip, one day, one region."""

    chip: Chip
    on: date
    region: str
    performance: Performance | None
    """None where its throughput is not published."""
    statuses: tuple[Status, ...]
    """Under the rules of 2022 and 2023, whoever makes it."""
    markets: tuple[Availability, ...]
    """For training and for inference."""
    rent: Quote | None
    """USD a chip and hour, on demand; None where the catalogue has no offer."""
    purchase: Quote | None
    """USD a chip; None where the catalogue has no offer."""
    owned: Range | None
    """USD a busy chip-hour of an owned one; None where a price or its power is missing."""


def chip_sheet(chip: Chip, on: date, region: str = "cn") -> ChipSheet:
    """Collect the sheet.

    Raises:
        DanluError: no such region.
    """
    return ChipSheet(
        chip=chip,
        on=on,
        region=region,
        performance=performance(chip),
        statuses=(status_2022(chip), status_2023(chip)),
        markets=tuple(availability(chip, region, on, use) for use in USES),
        rent=_or_none(lambda: rent(chip, on)),
        purchase=_or_none(lambda: purchase(chip, on)),
        owned=_or_none(lambda: owned_hour(chip, on)),
    )


def sheet_json(sheet: ChipSheet) -> dict[str, Any]:
    """The sheet for machines: SI units, as the fields of `Chip` state."""
    plain = {
        "chip": to_mapping(sheet.chip),
        "date": sheet.on.isoformat(),
        "region": sheet.region,
        "performance": to_mapping(sheet.performance),
        "export": [
            {"rule": status.rule.key, "citation": status.rule.citation, "class": status.found, "why": status.why}
            for status in sheet.statuses
        ],
        "availability": {
            each.use: {"open": each.open, "sale": each.sale, "ability": each.ability, "reasons": list(each.reasons)}
            for each in sheet.markets
        },
        "rent_usd_per_hour": _quote(sheet.rent),
        "purchase_usd": _quote(sheet.purchase),
        "owned_usd_per_hour": to_mapping(sheet.owned),
    }
    plain["chip"]["missing"] = missing(sheet.chip)
    return plain


def missing(chip: Chip) -> list[str]:
    """Names of the figures that nobody published."""
    names = ("memory_bytes", "bandwidth", "link_in", "domain_size", "link_out", "power_watts", "die_mm2")
    return [*([] if chip.peaks else ["peaks"]), *(name for name in names if getattr(chip, name) is None)]


def _quote(quote: Quote | None) -> Any:
    return None if quote is None else {**to_mapping(quote.usd), "offers": len(quote.offers), "remark": quote.remark}


def _or_none(ask: Callable[[], T]) -> T | None:
    """The answer, or None where a figure for it is not published: the sheet shows the gap."""
    try:
        return ask()
    except DanluError:
        return None
