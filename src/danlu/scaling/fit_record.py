"""A fit as plain mappings, ready for JSON, every number unrounded; and the law for plans that such a file holds."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.common.strict import to_mapping
from danlu.planner.loss import LossLaw, law_from
from danlu.scaling.rows import Rows

if TYPE_CHECKING:
    from danlu.scaling.analysis import Held, TableFit
    from danlu.scaling.decisions import Allocation, Range

_ORDERS = 1.5
"""Orders of compute beyond the largest run at which a `LossLaw` says its error."""
_NORMAL_80 = 1.2816
"""Half of a normal distribution's middle 80%, in standard deviations."""
_INPUTS = ("N", "D", "C", "U", "S1", "S2", "experts", "loss", "step", "lr")


def fit_record(
    fitted: "TableFit",
    *,
    predicted: "Held | None" = None,
    allocations: "Sequence[Allocation]" = (),
    target: "tuple[float, Range] | None" = None,
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
    if (law := _for_plans(fitted)) is not None:
        record["for_plans"] = law
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


def read_loss_law(path: Path) -> LossLaw:
    """The law for plans in a file that `danlu fit --json` or a run wrote, or in a run's folder.

    Raises:
        DanluError: there is none, it is from an older danlu, or its law does not part N from D.
    """
    if path.is_dir():
        path = next(
            (each for each in (path / "fit" / "fit.json", path / "fit.json") if each.exists()), path / "fit.json"
        )
    data = read_json(path)
    if isinstance(data, dict) and "points" in data:
        from danlu.scaling.ladder_fit import read_fit

        fit = read_fit(path)
        largest = max(point.flops for point in fit.points)
        return law_from(dict(fit.surface.parameters), str(path), max(fit.noise, 0.002), largest)
    if not isinstance(data, dict) or "params" not in data:
        raise DanluError(f"{path} is no fit.", "Make one: danlu fit TABLE --json fit.json")
    law = data.get("for_plans")
    if not isinstance(law, dict):
        raise DanluError(
            f"the law of {path}, {data.get('law')}, does not part parameters from tokens, as a plan needs.",
            "Fit rows in which both vary: danlu fit TABLE --law surface --json fit.json",
        )
    doubt = "" if data.get("trusted", True) else ", NOT TO BE TRUSTED: see its warnings"
    parameters = {name: float(law[name]) for name in ("E", "A", "B", "alpha", "beta") if name in law}
    return law_from(parameters, f"{path}{doubt}", float(law["relative_error"]), float(law["largest_flops"]))


def _for_plans(fitted: "TableFit") -> dict[str, float] | None:
    """The leading law as `danlu plan --fit` takes it; None where it is no surface over N and D.

    Its error is that of the fit's own 80% interval, one and a half orders of compute beyond the largest run, at the
    middle number of tokens a parameter.
    """
    found = fitted.lead.parameters
    if fitted.law.variables != ("N", "D") or not {"E", "A", "B", "alpha"} <= found.keys():
        return None
    values = fitted.rows.values
    largest = float((6.0 * values["N"] * values["D"]).max())
    ratio = float(_geometric_mean(values["D"] / values["N"]))
    compute = largest * 10**_ORDERS
    params = math.sqrt(compute / 6.0 / ratio)
    said = fitted.predict({"N": params, "D": params * ratio, "C": compute}, 0.8)
    spread = math.log(float(said.high[0]) / float(said.low[0])) / 2 / _NORMAL_80
    law = {name: found[name] for name in ("E", "A", "B", "alpha")} | {"beta": found.get("beta", found["alpha"])}
    return law | {"relative_error": spread, "largest_flops": largest}


def _geometric_mean(values: Any) -> float:
    return math.exp(sum(math.log(value) for value in values.tolist()) / len(values))


def held_rows(held: "Held") -> list[dict[str, Any]]:
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
