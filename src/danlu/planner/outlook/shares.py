"""What an AI cluster's price is made of: computed from dated offers, beside the shares that reports quote."""

from collections.abc import Mapping
from dataclasses import dataclass

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, Price, find_chip
from danlu.planner.dates import first_day
from danlu.planner.money import Ownership, server_over_chips
from danlu.planner.ranges import Range, quantile

QUOTED = {"chips": (0.55, 0.75), "memory": (0.10, 0.20), "interconnect": (0.10, 0.20)}
"""Shares of an AI cluster's cost as a broker's report of 2023 quotes them."""

_SISTERS = (("A100 SXM 40GB", "A100 SXM 80GB"), ("H100 SXM 80GB", "H200 SXM"))
"""Pairs of chips with the same processor and different memory."""


@dataclass(frozen=True)
class Shares:
    """Shares of a cluster's price."""

    accelerators: Range
    """Chips with their memory, as sold."""
    servers: Range
    """The rest of the servers: host, its memory, links inside, assembly, margin."""
    network: Range
    """Between the servers: as quoted, no offer in the catalogue prices it."""
    usd_per_gib: Range | None
    """What buyers pay for a GiB more of the chip's memory, from pairs of sister chips; None without such offers."""
    memory: Range | None
    """The memory's share of the cluster at that price: a buyer's price, so above the maker's cost."""


def shares(chip: Chip) -> Shares:
    """Split the price of a cluster of a chip.

    Accelerators: (1 - network) / (server over chips), the ratio measured on dated offers. Servers: what is left.

    Raises:
        DanluError: the memory's size or the chip's price is unknown, as the memory's share needs them.
    """
    network, server = Ownership().network_share, server_over_chips(chip.name)
    accelerators = Range(
        (1 - network.high) / server.high,
        (1 - network.mid) / server.mid,
        (1 - network.low) / server.low,
        (*server.sources, *network.sources),
    )
    rest = Range(
        max(1e-3, 1 - network.low - accelerators.high),
        1 - network.mid - accelerators.mid,
        1 - network.high - accelerators.low,
        accelerators.sources,
    )
    price = memory_price()
    bought = [each.usd for each in chip.prices if each.kind == "purchase" and each.offer in ("chip", "board")]
    memory = None
    if price and bought:
        gib = chip.require("memory_bytes") / 2**30
        of_chip = price.times(gib).over(quantile(bought, 0.5))
        memory = _capped(of_chip.times(accelerators), accelerators.high)
    return Shares(accelerators, rest, network, price, memory)


def memory_price() -> Range | None:
    """USD a GiB that buyers paid for more memory on the same processor, over pairs of offers at most 400 days apart."""
    found = []
    for small, large in _SISTERS:
        one, other = find_chip(small), find_chip(large)
        gib = (other.require("memory_bytes") - one.require("memory_bytes")) / 2**30
        for cheap in _bare(one):
            for dear in _bare(other):
                apart = abs((first_day(cheap.date) - first_day(dear.date)).days)
                if apart <= 400 and dear.usd > cheap.usd:
                    found.append((dear.usd - cheap.usd) / gib)
    if not found:
        return None
    return Range(
        min(found),
        quantile(found, 0.5),
        max(found),
        (f"{len(found)} pairs of offers of sister chips (A100 40 and 80 GB, H100 and H200)",),
    )


def feasible(ranges: Mapping[str, tuple[float, float]], total: float = 1.0) -> dict[str, tuple[float, float]]:
    """Ranges of parts tightened by having to sum to a total: each part's low is at least what the others leave.

    Raises:
        DanluError: no values within the ranges sum to the total, or a range is upside down.
    """
    for name, (low, high) in ranges.items():
        if not 0 <= low <= high:
            raise DanluError(f"the range of {name} is {low:g} to {high:g}.", "Give the lower end first.")
    lows, highs = (sum(each[end] for each in ranges.values()) for end in (0, 1))
    if lows > total + 1e-9 or highs < total - 1e-9:
        raise DanluError(
            f"no shares within these ranges sum to {total:.0%}: their low ends sum to {lows:.0%}, their high ends to "
            f"{highs:.0%}.",
            "Correct a range, or add the part that is missing.",
        )
    return {
        name: (max(low, total - (highs - high)), min(high, total - (lows - low)))
        for name, (low, high) in ranges.items()
    }


def _bare(chip: Chip) -> list[Price]:
    return [price for price in chip.prices if price.kind == "purchase" and price.offer in ("chip", "board")]


def _capped(found: Range, ceiling: float) -> Range:
    return Range(min(found.low, ceiling), min(found.mid, ceiling), min(found.high, ceiling), found.sources)
