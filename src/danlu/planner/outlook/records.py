"""The outlook's data files as records: every figure with its source and how far that was checked."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from danlu.planner.outlook.said import Said


@dataclass(frozen=True)
class ModelRecord:
    """A published model."""

    name: str
    year: float
    """When it was published, as a year with its fraction."""
    flop: float | None
    """Training compute (FLOPs)."""
    params: float | None
    active_params: float | None
    """Parameters that work on one token."""
    tokens: float | None
    """Training tokens."""
    language: bool
    source: str
    """Of the compute."""
    shape_source: str
    """Of parameters and tokens."""


@dataclass(frozen=True)
class GrowthRecord:
    """A growth that somebody measured or quotes."""

    key: str
    name: Said
    first: int | None
    last: int | None
    factor: float
    """Times a year."""
    low: float | None
    high: float | None
    source: str
    verification: str


@dataclass(frozen=True)
class SupplyRecord:
    """Computing power of a region in one year, as one edition of a report sees it."""

    region: str
    vintage: int
    """First year in the edition's title."""
    year: int
    eflops: float
    """EFLOP/s in FP16."""
    kind: str
    """estimate, forecast, or implied by a stated growth."""
    source: str
    verification: str
    note: str


@dataclass(frozen=True)
class ShippedRecord:
    """Accelerators delivered so far."""

    maker: str
    region: str
    date: str
    h100_equivalents: float
    source: str
    verification: str


@dataclass(frozen=True)
class MarketRecord:
    """The size of a market in one year."""

    key: str
    name: Said
    year: int
    busd: float
    """Billion US dollars."""
    at_least: bool
    source: str
    verification: str


@dataclass(frozen=True)
class CostRecord:
    """What one training run is estimated to have cost (USD)."""

    name: str
    year: int
    low: float
    high: float
    source: str
    verification: str


@dataclass(frozen=True)
class VendorRecord:
    """A company of the supply chain."""

    name: str
    name_zh: str
    country: str
    link: str
    """accelerator, memory, foundry, equipment, ..."""
    products: Said
    hbm: bool | None
    """Whether it ships high-bandwidth memory; None where the question does not arise."""
    rule: str
    """Key of the export rule that limits what China buys of it; empty where none does."""
    note: str


@dataclass(frozen=True)
class FactRecord:
    """A figure that stands beside the series: another definition, a target, a projection."""

    name: Said
    region: str
    year: str
    value: str
    """As its source prints it."""
    unit: str
    source: str
    verification: str
    note: str


@cache
def models() -> tuple[ModelRecord, ...]:
    """Published models, oldest first."""
    found = [
        ModelRecord(
            row["name"],
            year_of(row["date"]),
            _number(row["flop"]),
            _number(row["params"]),
            _number(row["active_params"]),
            _number(row["tokens"]),
            row["language"] == "yes",
            row["source"],
            row["shape_source"],
        )
        for row in _rows("models.csv")
    ]
    return tuple(sorted(found, key=lambda model: model.year))


@cache
def growths() -> dict[str, GrowthRecord]:
    """Measured and quoted growths by key."""
    return {
        row["key"]: GrowthRecord(
            row["key"],
            Said(row["en"], row["zh"]),
            int(row["first"]) if row["first"] else None,
            int(row["last"]) if row["last"] else None,
            float(row["factor"]),
            _number(row["low"]),
            _number(row["high"]),
            row["source"],
            row["verification"],
        )
        for row in _rows("growth.csv")
    }


@cache
def supplies() -> tuple[SupplyRecord, ...]:
    """Computing power by region, edition and year."""
    return tuple(
        SupplyRecord(
            row["region"].lower(),
            int(row["vintage"]),
            int(row["year"]),
            float(row["eflops"]),
            row["kind"],
            row["source"],
            row["verification"],
            row["note"],
        )
        for row in _rows("supply.csv")
    )


@cache
def shipped() -> tuple[ShippedRecord, ...]:
    """Accelerators delivered."""
    return tuple(
        ShippedRecord(
            row["maker"],
            row["region"],
            row["date"],
            float(row["h100_equivalents"]),
            row["source"],
            row["verification"],
        )
        for row in _rows("shipped.csv")
    )


@cache
def markets() -> tuple[MarketRecord, ...]:
    """Market sizes."""
    return tuple(
        MarketRecord(
            row["key"],
            Said(row["en"], row["zh"]),
            int(row["year"]),
            float(row["busd"]),
            row["at_least"] == "yes",
            row["source"],
            row["verification"],
        )
        for row in _rows("market.csv")
    )


@cache
def costs() -> tuple[CostRecord, ...]:
    """Costs of training runs."""
    return tuple(
        CostRecord(
            row["name"], int(row["year"]), float(row["low"]), float(row["high"]), row["source"], row["verification"]
        )
        for row in _rows("costs.csv")
    )


@cache
def vendors() -> tuple[VendorRecord, ...]:
    """Companies of the supply chain."""
    ships = {"yes": True, "no": False, "": None}
    return tuple(
        VendorRecord(
            row["name"],
            row["name_zh"],
            row["country"],
            row["link"],
            Said(row["products"], row["products_zh"]),
            ships[row["hbm"]],
            row["rule"],
            row["note"],
        )
        for row in _rows("vendors.csv")
    )


@cache
def facts() -> tuple[FactRecord, ...]:
    """Figures beside the series."""
    return tuple(
        FactRecord(
            Said(row["en"], row["zh"]),
            row["region"],
            row["year"],
            row["value"],
            row["unit"],
            row["source"],
            row["verification"],
            row["note"],
        )
        for row in _rows("facts.csv")
    )


def year_of(date: str) -> float:
    """A date as a year with its fraction: `2020-05` is the middle of May."""
    year, month = date.split("-")[:2]
    return int(year) + (int(month) - 0.5) / 12


def _number(text: str) -> float | None:
    return float(text) if text else None


def _rows(name: str) -> list[dict[str, str]]:
    text = files("danlu.planner.outlook").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
