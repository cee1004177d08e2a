"""A fit in a terminal: what it says, how sure it is, and what to look at, in 100 columns."""

from collections.abc import Iterator, Sequence

import numpy as np

from danlu.common.duration import format_count
from danlu.scaling.analysis import Held, TableFit
from danlu.scaling.decisions import Allocation, Range

_SHOWN = 12
"""Predicted rows that are printed; the file has all."""


_UNUSED = 6
"""Columns of which it is said that they were not used."""


def view(
    fitted: TableFit,
    predicted: Held | None = None,
    allocations: Sequence[Allocation] = (),
    target: tuple[float, Range] | None = None,
) -> Iterator[str]:
    """The lines of a fit; the first says when it must not be trusted."""
    grave = [finding for finding in fitted.findings if finding.grave]
    if grave:
        yield f"DO NOT TRUST THIS FIT ({grave[0].code}): {grave[0].sentence}"
    yield f"{fitted.source}: {len(fitted.rows)} rows of {len(set(fitted.rows.clusters.tolist()))} runs" + (
        f", {len(fitted.holdout.rows)} held out" if fitted.holdout else ""
    )
    yield "  took " + "; ".join(str(taken) for taken in fitted.taken)
    doubtful = [taken for taken in fitted.taken if taken.others and not taken.given]
    for taken in doubtful:
        others = ", ".join(taken.others[:4])
        yield f"  {taken.role} might have been {others} instead: name it with --{taken.role.lower()}"
    if unused := fitted.rows.unused:
        more = f" and {len(unused) - _UNUSED} more" if len(unused) > _UNUSED else ""
        yield f"  not used: {', '.join(unused[:_UNUSED])}{more}"
    for note in fitted.rows.notes:
        yield f"  {note}"
    yield f"{fitted.law.name}: {fitted.law.formula}  ({fitted.law.source})"
    yield from _parameters(fitted)
    weights = ", ".join(f"{name} {weight:.0%}" for name, weight in fitted.weights().items() if weight >= 0.005)
    lead = fitted.lead
    yield f"  summed Huber loss {lead.objective:.6g} at delta {lead.problem.delta:g}; predictions: {weights}"
    yield f"  intervals ({fitted.level:.0%}): {fitted.method}"
    if fitted.holdout is not None:
        yield from _holdout(fitted, fitted.holdout)
    if predicted is not None:
        yield f"Predicted ({_reach_words(fitted.reach(predicted.rows.values))}):"
        yield from _rows(predicted)
    for allocation in allocations:
        yield from _allocation(allocation, fitted.level)
    if target is not None:
        loss, compute = target
        yield (
            f"A loss of {loss:g} takes {compute.value:.3g} FLOPs at the best size ({compute.low:.3g} to"
            f" {compute.high:.3g})."
        )
    for finding in fitted.findings:
        yield f"{'!!' if finding.grave else '! '} {finding.code}: {finding.sentence}"


def _parameters(fitted: TableFit) -> Iterator[str]:
    rows = [
        (name, f"{each.value:.6g}", f"{each.low:.4g} .. {each.high:.4g}", f"{each.se:.3g}")
        for name, each in fitted.params.items()
    ]
    head = ("", "value", f"{fitted.level:.0%} interval", "bootstrap se")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
    for row in (head, *rows):
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _holdout(fitted: TableFit, held: Held) -> Iterator[str]:
    yield (
        f"Held out: {len(held.rows)} rows, mean absolute error {held.mare:.2%} (the law without a floor:"
        f" {held.baseline_mare:.2%}); {fitted.level:.0%} intervals hold {held.coverage:.0%}, 80% intervals"
        f" {held.narrow_coverage:.0%} of them ({_reach_words(fitted.reach(held.rows.values))})"
    )
    yield from _rows(held)


def _rows(held: Held) -> Iterator[str]:
    inputs = [name for name in ("N", "D", "C", "U", "experts", "step", "loss") if name in held.rows.values]
    known = np.isfinite(held.rows.losses)
    head = ["row", *inputs, "predicted", "low", "high", *(["measured", "error", ""] if known.any() else [])]
    lines = [head]
    for i in range(min(len(held.rows), _SHOWN)):
        line = [str(held.rows.lines[i]), *(_short(held.rows.values[name][i]) for name in inputs)]
        said = held.prediction
        line += [f"{side[i]:.4f}" for side in (said.predicted, said.low, said.high)]
        if known[i]:
            line += [f"{held.rows.losses[i]:.4f}", f"{held.errors[i]:+.2%}", "" if held.inside[i] else "outside"]
        lines.append(line + [""] * (len(head) - len(line)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    if len(held.rows) > _SHOWN:
        yield f"  ... and {len(held.rows) - _SHOWN} more; --json has them all"


def _allocation(each: Allocation, level: float) -> Iterator[str]:
    budget = f"{each.compute:.3g} FLOPs" + (f", {format_count(each.served)} tokens served" if each.served else "")
    yield (
        f"For {budget}: N* {format_count(each.params.value)} ({format_count(each.params.low)} to"
        f" {format_count(each.params.high)}), D* {format_count(each.tokens.value)} ({format_count(each.tokens.low)} to"
        f" {format_count(each.tokens.high)}), loss {each.loss.value:.4f} ({each.loss.low:.4f} to {each.loss.high:.4f},"
        f" {level:.0%})"
    )
    yield (
        f"  within 0.5% of the best: N from {format_count(each.flat[0])} to {format_count(each.flat[1])};"
        f" {_reach_words(each.reach)}"
        + (
            f"; N* grows as C^{each.exponent.value:.3f} ({each.exponent.low:.3f} to {each.exponent.high:.3f})"
            if each.exponent
            else ""
        )
    )
    if each.passes > 1:
        yield f"  {each.passes:.3g} passes over the text; R_D* was taken as 15.4 and is known to a factor of five only"
    advice = each.advice
    yield (
        f"  learning rate {advice.lr:.3g} (Porian et al.: {advice.lr_other:.3g}), batch"
        f" {format_count(advice.batch_tokens)} tokens ({format_count(advice.batch_other)}): {advice.source}"
    )


def _reach_words(factors: dict[str, float] | object) -> str:
    assert isinstance(factors, dict)
    far = [f"{factor:.3g} times beyond in {name}" for name, factor in factors.items() if factor > 1.005]
    return ", ".join(far) if far else "within the rows' range"


def _short(value: float) -> str:
    return f"{value:.3g}"
