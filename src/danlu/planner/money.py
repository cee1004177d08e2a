"""What chips cost: rent by dated offers, purchase with its server, network and depreciation. Always a range."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, Price, catalogue_prices
from danlu.hardware.catalogue.chip import PriceKind
from danlu.planner.dates import first_day
from danlu.planner.energy import Site, energy_kwh
from danlu.planner.ranges import Range, quantile

GIVEN_RENT = "the rent that was given"
"""Source of a rent that the user names: exact, and the only one."""
OTHER_TIME = "no offer "
"""How the remark begins that offers of another time were taken."""
_WINDOW = 365
"""Days before a date within which an offer speaks for it."""
_FEW = 3
"""With fewer offers than this, their own spread says little."""
_SPREAD = (0.1, 0.5, 0.9)
"""Quantiles of the offers that make a range: a few odd offers do not set its ends."""
HOURS_A_YEAR = 365.25 * 24


@dataclass(frozen=True)
class Quote:
    """A price range and the offers behind it."""

    usd: Range
    """US dollars: a chip and hour (rent), or a chip (purchase)."""
    offers: tuple[Price, ...]
    """The offers it is made of: one a provider and product, the newest."""
    remark: str
    """Why the offers are not of the date asked for; empty where they are."""


def rent(chip: Chip, on: date, kind: PriceKind = "rent") -> Quote:
    """The rent of a chip (USD a chip and hour) on a date.

    Low, mid and high are the 10, 50 and 90% quantiles over the newest offer of each provider in the year before.
    Where that year has none, the nearest earlier year of offers is taken, then the earliest later one, and the
    quote's remark says so.

    Args:
        kind: on demand, or under a commitment of one or three years.

    Raises:
        DanluError: the catalogue has no such offer at all.
    """
    assert kind != "purchase"
    offers = [price for price in chip.prices if price.kind == kind]
    if not offers:
        raise _no_price(chip, kind)
    return _quote(offers, on)


def purchase(chip: Chip, on: date) -> Quote:
    """The price of a chip as such (bare, or its share of a board), in USD, without the server around it.

    Where only whole servers were offered, their price a chip is divided by what a server costs over its chips
    (`server_over_chips`), and the remark says so.

    Raises:
        DanluError: the catalogue has no offer.
    """
    bought = [price for price in chip.prices if price.kind == "purchase"]
    bare = [price for price in bought if price.offer in ("chip", "board")]
    if bare:
        return _quote(bare, on)
    if not bought:
        raise _no_price(chip, "purchase")
    servers = [price for price in bought if price.offer == "server"]
    if not servers:
        quote = _quote(bought, on)
        return Quote(quote.usd, quote.offers, _both(quote.remark, "whether with a server is not stated"))
    quote = _quote(servers, on)
    remark = _both(quote.remark, "the chip's part of the price of servers")
    return Quote(quote.usd.over(server_over_chips()), quote.offers, remark)


@cache
def server_over_chips(chip_name: str | None = None) -> Range:
    """What a server costs over the chips in it: a ratio, measured on the catalogue's own offers.

    For every offer of a server, its price a chip over the nearest-dated offer of the bare chip, where one lies within
    400 days; low, mid and high are the 10, 50 and 90% quantiles.

    Args:
        chip_name: this chip's offers alone, where it has at least three such pairs; all chips' otherwise.
    """
    offers = catalogue_prices()
    own = _server_ratios(offers.get(chip_name or "", ()))
    ratios, whose = own, f"of {chip_name}"
    if len(own) < _FEW:
        ratios, whose = [ratio for prices in offers.values() for ratio in _server_ratios(prices)], "of all chips"
    low, mid, high = (quantile(ratios, share) for share in _SPREAD)
    return Range(low, mid, high, (f"server over bare chip: {len(ratios)} dated pairs of offers {whose}",))


def _server_ratios(prices: tuple[Price, ...]) -> list[float]:
    bought = [price for price in prices if price.kind == "purchase"]
    bare = [price for price in bought if price.offer in ("chip", "board")]
    found = []
    for server in (price for price in bought if price.offer == "server"):
        near = min(bare, key=lambda price: _days(price, server), default=None)
        if near is not None and _days(near, server) <= 400:
            found.append(max(1.0, server.usd / near.usd))
    return found


@cache
def typical_spread() -> float:
    """How far offers lie from their median: a factor, measured where the catalogue has many.

    The median, over chips and years with at least five offers of rent on demand by different providers, of the square
    root of the 90% quantile over the 10% one.
    """
    factors = []
    for prices in catalogue_prices().values():
        offers = [price for price in prices if price.kind == "rent"]
        for year in {price.date[:4] for price in offers}:
            latest = {price.provider: price.usd for price in offers if price.date.startswith(year)}
            if len(latest) >= 5:
                values = list(latest.values())
                factors.append((quantile(values, _SPREAD[2]) / quantile(values, _SPREAD[0])) ** 0.5)
    return quantile(factors, 0.5)


@dataclass(frozen=True)
class Ownership:
    """How bought chips turn into a cost an hour. Each field is a range that a user may replace."""

    lifetime_years: Range = field(
        default=Range(
            3,
            5,
            6,
            (
                "lifetime: 6 years (Alphabet, Microsoft, annual reports since 2023), 5 (Amazon, 2025), 3 (assumption: "
                "one generation of chips later)",
            ),
        )
    )
    """Straight-line depreciation to nothing (years); a long life is the cheap end."""
    busy: Range = field(default=Range(0.6, 0.8, 0.95, ("share of hours in use: assumption",)))
    """Share of its hours in which an owned chip does the owner's work."""
    network_share: Range = field(
        default=Range(
            0.10, 0.15, 0.20, ("interconnect's share of a cluster: 10 to 20% as quoted in a broker's report",)
        )
    )
    """The network's share of the whole cluster's price."""


