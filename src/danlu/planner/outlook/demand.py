"""Demand: the compute, parameters and data of notable models, and how fast they grow."""

from dataclasses import dataclass

from danlu.planner.outlook.growth import Growth, fit_growth
from danlu.planner.outlook.records import CostRecord, GrowthRecord, ModelRecord, costs, growths, models
from danlu.planner.ranges import Range


@dataclass(frozen=True)
class Projection:
    """The largest training run of a year."""

    year: int
    flop: Range


@dataclass(frozen=True)
class Demand:
    """What training asks for."""

    models: tuple[ModelRecord, ...]
    measured: tuple[GrowthRecord, ...]
    """Growths that others measured on hundreds of models, with their intervals."""
    language: Growth
    """Fitted here through the language models of the list (a selection of large ones, so above the field's growth)."""
    params: Growth
    """Fitted here through the parameters of the list's models."""
    tokens: Growth
    """Fitted here through the training tokens of the list's models."""
    frontier: ModelRecord
    """The model with the most compute: where the projection starts."""
    projections: tuple[Projection, ...]
    costs: tuple[CostRecord, ...]


def demand(last_year: int = 2030) -> Demand:
    """Collect the demand and project its frontier up to a year."""
    listed = models()
    language = [(model.year, model.flop) for model in listed if model.language and model.flop is not None]
    params = [(model.year, model.params) for model in listed if model.params is not None]
    tokens = [(model.year, model.tokens) for model in listed if model.tokens is not None]
    frontier = max(listed, key=lambda model: model.flop or 0.0)
    first = int(frontier.year)
    return Demand(
        models=listed,
        measured=tuple(growths().values()),
        language=fit_growth(language),
        params=fit_growth(params),
        tokens=fit_growth(tokens),
        frontier=frontier,
        projections=tuple(Projection(year, frontier_flop(year)) for year in range(first, last_year + 1)),
        costs=costs(),
    )


def frontier_flop(year: int) -> Range:
    """Compute of the largest training run published by the end of a year.

    Past years: the record of the list, as its source estimates it. Later ones: the last record times the measured
    growth of the running top ten, low and high by its interval.
    """
    known = [model for model in models() if model.flop is not None and int(model.year) <= year]
    record = max(known, key=lambda model: model.flop or 0.0)
    assert record.flop is not None
    newest = max(int(model.year) for model in models() if model.flop is not None)
    if year <= newest:
        return Range.exactly(record.flop, f"{record.name}: {record.source}")
    growth = growths()["compute-frontier"]
    assert growth.low is not None
    assert growth.high is not None
    years = year - int(record.year)
    return Range(
        record.flop * growth.low**years,
        record.flop * growth.factor**years,
        record.flop * growth.high**years,
        (f"{record.name}: {record.source}", f"times {growth.factor:g} a year ({growth.low:g} to {growth.high:g})"),
    )
