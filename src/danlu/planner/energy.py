"""Energy and carbon of chip-hours: draw, the server around the chip, the building, and the grid. Always a range."""

import csv
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip
from danlu.planner.ranges import Range

_DRAW = Range(
    0.6,
    0.85,
    1.0,
    ("draw of the chip: 0.6 to 1 of its rated power in training (assumption; FlagPerf measured 364 of 400 W)",),
)
_HOST = Range(
    1.1,
    1.3,
    1.82,
    (
        "server over chips: 330 W a 300 W V100 (Patterson et al. 2021, arXiv 2104.10350); "
        "10.2 kW for eight of 700 W (DGX H100 data sheet, its maximum); the middle is an assumption",
    ),
)
_PUE = Range(
    1.1,
    1.2,
    1.58,
    (
        "PUE: 1.10 (Patterson et al. 2021), 1.2 (Luccioni et al. 2022, BLOOM), "
        "1.58 (Uptime Institute, survey average of 2023)",
    ),
)
_PRICE = Range(0.05, 0.08, 0.20, ("electricity: 0.05 to 0.20 USD/kWh (assumption; give your own)",))
_UNKNOWN_SPREAD = 0.15
"""Where a grid has one figure only: how far its years and hours are taken to lie from it (assumption)."""


@dataclass(frozen=True)
class Site:
    """Where chips run. Each field is a range that a user may replace."""

    draw: Range = field(default=_DRAW)
    """The chip's mean power over its rated power."""
    host: Range = field(default=_HOST)
    """The server's power over its chips'."""
    pue: Range = field(default=_PUE)
    """The building's power over its servers'."""
    grams_per_kwh: Range = field(default_factory=lambda: carbon_intensity("world"))
    """Carbon intensity of the electricity (grams of CO2-equivalent a kWh)."""
    usd_per_kwh: Range = field(default=_PRICE)
    """Price of the electricity (USD/kWh)."""


def site(region: str) -> Site:
    """A typical site in a region (`regions`).

    Raises:
        DanluError: no such region.
    """
    return Site(grams_per_kwh=carbon_intensity(region))


def energy_kwh(chip: Chip, chip_hours: Range | float, at: Site | None = None) -> Range:
    """Energy of chip-hours, building included (kWh): rated power x draw x server x PUE x hours.

    Raises:
        DanluError: nobody published the chip's power.
    """
    at = at or Site()
    hours = chip_hours if isinstance(chip_hours, Range) else Range.exactly(chip_hours)
    watts = chip.require("power_watts")
    assert chip.power_watts is not None
    rated = Range.exactly(watts / 1000, f"rated power {watts:g} W ({chip.power_watts.source})")
    return rated.times(at.draw).times(at.host).times(at.pue).times(hours)


def carbon_tonnes(kwh: Range, at: Site | None = None) -> Range:
    """Tonnes of CO2-equivalent of energy from a site's grid."""
    return kwh.times((at or Site()).grams_per_kwh).times(1e-6)


def regions() -> dict[str, str]:
    """Codes of the regions whose grids are known, with their names."""
    return {code: name for code, (name, _) in _grids().items()}


def carbon_intensity(region: str) -> Range:
    """Grams of CO2-equivalent a kWh of a region's electricity.

    Low and high are the 10% and 90% quantiles of its provinces or states where those are known, and 15% about the
    mean (an assumption, named among the sources) where not.

    Raises:
        DanluError: no such region; the error lists them.
    """
    grids = _grids()
    code = region.strip().lower()
    if code not in grids:
        raise DanluError(f"there is no region '{region}'.", f"Known: {', '.join(grids)}.")
    return grids[code][1]


@cache
def _grids() -> dict[str, tuple[str, Range]]:
    text = files("danlu.planner").joinpath("data", "carbon.csv").read_text(encoding="utf-8")
    grids = {}
    for row in csv.DictReader(text.splitlines()):
        mid = float(row["mid"])
        known = f"grid: {row['name']} {row['year']}, {row['source']}"
        if row["low"]:
            found = Range(float(row["low"]), mid, float(row["high"]), (known,))
        else:
            spread = f"grid: 15% about the mean of {row['name']} (assumption)"
            found = Range(mid * (1 - _UNKNOWN_SPREAD), mid, mid * (1 + _UNKNOWN_SPREAD), (known, spread))
        grids[row["region"]] = (row["name"], found)
    return grids
