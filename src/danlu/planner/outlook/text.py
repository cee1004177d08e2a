"""When the public text runs out: a stock against a demand that grows."""

import math
from dataclasses import dataclass

from danlu.planner.outlook.records import ModelRecord, growths, models
from danlu.planner.ranges import Range

STOCK = Range(
    100e12,
    300e12,
    1000e12,
    (
        "stock of human-written public text, tokens: Villalobos et al. 2024 (Epoch AI); its 90% interval is as "
        "commonly quoted, unverified",
    ),
)
PUBLISHED = (2026, 2032)
"""The years that Epoch AI gives for the stock to be fully used."""
REPEATS = 4
"""Passes over the same text that cost almost nothing (Muennighoff et al. 2023, arXiv 2305.16264)."""


@dataclass(frozen=True)
class RunningOut:
    """The year in which one training set is as large as the stock."""

    stock: Range
    start: ModelRecord
    """The largest training set known: where demand starts."""
    growth: Range
    """Times a year."""
    year: Range
    """When the largest training set reaches the stock."""
    year_with_repeats: Range
    """The same when the text is read `REPEATS` times."""


def running_out() -> RunningOut:
    """Solve start x growth ** years = stock for the year.

    The growth's range is from the measured 2.2 times a year to the 3 of later pages; early means a small stock and a
    fast growth together.
    """
    start = max(models(), key=lambda model: model.tokens or 0.0)
    assert start.tokens is not None
    data = growths()["data"]
    growth = Range(data.factor, math.sqrt(data.factor * 3.0), 3.0, (data.source,))
    return RunningOut(
        stock=STOCK,
        start=start,
        growth=growth,
        year=_years(start, STOCK, growth, 1),
        year_with_repeats=_years(start, STOCK, growth, REPEATS),
    )


def _years(start: ModelRecord, stock: Range, growth: Range, repeats: int) -> Range:
    assert start.tokens is not None

    def year(size: float, factor: float) -> float:
        return start.year + max(0.0, math.log(size * repeats / (start.tokens or 1.0)) / math.log(factor))

    return Range(
        year(stock.low, growth.high),
        year(stock.mid, growth.mid),
        year(stock.high, growth.low),
        (*stock.sources, f"{start.name}: {start.tokens:.3g} tokens ({start.shape_source})", *growth.sources),
    )
