"""A fit as plain mappings, ready for JSON: every number unrounded."""

import math
from collections.abc import Sequence
from typing import Any

from danlu.common.strict import to_mapping
from danlu.scaling.analysis import Held, TableFit
from danlu.scaling.decisions import Allocation, Range
from danlu.scaling.rows import Rows

_INPUTS = ("N", "D", "C", "U", "S1", "S2", "experts", "loss", "step", "lr")


def fit_record(
    fitted: TableFit,
    *,
    predicted: Held | None = None,
    allocations: Sequence[Allocation] = (),
    target: tuple[float, Range] | None = None,
) -> dict[str, Any]:
    """The JSON of `danlu fit`.

    Args:
        predicted: rows of another table.
        allocations: decisions that were asked for.
        target: a loss and the least compute (FLOPs) that reaches it.
    """
    panel = fitted.panel
    record: dict[str, Any] = {
        "trusted": fitted.trusted,
        "law": fitted.law.name,
        "formula": fitted.law.formula,
        "source": fitted.law.source,
        "params": {
            name: {"value": each.value, "low": each.low, "high": each.high, "se": each.se}
            for name, each in fitted.params.items()
        },
        "level": fitted.level,
        "objective": fitted.lead.objective,
        "delta": fitted.lead.problem.delta,
        "n_rows": len(fitted.rows),
        "n_clusters": len(set(fitted.rows.clusters.tolist())),
        "table": fitted.source,
        "columns": {
            role: {"column": taken.column, "scale": taken.scale, "meaning": taken.meaning, "others": list(taken.others)}
            for role, taken in fitted.rows.taken.items()
        },
        "unused": list(fitted.rows.unused),
        "notes": list(fitted.rows.notes),
        "warnings": [
            {"code": finding.code, "sentence": finding.sentence, "grave": finding.grave} for finding in fitted.findings
        ],
        "weights": fitted.weights(),
        "method": fitted.method,
        "stretch": panel.stretch,
        "backtests": [
            {"along": cut.along, "held": int(cut.held.sum()), "error_over_expected": ratio}
            for cut, ratio in zip(panel.cuts, panel.ratios, strict=False)
        ],
        "condition": fitted.condition,
        "starts_agreed": fitted.lead.agreed,
        "refits": len(fitted.draws),
    }
    if fitted.holdout is not None:
        held = fitted.holdout
        record["holdout"] = {
            "rows": held_rows(held),
            "mare": held.mare,
            "coverage": held.coverage,
            "coverage_80": held.narrow_coverage,
            "baseline_mare": held.baseline_mare,
            "extrapolation": fitted.reach(held.rows.values),
        }
    if predicted is not None:
        record["predictions"] = {
            "rows": held_rows(predicted),
            "extrapolation": fitted.reach(predicted.rows.values),
        }
    if allocations:
        record["allocations"] = [to_mapping(each) for each in allocations]
    if target is not None:
        record["target"] = {"loss": target[0], "compute": to_mapping(target[1])}
    plain: dict[str, Any] = _finite(record)
    return plain


def held_rows(held: Held) -> list[dict[str, Any]]:
    """One mapping a predicted row."""
    said, narrow = held.prediction, held.narrow
    rows = []
    for index in range(len(held.rows)):
        row: dict[str, Any] = {"row": int(held.rows.lines[index]), "inputs": _inputs(held.rows, index)}
        row |= {
            "predicted": float(said.predicted[index]),
            "low": float(said.low[index]),
            "high": float(said.high[index]),
            "low_80": float(narrow.low[index]),
            "high_80": float(narrow.high[index]),
        }
        actual = float(held.rows.losses[index])
        if math.isfinite(actual):
            row |= {
                "actual": actual,
                "relative_error": float(held.errors[index]),
                "inside": bool(held.inside[index]),
            }
        rows.append(row)
    return rows


def _inputs(rows: Rows, index: int) -> dict[str, float]:
    return {name: float(rows.values[name][index]) for name in _INPUTS if name in rows.values}


def _finite(value: Any) -> Any:
    """JSON has no infinity and no nan; they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
