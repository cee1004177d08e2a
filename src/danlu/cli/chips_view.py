"""The chip catalogue for a terminal. Not in `report`, whose page would cost a start of 0.2 s more."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Styled

from danlu.hardware.catalogue import PRECISIONS, Chip, Figure
from danlu.planner.chip_sheet import ChipSheet, missing
from danlu.planner.money import Quote
from danlu.planner.rules import performance

_NONE = "\N{EN DASH}"


def chips_table(chips: Sequence[Chip]) -> RenderableType:
    """One line a chip, within 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("chip", no_wrap=True)
    for name in ("bf16", "fp8", "GiB", "GB/s", "link", "W", "TPP"):
        table.add_column(name, justify="right", no_wrap=True)
    for chip in chips:
        found = performance(chip)
        peak = chip.peaks.get("bf16") or chip.peaks.get("fp16")
        table.add_row(
            chip.name,
            _number(peak, 1e12) + ("" if "bf16" in chip.peaks or peak is None else "h"),
            _number(chip.peaks.get("fp8"), 1e12),
            _number(chip.memory_bytes, 2.0**30),
            _number(chip.bandwidth, 1e9),
            _number(chip.link_in, 1e9),
            _number(chip.power_watts, 1),
            f"{found.tpp:.0f}" if found else _NONE,
        )
    note = (
        "bf16, fp8: dense TFLOP/s (h: fp16, where no bf16 is published). GiB, GB/s: memory. link: GB/s in one "
        f"direction inside the domain. TPP: as export rules count. {_NONE}: not published. More: chips show NAME"
    )
    return Group(table, Styled(note, style="dim"))


def sheet_view(sheet: ChipSheet) -> RenderableType:
    """Everything about one chip, each figure with its source and grade."""
    chip = sheet.chip
    parts: list[RenderableType] = [
        Styled.assemble(
            (chip.name, "bold"), f"  {', '.join(filter(None, (chip.vendor, chip.country, str(chip.released))))}"
        ),
        Styled(f"also: {', '.join(chip.aliases)}" if chip.aliases else "", style="dim"),
    ]
    made = [part for part in (chip.process, chip.foundry, chip.memory_kind, chip.link_kind) if part]
    parts += [Styled(" · ".join(made))] if made else []
    table, sources = _figures(chip)
    parts += [
        table,
        *(Styled(f"[{index}] {source}", style="dim") for index, source in enumerate(sources, 1)),
        Styled(""),
    ]
    if gaps := missing(chip):
        parts.append(Styled(f"not published: {', '.join(gaps)}"))
    parts += [_export(sheet), Styled("")]
    parts += [Styled(f"price on {sheet.on}", style="bold")]
    parts += [_quote("rent, USD a chip and hour", sheet.rent), _quote("purchase, USD a chip", sheet.purchase)]
    if sheet.owned:
        low, mid, high = sheet.owned.low, sheet.owned.mid, sheet.owned.high
        words = f"owned, USD a busy chip-hour: {mid:.2f} ({low:.2f} to {high:.2f}), electricity included"
        parts.append(Styled(f"  {words}"))
    if chip.trained:
        parts.append(Styled("published training runs", style="bold"))
        parts += [Styled(f"  {run.model}: {run.chips} chips, {run.date} ({run.source})") for run in chip.trained]
    if chip.notes:
        parts.append(Styled("notes", style="bold"))
        parts += [Styled(f"  {note}") for note in chip.notes]
    return Group(*parts)


def _figures(chip: Chip) -> tuple[Table, list[str]]:
    """The figures, and the sources that their last column numbers."""
    sources: dict[str, int] = {}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, side in (("figure", "left"), ("value", "right"), ("unit", "left"), ("grade", "left"), ("source", "left")):
        table.add_column(name, justify="right" if side == "right" else "left", overflow="fold")
    rows: list[tuple[str, Figure | None, float, str]] = [
        *((f"peak {name}", chip.peaks.get(name), 1e12, _rate(name)) for name in PRECISIONS),
        *((f"measured {name}", chip.measured.get(name), 1e12, _rate(name)) for name in PRECISIONS),
        ("memory", chip.memory_bytes, 2.0**30, "GiB"),
        ("memory bandwidth", chip.bandwidth, 1e9, "GB/s"),
        ("memory bandwidth, measured", chip.measured_bandwidth, 1e9, "GB/s"),
        ("link in the domain", chip.link_in, 1e9, "GB/s, one direction"),
        ("domain", chip.domain_size, 1, "chips"),
        ("link between nodes", chip.link_out, 1e9, "GB/s, one direction"),
        ("power", chip.power_watts, 1, "W"),
        ("die", chip.die_mm2, 1, "mm2"),
    ]
    for name, figure, scale, unit in rows:
        if figure is not None:
            source = f"{figure.source}{f' ({figure.date})' if figure.date else ''}"
            number = sources.setdefault(source, len(sources) + 1)
            table.add_row(name, _number(figure, scale), unit, figure.grade, Styled(f"[{number}]"))
    return table, list(sources)


def _export(sheet: ChipSheet) -> Group:
    parts = [Styled("export control", style="bold")]
    found = sheet.performance
    if found:
        density = f"{found.density:.2f}" if found.density is not None else f"{_NONE} (die area unpublished)"
        parts.append(Styled(f"  TPP {found.tpp:.0f} (dense {found.precision}), performance density {density}"))
    else:
        parts.append(Styled("  TPP: not computable, throughput unpublished"))
    parts += [Styled(f"  {each.rule.key}: {each.found} ({each.why}; {each.rule.citation})") for each in sheet.statuses]
    for each in sheet.markets:
        reasons = "; ".join(each.reasons)
        said = f"  {sheet.region} on {sheet.on}, {each.use}: sale {each.sale}, ability {each.ability}"
        parts.append(Styled(f"{said}{f' ({reasons})' if reasons else ''}"))
    return Group(*parts)


def _quote(name: str, quote: Quote | None) -> Styled:
    if quote is None:
        return Styled(f"  {name}: no offer in the catalogue")
    usd = quote.usd
    spread = f"{usd.mid:,.2f} ({usd.low:,.2f} to {usd.high:,.2f})"
    return Styled(f"  {name}: {spread}; {'; '.join((*usd.sources, *([quote.remark] if quote.remark else [])))}")


def _rate(precision: str) -> str:
    return "TOP/s" if precision == "int8" else "TFLOP/s"


def _number(figure: Figure | None, scale: float) -> str:
    if figure is None:
        return _NONE
    value = figure.value / scale
    return f"{value:.0f}" if value >= 1000 or value == round(value) else f"{value:.4g}"
