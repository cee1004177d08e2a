"""Scaling laws: fits to tables of runs, ladders of small runs, forecasts and verdicts.

`danlu.scaling.fit(table, law="auto")` is the way in for a table from anywhere.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from danlu.scaling.analysis import TableFit, fit

__all__ = ["TableFit", "fit"]


def __getattr__(name: str) -> Any:
    """`fit` and `TableFit`, loaded when first asked for: a verb that needs a configuration need not wait for scipy."""
    if name in __all__:
        from danlu.scaling import analysis

        return getattr(analysis, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
