"""The page of a fit: what the law says, how sure it is, and what to look at before money follows it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from danlu.common.duration import format_count
from danlu.report import fit_words as words
from danlu.report.fit_pictures import Curve, Dots, Plane, draw_plane
from danlu.report.language import Text, same
from danlu.report.outlook_pictures import variants
from danlu.report.sections import Finding, Section, SectionPage, Table, render_sections
from danlu.scaling.analysis import Held, TableFit
from danlu.scaling.decisions import Allocation, Range
from danlu.scaling.laws import Array
from danlu.scaling.rows import Rows

_PLACES = 48
_MOST_SLICES = 9
_STYLES = tuple(f"s{i}" for i in range(9))


def render_fit(fitted: TableFit, predicted: Held | None = None, allocations: Sequence[Allocation] = ()) -> str:
    """The page as HTML.

    Args:
        predicted: rows of another table.
        allocations: decisions that were asked for.
    """
    sections = [_law(fitted), _warnings(fitted)]
    if allocations:
        sections.append(_decisions(fitted, allocations))
    if fitted.holdout is not None:
        sections.append(
            _holdout(fitted, fitted.holdout, words.HELD_TITLE, words.held_note(fitted.holdout, fitted.level))
        )
    if predicted is not None:
        sections.append(_holdout(fitted, predicted, words.PREDICTED_TITLE, words.PREDICTED_NOTE))
    slices = _slices(fitted)
    if slices is not None:
        sections.append(slices)
    sections += [_residuals(fitted), _trust(fitted)]
    page = SectionPage(
        title=same(Path(fitted.source).name),
        summary=words.summary(fitted),
        sections=tuple(sections),
        footer=words.FOOTER,
    )
    return render_sections(page)


def _law(fitted: TableFit) -> Section:
    rows = tuple(
        (
            same(name),
            same(f"{each.value:.6g}"),
            same(f"{each.low:.4g}"),
            same(f"{each.high:.4g}"),
            same(f"{each.se:.3g}"),
        )
        for name, each in fitted.params.items()
    )
    table = Table(words.parameters_caption(fitted.level), words.PARAMETER_COLUMNS, rows)
    taken = tuple((same(t.role), same(t.column), words.meaning(t), same(", ".join(t.others))) for t in fitted.taken)
    columns = Table(words.COLUMNS_CAPTION, words.COLUMN_COLUMNS, taken, folded=True)
    picture = variants(lambda language, layout: draw_plane(_over_compute(fitted), language, layout))
    return Section(words.law_title(fitted), words.law_note(fitted), picture, words.LAW_CAPTION, (table, columns))


def _over_compute(fitted: TableFit) -> Plane:
    """Rows and the laws over the variable that orders them; over N and D along the best or the rows' own sizes."""
    order, rows = fitted.chosen.order, fitted.rows
    known = rows.values[order]
    held = fitted.holdout.rows if fitted.holdout else None
    top = max(known.max(), held.values[order].max() if held else 0.0)
    places = np.geomspace(known.min(), max(top, known.max() * 4.0), _PLACES)
    values = _along(fitted, places)
    dots = [*_by_size(rows, order)]
    if held is not None and np.isfinite(held.losses).all():
        dots.append(Dots(_points(held.values[order], held.losses), "hot", _tips(held), held=True))
    curves: list[Curve] = []
    band = None
    if values is not None:
        said = fitted.predict(values)
        curves.append(Curve(_points(places, said.predicted), "hot", words.THIS_LAW))
        band = (_points(places, said.low), _points(places, said.high))
        plain = fitted.baseline
        if plain is not None and all(name in values for name in plain.law.variables):
            drawn = plain.law.predict(plain.parameters, values)
            curves.append(Curve(_points(places, drawn), "s3", words.WITHOUT_FLOOR, dashed=True))
    return Plane(words.OVER_ALT, words.axis(order), words.target_axis(fitted), tuple(dots), tuple(curves), band)


def _along(fitted: TableFit, places: Array) -> dict[str, Array] | None:
    """Every variable of the laws along the order; None where one cannot be told."""
    needed = {name for member in fitted.panel.members for name in member.law.variables}
    order, rows = fitted.chosen.order, fitted.rows
    values: dict[str, Array] = {order: places}
    if {"N", "D"} <= needed:
        ratio = _best_ratio(fitted, places)
        values |= {"N": np.sqrt(places / 6.0 / ratio), "D": np.sqrt(places / 6.0 * ratio)}
    for name in needed - values.keys():
        if rows.values[name].ndim != 1 or name.startswith("S"):
            return None
        values[name] = (
            np.maximum(values.get("D", 0.0), 1.0) if name == "U" else np.full(len(places), np.median(rows.values[name]))
        )
    return values


