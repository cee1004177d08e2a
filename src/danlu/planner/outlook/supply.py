"""Supply: computing power by the edition of the forecast, chips delivered, and market sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from danlu.planner.outlook.growth import yearly_factor
from danlu.planner.outlook.records import (
    MarketRecord,
    ShippedRecord,
    SupplyRecord,
    markets,
    shipped,
    supplies,
)
from danlu.planner.outlook.said import Said
from danlu.planner.ranges import Range


@dataclass(frozen=True)
class Vintage:
    """One edition's view of a region's computing power."""

    vintage: int
    source: str
    points: tuple[SupplyRecord, ...]
    factor: float
    """Growth a year between its first and last year."""

    def at(self, year: int) -> float | None:
        """EFLOP/s in a year, between its points by constant growth; None outside them."""
        for point in self.points:
            if point.year == year:
                return point.eflops
        for before, after in pairwise(self.points):
            if before.year < year < after.year:
                step = yearly_factor(before.eflops, after.eflops, after.year - before.year)
                return before.eflops * step ** (year - before.year)
        return None


@dataclass(frozen=True)
class FanYear:
    """What the editions say of one year."""

    year: int
    eflops: Range
    by_vintage: dict[int, float]


@dataclass(frozen=True)
class MarketGrowth:
    """A market between its first and last known year."""

    key: str
    name: Said
    points: tuple[MarketRecord, ...]
    factor: float | None
    """Growth a year; None where there is one year only."""
    mixed: bool
    """Whether its two ends come from different editions, so that the growth mixes them."""


@dataclass(frozen=True)
class Supply:
    """What there is to compute with."""

    region: str
    vintages: tuple[Vintage, ...]
    fan: tuple[FanYear, ...]
    shipped: tuple[ShippedRecord, ...]
    markets: tuple[MarketGrowth, ...]


def supply(region: str = "cn") -> Supply:
    """Collect the supply of a region (computing power is known for China alone) and the world's deliveries."""
    vintages = _vintages([record for record in supplies() if record.region == region])
    years = sorted({year for each in vintages for year in range(each.points[0].year, each.points[-1].year + 1)})
    return Supply(region, vintages, tuple(_fan(year, vintages) for year in years), shipped(), _markets())


def world_h100_equivalents() -> float:
    """H100-equivalents delivered worldwide, all makers counted together, to the last date of the list."""
    return sum(record.h100_equivalents for record in shipped() if record.region == "world")


def _vintages(records: Sequence[SupplyRecord]) -> tuple[Vintage, ...]:
    ordered = sorted(records, key=lambda record: (record.vintage, record.year))
    found = []
    for vintage, members in groupby(ordered, key=lambda record: record.vintage):
        points = tuple(members)
        factor = yearly_factor(points[0].eflops, points[-1].eflops, points[-1].year - points[0].year)
        found.append(Vintage(vintage, points[0].source, points, factor))
    return tuple(found)


def _fan(year: int, vintages: Sequence[Vintage]) -> FanYear:
    said = {each.vintage: value for each in vintages if (value := each.at(year)) is not None}
    newest = said[max(said)]
    sources = tuple(each.source for each in vintages if each.vintage in said)
    return FanYear(year, Range(min(said.values()), newest, max(said.values()), sources), said)


def _markets() -> tuple[MarketGrowth, ...]:
    found = []
    for key in dict.fromkeys(record.key for record in markets()):
        points = tuple(sorted((record for record in markets() if record.key == key), key=lambda record: record.year))
        first, last = points[0], points[-1]
        factor = None
        if first.year < last.year:
            factor = yearly_factor(first.busd, last.busd, last.year - first.year)
        found.append(MarketGrowth(key, first.name, points, factor, first.source != last.source))
    return tuple(found)