def cluster_price(chip: Chip, on: date, ownership: Ownership | None = None) -> Range:
    """The price of a chip with its share of the server and of the network (USD a chip).

    Raises:
        DanluError: the catalogue has no offer.
    """
    network = (ownership or Ownership()).network_share
    whole = Range(
        1 / (1 - network.low), 1 / (1 - network.mid), 1 / (1 - network.high), network.sources
    )  # the cluster over everything but its network
    return _sourced(purchase(chip, on)).times(server_over_chips(chip.name)).times(whole)


def owned_hour(chip: Chip, on: date, ownership: Ownership | None = None, site: Site | None = None) -> Range:
    """What an hour of an owned chip costs: depreciation of its cluster price, and electricity (USD a busy chip-hour).

    Raises:
        DanluError: no offer, or no power figure in the catalogue.
    """
    ownership = ownership or Ownership()
    hours = ownership.lifetime_years.times(ownership.busy).times(HOURS_A_YEAR)
    site = site or Site()
    return cluster_price(chip, on, ownership).over(hours).plus(energy_kwh(chip, 1.0, site).times(site.usd_per_kwh))


def rent_cost(chip: Chip, chip_hours: Range | float, on: date, kind: PriceKind = "rent") -> Range:
    """What chip-hours cost when rented (USD).

    Raises:
        DanluError: as `rent`.
    """
    return _sourced(rent(chip, on, kind)).times(_hours(chip_hours))


def owning_cost(
    chip: Chip, chip_hours: Range | float, on: date, ownership: Ownership | None = None, site: Site | None = None
) -> Range:
    """What chip-hours cost on chips of one's own (USD): depreciation and electricity.

    Raises:
        DanluError: as `owned_hour`.
    """
    return owned_hour(chip, on, ownership, site).times(_hours(chip_hours))


def _quote(offers: Sequence[Price], on: date) -> Quote:
    before = [price for price in offers if first_day(price.date) <= on]
    newest = max((first_day(price.date) for price in before), default=None)
    if newest is None:
        oldest = min(first_day(price.date) for price in offers)
        used = [price for price in offers if (first_day(price.date) - oldest).days <= _WINDOW]
        remark = f"{OTHER_TIME}by {on}: those from {oldest} on are taken"
    elif (on - newest).days > _WINDOW:
        used = [price for price in before if (newest - first_day(price.date)).days <= _WINDOW]
        remark = f"{OTHER_TIME}in the year before {on}: those up to {newest} are taken"
    else:
        used = [price for price in before if (on - first_day(price.date)).days <= _WINDOW]
        remark = ""
    latest: dict[tuple[str, ...], Price] = {}
    for price in sorted(used, key=lambda price: first_day(price.date)):
        known = price.provider or price.source  # a shop is known by its page
        latest[(known, price.product, price.offer)] = price
    kept = tuple(latest.values())
    values = [price.usd for price in kept]
    low, mid, high = (quantile(values, share) for share in _SPREAD)
    few: tuple[str, ...] = ()
    if len(kept) < _FEW and kept[0].source != GIVEN_RENT:
        factor = typical_spread()
        low, high = min(low, mid / factor), max(high, mid * factor)
        few = (f"few offers: widened to a factor of {factor:.2f}, the spread of chips with many",)
    first, last = min(price.date for price in kept), max(price.date for price in kept)
    when = first if first == last else f"{first} to {last}"
    who = sorted({price.provider for price in kept if price.provider})
    names = f" ({', '.join(who[:4])}{' and others' if len(who) > 4 else ''})" if who else ""
    kind = "rent" if kept[0].kind != "purchase" else "price"
    if kept[0].source == GIVEN_RENT:
        return Quote(Range.exactly(mid, GIVEN_RENT), kept, remark)
    source = f"{kind}: {len(kept)} offer{'s' if len(kept) > 1 else ''} of {when}{names}"
    return Quote(Range(low, mid, high, (source, *few)), kept, remark)


def _sourced(quote: Quote) -> Range:
    if not quote.remark:
        return quote.usd
    return Range(quote.usd.low, quote.usd.mid, quote.usd.high, (*quote.usd.sources, quote.remark))


def _both(*remarks: str) -> str:
    return "; ".join(remark for remark in remarks if remark)


def _days(one: Price, other: Price) -> int:
    return abs((first_day(one.date) - first_day(other.date)).days)


def _hours(chip_hours: Range | float) -> Range:
    return chip_hours if isinstance(chip_hours, Range) else Range.exactly(chip_hours)


def _no_price(chip: Chip, kind: PriceKind) -> DanluError:
    what, unit = ("a purchase price", "20000") if kind == "purchase" else ("a rent", "2.5")
    flag = "" if kind == "purchase" else "Add --usd-per-hour 2.5 here. "
    return DanluError(
        f"the catalogue has no offer of {what} for {chip.name}.",
        f"{flag}Give one in a TOML file (--chips FILE): [[chip]] name = '{chip.name}', "
        f"prices = [{{ kind = '{kind}', usd = {unit}, date = '2026-01', source = 'quote' }}].",
    )
