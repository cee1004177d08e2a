"""The picture of training: loss against tokens, for the target and every rung of the ladder."""

import math
from dataclasses import dataclass

from markupsafe import Markup

from danlu.report import figures, svg
from danlu.report.language import Language, tr
from danlu.report.reading import Curve, RunFiles
from danlu.report.scene import scene, shade
from danlu.report.svg import Box, LogAxis, group, label, line, path

_BUCKETS_PER_DECADE = 80
"""Points that a training curve keeps in a tenfold of tokens: one for every few pixels."""
_HEADROOM = 3.0
"""The axis ends at this multiple of the lowest loss: the plunge of the first steps says little and takes much room."""


Series = tuple[tuple[float, float], ...]
"""(tokens, nats a token)."""


@dataclass(frozen=True)
class Trace:
    """The curves of one model size, ready to draw."""

    name: str
    style: str
    train: tuple[Series, ...]
    """One a run: a rung's trunk and the cooldowns that branch off it."""
    heldout: tuple[Series, ...]
    """The same."""

    @property
    def end(self) -> tuple[float, float]:
        """The last point of all, held-out where there is one."""
        series = [run for run in self.heldout if run] or [run for run in self.train if run]
        return max(run[-1] for run in series)


def traces(files: RunFiles) -> tuple[Trace, ...]:
    """Curves of all sizes, the target last so that it lies on top."""
    params = {rung.name: rung.params for rung in scene(files).rungs}
    runs: dict[str, list[Curve]] = {}
    for curve in files.rung_curves:
        runs.setdefault(curve.name, []).append(curve)
    names = sorted(runs, key=lambda name: (params.get(name, math.inf), name))
    drawn = [
        _trace_of(runs[name], figures.count(params[name]) if name in params else name, shade(index, len(names)))
        for index, name in enumerate(names)
    ]
    if files.target_curve:
        size = files.forecast.record("target").number("params")
        drawn.append(_trace_of([files.target_curve], "target" if size is None else figures.count(size), "hot"))
    return tuple(drawn)


def _trace_of(runs: list[Curve], name: str, style: str) -> Trace:
    return Trace(name, style, tuple(thin(run.train) for run in runs), tuple(run.heldout for run in runs))


def thin(points: Series) -> Series:
    """Means of neighbours, evenly spaced in the logarithm of tokens, so that noise does not hide the curve."""
    buckets: dict[int, list[tuple[float, float]]] = {}
    for tokens, loss in points:
        buckets.setdefault(math.ceil(math.log10(tokens) * _BUCKETS_PER_DECADE), []).append((tokens, loss))
    kept = []
    for index in sorted(buckets):
        members = buckets[index]
        kept.append((members[-1][0], math.fsum(loss for _, loss in members) / len(members)))
    return tuple(kept)


@dataclass(frozen=True)
class Layout:
    """Where things stand in the picture."""

    width: float
    height: float
    plot: Box


WIDE = Layout(1120, 500, Box(60, 34, 1020, 436))
NARROW = Layout(440, 480, Box(44, 34, 372, 414))


def draw(drawn: tuple[Trace, ...], language: Language, layout: Layout) -> Markup:
    """The picture as an SVG element: thin lines are training loss, thick ones held-out loss."""
    everything = [point for trace in drawn for series in (*trace.train, *trace.heldout) for point in series]
    assert everything
    box = layout.plot
    low = min(y for _, y in everything)
    high = min(max(y for _, y in everything), _HEADROOM * low)
    shown = [x for x, y in everything if y <= high]
    first, last = min(shown), max(shown)
    last = max(last, first * 1.5)
    x = LogAxis(first, last * (last / first) ** 0.02, box.left, box.right)
    spread = max(high / low, 1.05)
    y = LogAxis(low / spread**0.05, low * spread**1.03, box.bottom, box.top)
    # A nested svg clips what it holds.
    view = f"{box.left:g} {box.top:g} {box.width:g} {box.height:g}"
    inside = [_trace(trace, x, y, language) for trace in drawn]
    clipped = svg.element("svg", *inside, x=box.left, y=box.top, width=box.width, height=box.height, viewBox=view)
    parts = [_axes(x, y, box, language), clipped, _names(drawn, x, y, box)]
    return svg.element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {layout.width:g} {layout.height:g}",
        class_="figure",
        role="img",
        aria_label=tr("curves.alt", runs=len(drawn)).say(language),
    )


def _axes(x: LogAxis, y: LogAxis, box: Box, language: Language) -> Markup:
    ticks = y.ticks(8)
    digits = max(svg.decimals(ticks), 1)
    parts = []
    for value in ticks:
        parts.append(line(box.left, y(value), box.right, y(value), "grid"))
        parts.append(label(box.left - 10, y(value) + 4.5, f"{value:.{digits}f}", "tick", "end"))
    for value in x.ticks(8 if box.width > 600 else 4):
        parts.append(line(x(value), box.bottom, x(value), box.bottom + 6, "axis"))
        parts.append(label(x(value), box.bottom + 25, figures.count(value), "tick", "middle"))
    parts.append(line(box.left, box.bottom, box.right, box.bottom, "axis"))
    parts.append(label(2, box.top - 16, tr("curves.y").say(language), "axis-name"))
    parts.append(label(box.right, box.bottom + 52, tr("curves.x").say(language), "axis-name", "end"))
    return group(*parts)


def _trace(trace: Trace, x: LogAxis, y: LogAxis, language: Language) -> Markup:
    parts = []
    for series, style in [(run, "curve") for run in trace.train] + [(run, "heldout") for run in trace.heldout]:
        if len(series) > 1:
            parts.append(path([(x(tokens), y(loss)) for tokens, loss in series], f"{style} {trace.style}"))
    for run in trace.heldout:
        for tokens, loss in run:
            tip = tr("curves.tip", name=trace.name, tokens=figures.count(tokens), loss=figures.loss(loss)).say(language)
            # Only the end of a run is a visible dot; the others answer the pointer.
            style = f"dot {trace.style}" if (tokens, loss) == run[-1] else "hit"
            parts.append(svg.element("circle", cx=x(tokens), cy=y(loss), r=4, class_=style, data_tip=tip))
    return group(*parts)


def _names(drawn: tuple[Trace, ...], x: LogAxis, y: LogAxis, box: Box) -> Markup:
    """Each run's size at the right edge of the plot, level with where its curve ends, tied to it by a leader."""
    ends = [trace.end for trace in drawn]
    places = svg.spread([y(loss) for _, loss in ends], 19, box.top + 8, box.bottom - 6)
    parts = []
    for trace, (tokens, loss), place in zip(drawn, ends, places, strict=True):
        edge = box.right + 6
        corners = ((x(tokens) + 6, y(loss)), (max(edge - 24, x(tokens) + 6), y(loss)), (edge, place))
        parts.append(path(corners, "leader dotted"))
        parts.append(label(edge + 4, place + 5, trace.name, f"curve-name {trace.style} halo"))
    return group(*parts)