def _best_ratio(fitted: TableFit, places: Array) -> Array:
    """Tokens a parameter of least loss at each compute, within what the rows have."""
    known = fitted.rows.values["D"] / fitted.rows.values["N"]
    ratios = np.geomspace(known.min(), known.max(), 60)
    c, r = np.meshgrid(places, ratios, indexing="ij")
    values = {"N": np.sqrt(c / 6.0 / r).ravel(), "D": np.sqrt(c / 6.0 * r).ravel(), "C": c.ravel()}
    lead = fitted.lead
    if not all(name in values for name in lead.law.variables):
        return np.full(len(places), float(np.median(known)))
    losses = lead.law.predict(lead.parameters, values).reshape(c.shape)
    return np.asarray(ratios[np.argmin(losses, axis=1)])


def _by_size(rows: Rows, order: str) -> list[Dots]:
    """Rows in a colour for each size, small to large."""
    known = rows.values.get("N", np.ones(len(rows)))
    edges = np.quantile(known, np.linspace(0, 1, 6)[1:-1])
    part = np.searchsorted(np.unique(edges), known)
    tips = _tips(rows)
    found = []
    for index in np.unique(part):
        own = np.flatnonzero(part == index)
        if len(own) > 400:
            own = own[:: len(own) // 400 + 1]
        style = _STYLES[min(2 * int(index), 8)]
        found.append(Dots(_points(rows.values[order][own], rows.losses[own]), style, tuple(tips[i] for i in own)))
    return found


def _slices(fitted: TableFit) -> Section | None:
    """Loss over size at one compute: the rows, and the law's own curve."""
    rows = fitted.rows
    if not {"N", "D", "C"} <= rows.values.keys() or not {"N", "D"} <= set(fitted.law.variables):
        return None
    compute = 6.0 * rows.values["N"] * rows.values["D"]
    key = np.round(np.log(compute) / 0.15)
    kinds, counts = np.unique(key, return_counts=True)
    kept = kinds[counts >= 4]
    if len(kept) < 2:
        return None
    kept = kept[np.unique(np.linspace(0, len(kept) - 1, _MOST_SLICES).astype(int))]
    dots, curves = [], []
    tips = _tips(rows)
    for index, kind in enumerate(kept.tolist()):
        own = np.flatnonzero(key == kind)
        style = _STYLES[round(index * 8 / max(len(kept) - 1, 1))]
        budget = float(np.exp(np.log(compute[own]).mean()))
        sizes = np.geomspace(rows.values["N"][own].min() / 1.4, rows.values["N"][own].max() * 1.4, _PLACES)
        values = {"N": sizes, "D": budget / 6.0 / sizes, "C": np.full(len(sizes), budget)}
        values |= {"U": values["D"]} if "U" in fitted.law.variables else {}
        said = fitted.lead.law.predict(fitted.lead.parameters, values)
        curves.append(Curve(_points(sizes, said), style, same(f"{budget:.1e}".replace("e+", "e"))))
        dots.append(Dots(_points(rows.values["N"][own], rows.losses[own]), style, tuple(tips[i] for i in own)))
    plane = Plane(words.SLICES_ALT, words.axis("N"), words.target_axis(fitted), tuple(dots), tuple(curves))
    picture = variants(lambda language, layout: draw_plane(plane, language, layout))
    return Section(words.SLICES_TITLE, words.SLICES_NOTE, picture)


def _residuals(fitted: TableFit) -> Section:
    order, rows = fitted.chosen.order, fitted.rows
    away = np.expm1(-fitted.lead.residuals) if not rows.is_share else -fitted.lead.residuals
    limit = 6 * np.median(np.abs(away)) / 0.6745 + 1e-9
    shown = np.clip(away, -limit, limit)
    dots = []
    for each in _by_size(rows, order):
        keep = {(x, y) for x, y in each.points}
        own = [i for i in range(len(rows)) if (float(rows.values[order][i]), float(rows.losses[i])) in keep]
        tips = _tips(rows)
        dots.append(Dots(_points(rows.values[order][own], shown[own]), each.style, tuple(tips[i] for i in own)))
    plane = Plane(words.RESIDUALS_ALT, words.axis(order), words.RESIDUALS_AXIS, tuple(dots), percent=True)
    picture = variants(lambda language, layout: draw_plane(plane, language, layout))
    clipped = int(np.sum(np.abs(away) > limit))
    return Section(words.RESIDUALS_TITLE, words.residuals_note(float(np.sqrt(np.mean(away**2))), clipped), picture)


def _holdout(fitted: TableFit, held: Held, title: Text, note: Text) -> Section:
    said = held.prediction
    known = np.isfinite(held.rows.losses)
    order = fitted.chosen.order
    inputs = [name for name in ("N", "D", "C", "U", "experts", "step") if name in held.rows.values]
    rows = []
    for i in range(min(len(held.rows), 200)):
        cells = [same(str(held.rows.lines[i])), *(same(f"{held.rows.values[name][i]:.4g}") for name in inputs)]
        cells += [same(f"{side[i]:.4f}") for side in (said.predicted, said.low, said.high)]
        cells += (
            [same(f"{held.rows.losses[i]:.4f}"), same(f"{held.errors[i]:+.2%}")] if known[i] else [same(""), same("")]
        )
        rows.append(tuple(cells))
    columns = (words.number("row"), *(words.number(name) for name in inputs), *words.HELD_COLUMNS)
    table = Table(words.held_caption(len(held.rows)), columns, tuple(rows), folded=True)
    picture = None
    if known.all():
        measured = held.rows.losses
        x = held.rows.values[order]
        chosen = np.unique(np.linspace(0, len(x) - 1, 220).astype(int))
        bars = tuple(
            (float(x[i]), float(said.low[i] / measured[i] - 1), float(said.high[i] / measured[i] - 1)) for i in chosen
        )
        dots = Dots(
            _points(x[chosen], held.errors[chosen]), "hot", tuple(_tips(held.rows)[i] for i in chosen), held=True
        )
        plane = Plane(words.HELD_ALT, words.axis(order), words.HELD_AXIS, (dots,), bars=bars, percent=True)
        picture = variants(lambda language, layout: draw_plane(plane, language, layout))
    return Section(title, note, picture, words.HELD_PICTURE if known.all() else None, (table,))


def _decisions(fitted: TableFit, allocations: Sequence[Allocation]) -> Section:
    rows = tuple(
        (
            same(f"{each.compute:.3g}"),
            _range(each.params),
            _range(each.tokens),
            same(f"{each.loss.value:.4f} ({each.loss.low:.4f} – {each.loss.high:.4f})"),
            same(f"{format_count(each.flat[0])} – {format_count(each.flat[1])}"),
            same(f"{each.advice.lr:.2g} / {each.advice.lr_other:.2g}"),
            same(f"{format_count(each.advice.batch_tokens)} / {format_count(each.advice.batch_other)}"),
        )
        for each in allocations
    )
    table = Table(words.decisions_caption(fitted.level), words.DECISION_COLUMNS, rows)
    return Section(words.DECISIONS_TITLE, words.DECISIONS_NOTE, tables=(table,))


def _range(each: Range) -> Text:
    return same(f"{format_count(each.value)} ({format_count(each.low)} – {format_count(each.high)})")


def _trust(fitted: TableFit) -> Section:
    panel = fitted.panel
    laws = tuple((same(name), same(f"{weight:.1%}")) for name, weight in fitted.weights().items())
    tests = tuple(
        (same(cut.along), same(str(int(cut.held.sum()))), same(f"{ratio:.2f}"))
        for cut, ratio in zip(panel.cuts, panel.ratios, strict=False)
    )
    tables = [Table(words.WEIGHTS_CAPTION, words.WEIGHT_COLUMNS, laws)]
    if tests:
        tables.append(Table(words.BACKTESTS_CAPTION, words.BACKTEST_COLUMNS, tests))
    return Section(words.TRUST_TITLE, words.trust_note(fitted), tables=tuple(tables))


def _warnings(fitted: TableFit) -> Section:
    findings = tuple(
        Finding(
            words.code_title(finding.code),
            words.GRAVE if finding.grave else words.LOOK,
            "bad" if finding.grave else "so",
            (same(finding.sentence),),
            same(finding.code),
        )
        for finding in fitted.findings
    )
    return Section(words.WARNINGS_TITLE, words.warnings_note(len(findings)), findings=findings)


def _points(x: Array, y: Array) -> tuple[tuple[float, float], ...]:
    return tuple(zip(x.tolist(), y.tolist(), strict=True))


def _tips(rows: Rows) -> tuple[str, ...]:
    names = [name for name in ("N", "D", "C", "experts", "step") if name in rows.values]
    return tuple(
        f"row {rows.lines[i]}: "
        + ", ".join(f"{name} {rows.values[name][i]:.3g}" for name in names)
        + f", {rows.losses[i]:.4f}"
        for i in range(len(rows))
    )
