"""Pictures of a fit: losses and laws over compute, slices at one compute, residuals, and rows that were held out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from danlu.report.language import Language, Text
from danlu.report.outlook_pictures import Layout
from danlu.report.svg import (
    Box,
    LogAxis,
    decimals,
    diamond,
    element,
    group,
    label,
    line,
    linear_ticks,
    path,
    power_of_ten,
    spread,
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Dots:
    """Measured rows."""

    points: tuple[Point, ...]
    style: str
    """s0 to s8 or hot."""
    tips: tuple[str, ...]
    """What each is, shown under the pointer."""
    held: bool = False
    """Whether they were held out: drawn as diamonds."""


@dataclass(frozen=True)
class Curve:
    """A law through places."""

    points: tuple[Point, ...]
    style: str
    name: Text | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Plane:
    """A picture of losses over one variable."""

    alt: Text
    across: Text
    """Name of the horizontal axis."""
    up: Text
    """Name of the vertical axis."""
    dots: tuple[Dots, ...] = ()
    curves: tuple[Curve, ...] = ()
    band: tuple[tuple[Point, ...], tuple[Point, ...]] | None = None
    """Lower and upper edge of an interval."""
    bars: tuple[tuple[float, float, float], ...] = ()
    """Place, low and high of intervals."""
    percent: bool = False
    """Whether the vertical axis is a linear one of percents around zero."""


def draw_plane(plane: Plane, language: Language, layout: Layout) -> Markup:
    """The picture at one width in one language."""
    box = Box(layout.left, 34, layout.width - (layout.right if _named(plane) else 24), layout.height - 58)
    points = [point for dots in plane.dots for point in dots.points] + [p for c in plane.curves for p in c.points]
    points += [point for edge in plane.band or () for point in edge]
    points += [(x, value) for x, *ends in plane.bars for value in ends]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    pad = max(max(xs) / min(xs), 1.2) ** 0.03
    right = LogAxis(min(xs) / pad, max(xs) * pad, box.left, box.right)
    rise, ticks = _vertical(ys, box, plane.percent)

    def place(point: Point) -> Point:
        return right(point[0]), rise(point[1])

    parts = [*_frame(plane, box, right, rise, ticks, language)]
    if plane.band:
        lower, upper = plane.band
        parts.append(path([place(p) for p in lower] + [place(p) for p in reversed(upper)], "band", closed=True))
    for x, low, high in plane.bars:
        parts.append(line(right(x), rise(low), right(x), rise(high), "reach"))
    for curve in plane.curves:
        style = f"curve-line {curve.style}{' dashed' if curve.dashed else ''}"
        parts.append(path([place(point) for point in curve.points], style))
    for dots in plane.dots:
        parts.append(_dots(dots, place))
    parts.append(_names(plane.curves, place, box, language))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {layout.width:g} {layout.height:g}",
        class_="figure",
        role="img",
        aria_label=plane.alt.say(language),
        xmlns="http://www.w3.org/2000/svg",
    )


def _named(plane: Plane) -> bool:
    return any(curve.name for curve in plane.curves)


def _vertical(ys: Sequence[float], box: Box, percent: bool) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    if percent:
        top = 1.1 * max(max(abs(y) for y in ys), 1e-4)
        shown = linear_ticks(-top, top, 7)
        digits = decimals([100 * tick for tick in shown])
        return (
            lambda y: box.bottom - (y + top) / (2 * top) * box.height,
            [(tick, f"{100 * tick:+.{digits}f}%" if abs(tick) > 1e-12 else "0") for tick in shown],
        )
    pad = max(max(ys) / min(ys), 1.01) ** 0.04
    axis = LogAxis(min(ys) / pad, max(ys) * pad, box.bottom, box.top)
    shown = axis.ticks(8)
    digits = max((decimals([tick]) for tick in shown), default=2)
    return axis, [(tick, f"{tick:.{min(digits, 4)}f}") for tick in shown]


def _frame(
    plane: Plane,
    box: Box,
    right: LogAxis,
    rise: Callable[[float], float],
    ticks: Sequence[tuple[float, str]],
    language: Language,
) -> list[Markup]:
    parts = []
    for value, words in ticks:
        y = rise(value)
        kind = "axis" if plane.percent and abs(value) < 1e-12 else "grid"
        parts += [line(box.left, y, box.right, y, kind), label(box.left - 10, y + 4.5, words, "tick", "end")]
    powers = right.powers_of_ten()
    if len(powers) >= 3:
        for power in powers[:: max(1, math.ceil(len(powers) / 9))]:
            x = right(10.0**power)
            parts += [line(x, box.bottom, x, box.bottom + 5, "axis")]
            parts.append(label(x, box.bottom + 22, power_of_ten(power), "tick", "middle"))
    else:
        for value in right.ticks(6):
            x = right(value)
            parts += [line(x, box.bottom, x, box.bottom + 5, "axis")]
            parts.append(label(x, box.bottom + 22, f"{value:.3g}".replace("e+", "e"), "tick", "middle"))
    parts.append(line(box.left, box.bottom, box.right, box.bottom, "axis"))
    parts.append(label(4, 16, plane.up.say(language), "axis-name"))
    parts.append(label(box.right, box.bottom + 46, plane.across.say(language), "axis-name", "end"))
    return parts


def _dots(dots: Dots, place: Callable[[Point], Point]) -> Markup:
    parts = []
    for point, tip in zip(dots.points, dots.tips, strict=True):
        x, y = place(point)
        title = element("title", tip)
        if dots.held:
            parts.append(diamond(x, y, 5.5, "forecast", title))
        else:
            parts.append(element("circle", title, cx=x, cy=y, r=4, class_=f"dot {dots.style}"))
    return group(*parts, class_=dots.style)


def _names(curves: Sequence[Curve], place: Callable[[Point], Point], box: Box, language: Language) -> Markup:
    named = [curve for curve in curves if curve.name is not None]
    wanted = [place(curve.points[-1])[1] for curve in named]
    parts = []
    for curve, y in zip(named, spread(wanted, 18, box.top + 6, box.bottom), strict=True):
        assert curve.name is not None
        words = label(box.right + 10, y + 5, curve.name.say(language), "curve-name")
        parts.append(group(words, class_=curve.style))
    return group(*parts)
