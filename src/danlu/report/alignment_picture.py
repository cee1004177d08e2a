"""The pictures of alignment: gold scores of the models side by side, and proxy and gold against the distance gone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from danlu.report import figures, svg
from danlu.report.language import Language, Text, same, tr
from danlu.report.reading import Record
from danlu.report.svg import Box, group, label, line, path


@dataclass(frozen=True)
class Layout:
    """How much room there is."""

    width: float
    names: float
    """For the models' names on the left."""
    row: float
    """Height of a model."""


WIDE = Layout(1120, 150, 64)
NARROW = Layout(440, 96, 64)
_GROUPS = (("all", "hot"), ("en", "s1"), ("zh", "s5"))
"""What is drawn of a model, with its colour."""
_NAMES = ("base", "sft", "ppo")
_WAYS = {"rl": "hot", "best_of_n": "s4"}


@dataclass(frozen=True)
class Scale:
    """Numbers to pixels, linearly."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def draw_gold(outcome: Record, language: Language, layout: Layout) -> Markup:
    """Mean gold scores with intervals: a row for each model, all prompts above, then each language."""
    models = [model for model in outcome.records("models") if model.record("gold")]
    box = Box(layout.names, 30, layout.width - 60, 30 + layout.row * len(models))
    x = Scale(0.0, 1.0, box.left, box.right)
    parts = []
    for step in range(0, 11, 2 if layout.width > 600 else 5):
        value = step / 10
        parts.append(line(x(value), box.top, x(value), box.bottom, "grid"))
        parts.append(label(x(value), box.bottom + 25, f"{value:.1f}", "tick", "middle"))
    for number, model in enumerate(models):
        middle = box.top + layout.row * (number + 0.5)
        parts.append(label(0, middle + 5, model_name(model.text("name") or "").say(language), "reach-name"))
        shown = [(name, style, _estimate(model, name)) for name, style in _GROUPS]
        there = [(name, style, one) for name, style, one in shown if one.number("value") is not None]
        if len(there) == 2:  # one language alone is all there is
            there = there[:1]
        for place, (name, style, one) in enumerate(there):
            y = middle + (place - (len(there) - 1) / 2) * 17
            parts.append(_dot(x, y, model, name, style, one, language))
    title = tr("alignment.gold.axis").say(language)
    parts.append(label(box.right, box.bottom + 52, title, "axis-name", "end"))
    parts += _legend(box.left, 14, [(tr(f"alignment.group.{name}").say(language), style) for name, style in _GROUPS])
    return _picture(parts, layout.width, box.bottom + 60, tr("alignment.gold.alt", models=len(models)).say(language))


def draw_curves(outcome: Record, language: Language, layout: Layout) -> Markup:
    """The reward model's score above, gold below, against the square root of the KL, with Gao's forms where fitted."""
    curves = outcome.records("curves")
    farthest = max(math.sqrt(max(kl, 0.0)) for curve in curves for kl, _ in _points(curve, "proxy")) or 1.0
    left, right, panel = 60.0, layout.width - (120 if layout.width > 600 else 20), 190.0
    x = Scale(0.0, farthest * 1.03, left, right)
    parts, top = [], 62.0
    for what in ("proxy", "gold"):
        series = [(curve, _points(curve, what)) for curve in curves]
        if not any(points for _, points in series):
            continue
        box = Box(left, top, right, top + panel)
        values = [value for _, points in series for _, value in points]
        room = max(max(values) - min(values), 1e-6) * 0.08
        y = Scale(min(values) - room, max(values) + room, box.bottom, box.top)
        parts.append(_frame(y, box, tr(f"alignment.curve.{what}").say(language)))
        for curve, points in series:
            parts.append(_series(curve, points, what, x, y, language))
        top += panel + 56
    bottom = top - 56
    for value in svg.linear_ticks(0.0, farthest, 8 if layout.width > 600 else 4):
        parts.append(label(x(value), bottom + 25, f"{value:g}", "tick", "middle"))
    parts.append(label(right, bottom + 52, tr("alignment.curve.x").say(language), "axis-name", "end"))
    ways = [(tr(f"alignment.way.{way}").say(language), style) for way, style in _WAYS.items()]
    parts += _legend(left, 14, ways)
    return _picture(parts, layout.width, bottom + 60, tr("alignment.curve.alt").say(language))


def has_curves(outcome: Record) -> bool:
    """Whether there is a distance to draw against."""
    return any(len(_points(curve, "proxy")) > 1 for curve in outcome.records("curves"))


def model_name(name: str) -> Text:
    """A model's name for a reader."""
    kind, _, number = name.rpartition("-")
    if kind in ("best-of", "round") and number.isdigit():
        return tr(f"alignment.name.{kind}", number=number)
    return tr(f"alignment.name.{name}") if name in _NAMES else same(name)


