"""The outlook's pictures: years against a logarithmic axis, and shares as bars."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from danlu.report.language import LANGUAGES, Language, Text
from danlu.report.svg import Box, LogAxis, element, group, label, line, linear_ticks, path, power_of_ten, spread

Point = tuple[float, float]
"""(year, value)."""


@dataclass(frozen=True)
class Layout:
    """A size of picture, and what fits into it."""

    width: float
    height: float
    left: float
    right: float
    dot_names: bool
    """Whether there is room for a name beside each dot."""


WIDE = Layout(1120, 460, 76, 210, True)
NARROW = Layout(540, 430, 62, 176, False)


@dataclass(frozen=True)
class Dot:
    """A point with a name."""

    at: Point
    name: Text
    tip: Text
    """Shown under the pointer."""
    named: bool = True


@dataclass(frozen=True)
class Track:
    """A line through points, with its name at the end."""

    points: tuple[Point, ...]
    style: str
    """s0 to s8 or hot."""
    name: Text
    dashed: bool = False
    band: tuple[tuple[Point, ...], tuple[Point, ...]] | None = None
    """Lower and upper edge of its interval."""


@dataclass(frozen=True)
class Level:
    """A horizontal line with its name."""

    value: float
    name: Text
    band: tuple[float, float] | None = None


@dataclass(frozen=True)
class YearPicture:
    """Values by year on a logarithmic axis."""

    alt: Text
    unit: Text
    """Name of the vertical axis."""
    first: float
    last: float
    low: float
    high: float
    tracks: tuple[Track, ...] = ()
    dots: tuple[Dot, ...] = ()
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Bar:
    """One bar of shares that sum to the whole."""

    name: Text
    parts: tuple[tuple[Text, float, str], ...]
    """Name, share and style of each part; the style `free` is for what nothing takes."""


def variants(draw: Callable[[Language, Layout], Markup]) -> Markup:
    """A picture for each width and language, of which the page shows one."""
    codes = {"en": "en", "zh": "zh-CN"}
    return Markup("").join(
        Markup('<div class="{} {}" lang="{}">{}</div>').format(name, language, codes[language], draw(language, layout))
        for name, layout in (("wide", WIDE), ("narrow", NARROW))
        for language in LANGUAGES
    )


def year_picture(picture: YearPicture, language: Language, layout: Layout) -> Markup:
    """Draw values by year."""
    box = Box(layout.left, 34, layout.width - layout.right, layout.height - 42)
    rise = LogAxis(picture.low, picture.high, box.bottom, box.top)

    def across(year: float) -> float:
        return box.left + (year - picture.first) / (picture.last - picture.first) * box.width

    def place(point: Point) -> Point:
        return across(point[0]), rise(min(max(point[1], picture.low), picture.high))

    parts = [
        *_frame(picture, box, rise, across, language),
        *(_level(level, box, rise, language) for level in picture.levels),
        *(_band(track, place) for track in picture.tracks if track.band),
        *(
            path(
                [place(point) for point in track.points], f"curve-line {track.style}{' dashed' if track.dashed else ''}"
            )
            for track in picture.tracks
        ),
        *_dots(picture.dots, place, layout, language),
        *_names(picture.tracks, place, box, language),
    ]
    return _figure(layout.width, layout.height, picture.alt.say(language), parts)


def share_bars(bars: Sequence[Bar], alt: Text, language: Language, layout: Layout) -> Markup:
    """Draw bars of shares, one under the other, their names above them."""
    pitch, height, left, right = 74.0, 30.0, 4.0, layout.width - 4.0
    parts: list[Markup] = []
    for index, bar in enumerate(bars):
        top = 24 + index * pitch
        parts.append(label(left, top - 7, bar.name.say(language), "size-name"))
        start = left
        for name, share, style in bar.parts:
            width = share * (right - left)
            words = f"{name.say(language)} {share:.0%}"
            tip = element("title", words)
            parts.append(
                element("rect", tip, x=start, y=top, width=max(0.0, width - 1.5), height=height, class_=f"part {style}")
            )
            class_ = "part-name dark" if style == "free" else "part-name"
            if width > 8.2 * _width(words):
                parts.append(label(start + 8, top + 20.5, words, class_))
            elif width > 34:
                parts.append(label(start + 6, top + 20.5, f"{share:.0%}", class_))
            start += width
    return _figure(layout.width, 24 + len(bars) * pitch - 36, alt.say(language), parts)


def _figure(width: float, height: float, alt: str, parts: Iterable[Markup]) -> Markup:
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {width:g} {height:g}",
        class_="figure",
        role="img",
        aria_label=alt,
        xmlns="http://www.w3.org/2000/svg",
    )


def _frame(
    picture: YearPicture, box: Box, rise: LogAxis, across: Callable[[float], float], language: Language
) -> list[Markup]:
    powers = rise.powers_of_ten()
    step = max(1, math.ceil(len(powers) / 8))
    parts = []
    for power in powers[::step]:
        y = rise(10.0**power)
        parts += [line(box.left, y, box.right, y, "grid"), label(box.left - 10, y + 4.5, _power(power), "tick", "end")]
    most = 9 if box.width > 600 else 5
    for year in linear_ticks(picture.first, picture.last, most):
        if year == round(year):
            parts.append(line(across(year), box.bottom, across(year), box.bottom + 5, "axis"))
            parts.append(label(across(year), box.bottom + 22, f"{year:.0f}", "tick", "middle"))
    parts.append(line(box.left, box.bottom, box.right, box.bottom, "axis"))
    parts.append(label(4, 16, picture.unit.say(language), "axis-name"))
    return parts


def _power(exponent: int) -> Markup | str:
    return f"{10.0**exponent:,.0f}" if 0 <= exponent <= 5 else power_of_ten(exponent)


def _level(level: Level, box: Box, rise: LogAxis, language: Language) -> Markup:
    y = rise(level.value)
    parts = []
    if level.band:
        low, high = (rise(min(max(value, rise.low), rise.high)) for value in level.band)
        parts.append(element("rect", x=box.left, y=high, width=box.width, height=low - high, class_="level-band"))
    parts.append(line(box.left, y, box.right, y, "entropy"))
    parts.append(label(box.left + 8, y - 8, level.name.say(language), "entropy-name halo"))
    return group(*parts)


def _band(track: Track, place: Callable[[Point], Point]) -> Markup:
    assert track.band is not None
    lower, upper = track.band
    edge = [place(point) for point in lower] + [place(point) for point in reversed(upper)]
    return path(edge, f"track-band {track.style}", closed=True)


def _dots(dots: Sequence[Dot], place: Callable[[Point], Point], layout: Layout, language: Language) -> list[Markup]:
    parts = []
    taken: list[tuple[float, float, float, float]] = []
    for dot in sorted(dots, key=lambda each: -each.at[1]):
        x, y = place(dot.at)
        parts.append(element("circle", cx=x, cy=y, r=5.5, class_="dot s4", data_tip=dot.tip.say(language)))
        words = dot.name.say(language)
        if layout.dot_names and dot.named:
            width = 7.6 * _width(words)
            for dx, anchor in ((11, "start"), (-11, "end")):
                left = x + dx if anchor == "start" else x + dx - width
                spot = (left, y - 9, left + width, y + 9)
                if not any(_touch(spot, other) for other in taken):
                    taken.append(spot)
                    parts.append(label(x + dx, y + 4.5, words, "dot-name halo", anchor))
                    break
        taken.append((x - 7, y - 7, x + 7, y + 7))
    return parts


def _touch(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _names(tracks: Sequence[Track], place: Callable[[Point], Point], box: Box, language: Language) -> list[Markup]:
    ends = [place(track.points[-1]) for track in tracks]
    heights = spread([y for _, y in ends], 21, box.top + 8, box.bottom - 4)
    parts = []
    for track, (x, y), height in zip(tracks, ends, heights, strict=True):
        words = track.name.say(language)
        parts.append(element("circle", cx=x, cy=y, r=3.5, class_=f"track-end {track.style}"))
        if box.right - x > 1 or abs(height - y) > 1:
            parts.append(path([(x + 5, y), (box.right + 6, height)], f"track-leader {track.style}"))
        parts.append(label(box.right + 10, height + 4.5, words, f"curve-name {track.style}"))
    return parts


def _width(words: str) -> float:
    """Characters, with Chinese ones counted twice (nearly)."""
    return sum(1.75 if ord(character) > 0x2E7F else 1.0 for character in words)
