"""The plan's pictures: the parts of a step or of a chip's memory as bars, and the front of time, memory and chips."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from danlu.report.language import Language, Text, same
from danlu.report.outlook_pictures import Bar, Layout
from danlu.report.svg import Box, LogAxis, element, label, line, path

_STYLES = ("s2", "s6", "s0", "s4", "s8", "s1", "s5", "s3", "s7")
_SHOWN = 0.015
"""Parts below this share of the bar go into one that is called others."""


@dataclass(frozen=True)
class FrontPoint:
    """One layout."""

    chips: int
    tokens_per_second: float
    gib: float
    """Of the fullest chip."""
    layout: str
    chosen: bool


def part_bar(name: Text, parts: Mapping[str, float], names: Mapping[str, Text], whole: float, rest: Text | None) -> Bar:
    """A bar of parts, large ones first.

    Args:
        whole: what the bar's full length stands for; at least the parts' sum.
        rest: what is left over is called; None where nothing is.
    """
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    shown = [(names.get(key, same(key)), size / whole) for key, size in ordered if size / whole >= _SHOWN]
    small = sum(size for _, size in ordered) / whole - sum(share for _, share in shown)
    cells = [(words, share, _STYLES[index % len(_STYLES)]) for index, (words, share) in enumerate(shown)]
    if small > 0.002:
        cells.append((Text("others", "其他"), small, "s3"))
    left = 1 - sum(share for _, share, _ in cells)
    if rest and left > 0.002:
        cells.append((rest, left, "free"))
    return Bar(name, tuple(cells))


def front_picture(points: Sequence[FrontPoint], alt: Text, language: Language, layout: Layout) -> Markup:
    """Layouts by memory (across) and speed (up), both logarithmic, a line for each number of chips."""
    box = Box(layout.left + 14, 34, layout.width - layout.right, layout.height - 58)
    across = LogAxis(*_span([point.gib for point in points]), box.left, box.right)
    rise = LogAxis(*_span([point.tokens_per_second for point in points]), box.bottom, box.top)
    parts: list[Markup] = []
    for value in rise.ticks(6):
        parts.append(line(box.left, rise(value), box.right, rise(value), "grid"))
        parts.append(label(box.left - 10, rise(value) + 4.5, _short(value), "tick", "end"))
    for value in across.ticks(8 if box.width > 600 else 5):
        parts.append(line(across(value), box.bottom, across(value), box.bottom + 5, "axis"))
        parts.append(label(across(value), box.bottom + 22, _short(value), "tick", "middle"))
    parts.append(line(box.left, box.bottom, box.right, box.bottom, "axis"))
    parts.append(label(4, 16, Text("tokens a second", "每秒词元数").say(language), "axis-name"))
    unit = Text("GiB on the fullest chip", "最满芯片的 GiB").say(language)
    parts.append(label(box.right, box.bottom + 46, unit, "axis-name", "end"))
    counts = sorted({point.chips for point in points})
    for index, chips in enumerate(counts):
        style = f"s{round(index * 8 / max(1, len(counts) - 1))}"
        mine = sorted((point for point in points if point.chips == chips), key=lambda point: point.gib)
        places = [(across(point.gib), rise(point.tokens_per_second)) for point in mine]
        parts.append(path(places, f"curve-line {style}"))
        for point, (x, y) in zip(mine, places, strict=True):
            tip = f"{point.layout}\n{point.gib:.1f} GiB · {point.tokens_per_second:,.0f} tokens/s"
            dot = "hot" if point.chosen else style
            radius = 8.0 if point.chosen else 5.0
            parts.append(element("circle", cx=x, cy=y, r=radius, class_=f"dot {dot}", data_tip=tip))
        x, y = places[-1]
        words = Text(f"{chips:,} chips", f"{chips:,} 张").say(language)
        parts.append(label(min(x + 12, box.right + 10), y + 4.5, words, f"curve-name {style} halo"))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {layout.width:g} {layout.height:g}",
        class_="figure",
        role="img",
        aria_label=alt.say(language),
        xmlns="http://www.w3.org/2000/svg",
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis with some room."""
    low, high = min(values), max(values)
    room = max(0.12, 0.08 * math.log(high / low))
    return low * math.exp(-room), high * math.exp(room)


def _short(value: float) -> str:
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"
