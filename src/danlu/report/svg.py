"""A small SVG helper: elements, logarithmic axes, ticks, and labels that keep out of each other's way."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from danlu.report.language import printable

Child = str | Markup


def element(name: str, *children: Child, **attributes: str | float | None) -> Markup:
    """An SVG element. Text is escaped unless it is Markup; `class_` is `class`, other underscores become hyphens."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None:
            continue
        shown = escape(printable(value)) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{shown}"')
    if not children:
        return Markup("".join(parts) + "/>")
    inside = "".join(child if isinstance(child, Markup) else escape(printable(child)) for child in children)
    return Markup("".join(parts) + f">{inside}</{name}>")


def group(*children: Child, **attributes: str | float | None) -> Markup:
    """Elements that share attributes."""
    return element("g", *children, **attributes) if children else Markup()


def label(x: float, y: float, words: Child, class_: str = "", anchor: str = "start") -> Markup:
    """Text at a point; `anchor` is start, middle or end."""
    return element("text", words, x=x, y=y, class_=class_ or None, text_anchor=None if anchor == "start" else anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Iterable[tuple[float, float]], class_: str, closed: bool = False) -> Markup:
    """Straight segments through points."""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("path", d=f"M{steps}{'Z' if closed else ''}", class_=class_)


def diamond(x: float, y: float, radius: float, class_: str, *children: Child) -> Markup:
    """A square on its corner."""
    corners = (
        f"M{x:.1f},{y - radius:.1f}l{radius:.1f},{radius:.1f} {-radius:.1f},{radius:.1f} {-radius:.1f},{-radius:.1f}Z"
    )
    return element("path", *children, d=corners, class_=class_)


_STEPS = ((1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 4, 6), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
"""Ticks within a decade of a logarithmic axis, many first."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture (pixels of its own coordinates)."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.bottom - self.top


@dataclass(frozen=True)
class LogAxis:
    """Positive numbers to pixels, logarithmically."""

    low: float
    high: float
    start: float
    """Pixel of `low`."""
    stop: float
    """Pixel of `high`."""

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.stop - self.start)

    def inside(self, value: float) -> bool:
        """Whether the value lies on the axis."""
        return self.low <= value <= self.high

    def powers_of_ten(self) -> list[int]:
        """Exponents of the powers of ten on the axis."""
        return list(range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1))

    def between_powers(self) -> list[float]:
        """2 to 9 times each power of ten, as far as they lie on the axis."""
        values = [step * 10.0**power for power in self._decades() for step in range(2, 10)]
        return [value for value in values if self.inside(value)]

    def ticks(self, most: int) -> list[float]:
        """Round values for a label each: at most `most`, evenly enough to the eye."""
        if self.high / self.low <= 2.6:
            return linear_ticks(self.low, self.high, most)
        for steps in _STEPS:
            kept = [
                step * 10.0**power for power in self._decades() for step in steps if self.inside(step * 10.0**power)
            ]
            if len(kept) <= most:
                return kept
        return kept[:: math.ceil(len(kept) / most)]

    def _decades(self) -> range:
        return range(math.floor(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Round, evenly spaced values between two numbers: at most `most`."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if (high - low) / (factor * power) <= most)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def decimals(values: Sequence[float]) -> int:
    """Digits after the point that tell evenly spaced tick values apart."""
    for digits in range(8):
        if all(abs(value - round(value, digits)) < 1e-9 * max(1.0, abs(value)) for value in values):
            return digits
    return 8


def power_of_ten(exponent: int) -> Markup:
    """10 with its exponent raised."""
    return Markup('10<tspan dy="-0.5em" font-size="72%">{}</tspan>').format(exponent)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart by at least `gap`, as little as possible, within bounds where they fit."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = _apart([wanted[index] for index in order], [rank * gap for rank in range(len(order))], low, high)
    back = dict(zip(order, placed, strict=True))
    return [back[index] for index in range(len(wanted))]


def stack(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Centres of labels of given heights, given top to bottom: apart from each other, near where they are wanted."""
    if not wanted:
        return []
    offsets = [0.0]
    for above, below in pairwise(heights):
        offsets.append(offsets[-1] + (above + below) / 2)
    return _apart(wanted, offsets, low + heights[0] / 2, high - heights[-1] / 2)


def _apart(wanted: Sequence[float], offsets: Sequence[float], low: float, high: float) -> list[float]:
    """Positions in the given order, near the wanted ones, whose distances are at least those of the offsets.

    Neighbours that are too close form a pool, which is centred on its members' mean (pool adjacent violators).
    """
    pools: list[tuple[float, int]] = []  # (mean of the wanted positions less their offsets, members)
    for place, offset in zip(wanted, offsets, strict=True):
        mean, members = place - offset, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, members = (mean * members + other * others) / (members + others), members + others
        pools.append((mean, members))
    free = [mean for mean, members in pools for _ in range(members)]
    last = high - offsets[-1] if offsets else high
    return [max(low, min(place, last)) + offset for place, offset in zip(free, offsets, strict=True)]
