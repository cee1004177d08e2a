"""The report's tables: what stands in each cell, in both languages, before any HTML."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from danlu.report import figures
from danlu.report.language import Text, same, tr
from danlu.report.outcome import Outcome, Quantity, inside_words, named_quantities
from danlu.report.reading import Record, RunFiles
from danlu.report.scene import Scene, shade


@dataclass(frozen=True)
class Column:
    """A column's head."""

    title: Text
    numeric: bool = True
    """Numbers stand on the right, words on the left."""


@dataclass(frozen=True)
class Cell:
    """A cell's words, and what a machine or a stylesheet may want to know."""

    words: Text
    style: str = ""
    """Classes."""
    gauge: Quantity | None = None
    """Drawn as a small picture of the interval instead of words."""
    more: bool = False
    """In a row's first cell: the next row belongs to the same group."""


@dataclass(frozen=True)
class Table:
    """A table: every row has as many cells as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] | None = None
    """A last row that sums up, or none."""


def _columns(prefix: str, names: str, words: str = "") -> tuple[Column, ...]:
    """Columns by key; those in `words` hold words."""
    return tuple(Column(tr(f"{prefix}.{name}"), numeric=name not in words.split()) for name in names.split())


def _row(*cells: Text | str) -> tuple[Cell, ...]:
    return tuple(Cell(cell if isinstance(cell, Text) else same(cell)) for cell in cells)


def verdict_table(outcome: Outcome) -> Table:
    """The forecast of each quantity beside what was measured."""
    rows = []
    for name, quantity in named_quantities(outcome):
        forecast, interval, measured, error = (Cell(words) for words in quantity_words(name, quantity))
        style = "" if quantity.inside is None else "good" if quantity.inside else "bad"
        inside = Cell(inside_words(quantity), style)
        rows.append(
            (
                Cell(tr(f"verdict.{name}")),
                forecast,
                interval,
                Cell(interval.words, gauge=quantity),
                measured,
                error,
                inside,
            )
        )
    columns = _columns(
        "verdict", "quantity forecast interval picture measured error inside", words="quantity picture inside"
    )
    return Table(columns, tuple(rows))


def quantity_words(name: str, quantity: Quantity) -> tuple[Text, Text, Text, Text]:
    """Forecast, interval, measured value and error of a quantity, as people read them."""
    write = _WRITERS[name]
    low, high = write(quantity.low), write(quantity.high)
    known = quantity.low is not None and quantity.high is not None
    interval = Text(f"{low.en} – {high.en}", f"{low.zh} – {high.zh}") if known else same(figures.NONE)
    error = same(figures.signed_percent(quantity.relative_error))
    return write(quantity.forecast), interval, write(quantity.measured), error


_WRITERS: dict[str, Callable[[float | None], Text]] = {
    "loss": lambda value: same(figures.loss(value)),
    "bits_per_byte": lambda value: same(figures.loss(value)),
    "seconds": figures.seconds,
    "memory": lambda value: same(figures.size(value)),
}


def data_table(files: RunFiles) -> Table:
    """Every source of the corpus: what it gave to each side and what was left out."""
    train, heldout, dropped = (files.corpus.record(key) for key in ("train", "heldout", "dropped"))
    names = sorted({name for side in (train, heldout, dropped) for name, _ in side.items()})
    rows = []
    for name in names:
        here, aside = train.record(name), heldout.record(name)
        rows.append(
            _row(
                name,
                figures.whole(here.number("documents")),
                figures.size(here.number("bytes")),
                figures.whole(aside.number("documents")),
                figures.size(aside.number("bytes")),
                _entropy(here),
                _dropped(dropped.record(name)),
            )
        )
    columns = _columns(
        "data", "source documents bytes heldout_documents heldout_bytes entropy dropped", "source dropped"
    )
    total = _row(
        tr("data.total"),
        figures.whole(_sum(train, "documents")),
        figures.size(_sum(train, "bytes")),
        figures.whole(_sum(heldout, "documents")),
        figures.size(_sum(heldout, "bytes")),
        "",
        "",
    )
    return Table(columns, tuple(rows), total if len(rows) > 1 else None)


def _sum(side: Record, key: str) -> float:
    return sum(side.record(name).number(key) or 0.0 for name, _ in side.items())


def _entropy(source: Record) -> Text | str:
    value = source.number("entropy_nats_per_byte")
    if value is None:
        return tr("data.entropy.unknown")
    exact = source.text("entropy_bound") == "exact"
    return figures.loss(value) if exact else f"≤ {figures.loss(value)}"


def _dropped(reasons: Record) -> Text:
    counts = [(reason, reasons.number(reason)) for reason, _ in reasons.items()]
    words = [
        tr("data.dropped.one", count=figures.whole(count), reason=_reason(reason)) for reason, count in counts if count
    ]
    return _joined(words) if words else tr("data.dropped.none")


_REASONS = ("encoding", "unreadable_record", "no_text_field", "empty", "too_short", "too_long", "duplicate")


def _reason(reason: str) -> Text:
    return tr(f"data.reason.{reason}") if reason in _REASONS else same(reason.replace("_", " "))


def _joined(words: Iterable[Text]) -> Text:
    listed = list(words)
    return Text(", ".join(text.en for text in listed), "，".join(text.zh for text in listed))


def ladder_table(files: RunFiles, scene: Scene) -> Table:
    """Every annealed point of the ladder, small models first."""
    shades = {rung.name: shade(index, len(scene.rungs)) for index, rung in enumerate(scene.rungs)}
    points = sorted(files.points, key=lambda point: (point.number("params") or 0, point.number("flops") or 0))
    rows = []
    for index, point in enumerate(points):
        params, tokens = point.number("params"), point.number("tokens")
        ratio = f"{tokens / params:.3g}" if params and tokens is not None else figures.NONE
        more = index + 1 < len(points) and points[index + 1].text("rung") == point.text("rung")
        size = Cell(same(figures.count(params)), f"size {shades.get(point.text('rung') or '', '')}".strip(), more=more)
        rows.append(
            (
                size,
                *_row(
                    figures.count(tokens),
                    ratio,
                    figures.flops(point.number("flops")),
                    figures.loss(point.number("loss")),
                    _plus_minus(point.number("loss_se")),
                    _significant(point.number("lr")),
                    figures.count(point.number("batch_tokens")),
                    figures.seconds(point.number("seconds")),
                    figures.count(point.number("tokens_per_second")),
                ),
            )
        )
    return Table(_columns("ladder", "size tokens ratio flops loss se lr batch seconds speed"), tuple(rows))


def _plus_minus(value: float | None) -> str:
    return figures.NONE if value is None else f"± {value:.2g}"


def _significant(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:.3g}"


def evaluation_table(files: RunFiles) -> Table:
    """The target's loss on held-out text, by source and in total."""
    rows = tuple(_scores(source.text("source") or "?", source) for source in files.evaluation.records("by_source"))
    total = _scores(tr("data.total"), files.evaluation)
    columns = _columns("evaluation", "source loss bits_per_byte documents tokens bytes", words="source")
    return Table(columns, rows, total)


def _scores(name: Text | str, scores: Record) -> tuple[Cell, ...]:
    return _row(
        name,
        figures.loss(scores.number("loss")),
        figures.loss(scores.number("bits_per_byte")),
        figures.whole(scores.number("documents")) if scores.number("documents") is not None else "",
        figures.whole(scores.number("tokens")),
        figures.size(scores.number("bytes")),
    )
