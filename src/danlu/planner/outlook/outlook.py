"""The outlook as a whole: everything that the page and the JSON show."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from danlu.common.strict import to_mapping
from danlu.hardware.catalogue import find_chip
from danlu.planner.market import USES, Availability, Use, check_region, market
from danlu.planner.outlook.access import Access, DatedAccess, access_by_date, access_by_region
from danlu.planner.outlook.chain import Link, chain
from danlu.planner.outlook.claims import CheckedClaim, checked_claims
from danlu.planner.outlook.demand import Demand, demand
from danlu.planner.outlook.gap import GapYear, gap, world_gap
from danlu.planner.outlook.records import FactRecord, facts
from danlu.planner.outlook.shares import QUOTED, Shares, feasible, shares
from danlu.planner.outlook.supply import Supply, supply
from danlu.planner.outlook.text import PUBLISHED, RunningOut, running_out
from danlu.planner.rules import Rule, all_rules

_SHARE_CHIPS = ("A100 SXM 80GB", "H100 SXM 80GB")
"""Chips with enough dated offers, bare and in servers, to split a cluster's price."""


@dataclass(frozen=True)
class ChipShares:
    """A cluster's price split, for one chip."""

    chip: str
    shares: Shares


@dataclass(frozen=True)
class Outlook:
    """Demand for compute and its supply, as one region finds them on one day."""

    region: str
    on: date
    demand: Demand
    supply: Supply
    gap: tuple[GapYear, ...]
    world: GapYear
    """The gap of the accelerators delivered worldwide by the end of 2025."""
    shares: tuple[ChipShares, ...]
    quoted_shares: Mapping[str, tuple[float, float]]
    feasible_shares: Mapping[str, tuple[float, float]]
    """The quoted shares tightened by having to sum to the whole."""
    chain: tuple[Link, ...]
    rules: tuple[Rule, ...]
    """Those in force on the day."""
    market: Mapping[Use, tuple[Availability, ...]]
    access: tuple[DatedAccess, ...]
    """What the region could count on the day each rule took effect, training and inference apart."""
    regions: Mapping[str, Mapping[Use, Access]]
    """The same on the day for every region."""
    text: RunningOut
    published_text_years: tuple[int, int]
    claims: tuple[CheckedClaim, ...]
    facts: tuple[FactRecord, ...]


def outlook(region: str, on: date) -> Outlook:
    """Compute the outlook.

    Computing power by edition is known for China alone, so supply and gap are China's whatever the region; chain and
    market are the region's.

    Raises:
        DanluError: no such region.
    """
    region = check_region(region)
    supplied = supply("cn")
    return Outlook(
        region=region,
        on=on,
        demand=demand(),
        supply=supplied,
        gap=gap(supplied),
        world=world_gap(),
        shares=tuple(ChipShares(name, shares(find_chip(name))) for name in _SHARE_CHIPS),
        quoted_shares=QUOTED,
        feasible_shares=feasible(QUOTED),
        chain=chain(region, on),
        rules=tuple(rule for rule in all_rules() if date.fromisoformat(rule.effective) <= on),
        market={use: market(region, on, use) for use in USES},
        access=access_by_date(region, on),
        regions=access_by_region(on),
        text=running_out(),
        published_text_years=PUBLISHED,
        claims=checked_claims(),
        facts=facts(),
    )


def outlook_json(found: Outlook) -> dict[str, Any]:
    """The outlook for machines; chips by name."""
    plain: dict[str, Any] = to_mapping(
        {key: value for key, value in vars(found).items() if key not in ("market", "on")}
    )
    plain["date"] = found.on.isoformat()
    plain["market"] = {
        use: [
            {
                "chip": each.chip.name,
                "open": each.open,
                "sale": each.sale,
                "ability": each.ability,
                "reasons": list(each.reasons),
            }
            for each in members
        ]
        for use, members in found.market.items()
    }
    return plain