def _estimate(model: Record, name: str) -> Record:
    return model.record("gold", "gold") if name == "all" else model.record("gold", "by_language", name)


def _dot(x: Scale, y: float, model: Record, name: str, style: str, one: Record, language: Language) -> Markup:
    value = one.number("value") or 0.0
    low, high = one.number("low"), one.number("high")
    tip = tr(
        "alignment.gold.tip",
        group=tr(f"alignment.group.{name}"),
        value=figures.loss(value, 3),
        interval=figures.interval(low, high, 3),
        count=figures.whole(one.number("count")),
    ).say(language)
    parts = []
    if low is not None and high is not None:
        parts.append(line(x(low), y, x(high), y, f"heldout {style}"))
    radius = 6 if name == "all" else 4.5
    parts.append(svg.element("circle", cx=x(value), cy=y, r=radius, class_=f"dot {style}", data_tip=tip))
    if name == "all":
        parts.append(label(x(high if high is not None else value) + 10, y + 5, f"{value:.3f}", "size " + style))
    return group(*parts)


def _points(curve: Record, what: str) -> list[tuple[float, float]]:
    """(KL, value), near ones first; those without a number have no place."""
    found = []
    for point in curve.records("points"):
        kl, value = point.number("kl"), point.number(what)
        if kl is not None and value is not None:
            found.append((kl, value))
    return sorted(found)


def _frame(y: Scale, box: Box, title: str) -> Markup:
    parts = []
    ticks = svg.linear_ticks(y.low, y.high, 5)
    digits = svg.decimals(ticks)
    for value in ticks:
        parts.append(line(box.left, y(value), box.right, y(value), "grid"))
        parts.append(
            label(box.left - 10, y(value) + 4.5, f"{value:.{digits}f}".replace("-", figures.MINUS), "tick", "end")
        )
    parts.append(line(box.left, box.bottom, box.right, box.bottom, "axis"))
    parts.append(label(2, box.top - 16, title, "axis-name"))
    return group(*parts)


def _series(
    curve: Record, points: Sequence[tuple[float, float]], what: str, x: Scale, y: Scale, language: Language
) -> Markup:
    style = _WAYS.get(curve.text("way") or "", "s0")
    parts = []
    places = [(x(math.sqrt(max(kl, 0.0))), y(value)) for kl, value in points]
    if len(places) > 1:
        parts.append(path(places, f"curve {style}"))
    for (kl, value), (px, py) in zip(points, places, strict=True):
        tip = tr("alignment.curve.tip", kl=f"{kl:.3g}", value=figures.loss(value, 3)).say(language)
        parts.append(svg.element("circle", cx=px, cy=py, r=3.5, class_=f"dot {style}", data_tip=tip))
    if what == "gold" and points:
        parts.append(_fitted(curve, points, x, y, style))
    return group(*parts)


def _fitted(curve: Record, points: Sequence[tuple[float, float]], x: Scale, y: Scale, style: str) -> Markup:
    """Gao's form through the gold scores, and its peak where it lies within what was measured."""
    alpha, beta = curve.number("fit", "alpha", "value"), curve.number("fit", "beta", "value")
    if alpha is None or beta is None:
        return Markup()
    start, reach = points[0][1], math.sqrt(max(points[-1][0], 0.0))

    def gold(d: float) -> float:
        bent = d if curve.text("way") == "best_of_n" else math.log(d) if d > 0 else 0.0
        return start + d * (alpha - beta * bent)

    steps = [reach * step / 60 for step in range(61)]
    inside = [(x(d), y(gold(d))) for d in steps if y.low <= gold(d) <= y.high]
    parts = [path(inside, f"heldout {style}")] if len(inside) > 1 else []
    peak = curve.number("fit", "peak", "value")
    if curve.flag("fit", "peak_seen") and peak is not None and y.low <= gold(peak) <= y.high:
        parts.append(svg.diamond(x(peak), y(gold(peak)), 7, "forecast"))
    return group(*parts)


def _legend(left: float, y: float, items: Sequence[tuple[str, str]]) -> list[Markup]:
    parts, at = [], left
    for words, style in items:
        parts.append(svg.element("circle", cx=at + 5, cy=y - 5, r=5, class_=f"dot {style}"))
        parts.append(label(at + 16, y, words, f"curve-name {style}"))
        at += 34 + sum(14 if ord(letter) > 0x2E80 else 7.6 for letter in words)
    return parts


def _picture(parts: Sequence[Markup], width: float, height: float, words: str) -> Markup:
    return svg.element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        class_="figure",
        role="img",
        aria_label=words,
    )
