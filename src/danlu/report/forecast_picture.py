"""The picture of a forecast: small runs, the law through them, the interval at the target, and where it fell."""

import math
from dataclasses import dataclass, replace

from markupsafe import Markup

from danlu.report import figures, svg
from danlu.report.language import Language, Text, tr
from danlu.report.lens import draw_lens
from danlu.report.scene import Scene, shade
from danlu.report.svg import Box, LogAxis, group, label, line, path


@dataclass(frozen=True)
class Layout:
    """Where things stand in the picture."""

    width: float
    height: float
    plot: Box
    """The log-log plot."""
    lens: Box
    """The magnified target."""
    without_lens: Box
    """The log-log plot of a run that has no forecast yet."""


WIDE = Layout(1120, 592, Box(60, 34, 748, 528), Box(840, 34, 1104, 528), without_lens=Box(60, 34, 1104, 528))
NARROW = Layout(440, 770, Box(44, 34, 428, 394), Box(44, 490, 428, 756), without_lens=Box(44, 34, 428, 700))


def draw(scene: Scene, language: Language, layout: Layout) -> Markup:
    """The picture as an SVG element; its colours and type come from figure.css."""
    if not scene.has_forecast:
        layout = replace(layout, plot=layout.without_lens)
    return svg.element(
        "svg",
        *_Plot(scene, language, layout).parts(),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {layout.width:g} {layout.height:g}",
        class_="figure",
        role="img",
        aria_label=tr("picture.alt", sentence=scene.outcome.sentence, sizes=len(scene.rungs)).say(language),
    )


class _Plot:
    """One drawing: the axes are set first, then each part is drawn on them."""

    def __init__(self, scene: Scene, language: Language, layout: Layout) -> None:
        self.scene, self.language, self.layout, self.box = scene, language, layout, layout.plot
        self.wide = layout.width > 600
        computes = [dot.flops for rung in scene.rungs for dot in rung.dots] + [point.flops for point in scene.band]
        losses = [dot.loss for rung in scene.rungs for dot in rung.dots]
        losses += [value for point in scene.band for value in (point.low, point.high)]
        if scene.target_flops is not None and scene.has_forecast:
            computes.append(scene.target_flops)
            loss = scene.outcome.loss
            losses += [value for value in (loss.forecast, loss.low, loss.high, loss.measured) if value]
        if scene.entropy is not None:
            losses.append(scene.entropy)
        first, last, low, high = min(computes), max(computes), min(losses), max(losses)
        margin = max((last / first) ** 0.045, 1.15)
        self.x = LogAxis(first / margin, last * margin, self.box.left, self.box.right)
        below, above = max((high / low) ** 0.07, 1.01), max((high / low) ** 0.1, 1.02)
        self.y = LogAxis(low / below, high * above, self.box.bottom, self.box.top)

    def say(self, key: str, **values: Text | str | int) -> str:
        return tr(key, **values).say(self.language)

    def parts(self) -> list[Markup]:
        """Everything, back to front."""
        drawn = [self.axes(), self.entropy(), self.law(), self.reach(), self.rungs()]
        if self.scene.has_forecast:
            drawn += [self.lens(), self.target()]
        return drawn

    def axes(self) -> Markup:
        left, top, right, bottom = self.box.left, self.box.top, self.box.right, self.box.bottom
        ticks = self.y.ticks(8)
        digits = max(svg.decimals(ticks), 1)
        parts = []
        for value in ticks:
            parts.append(line(left, self.y(value), right, self.y(value), "grid"))
            parts.append(label(left - 10, self.y(value) + 4.5, f"{value:.{digits}f}", "tick", "end"))
        for value in self.x.between_powers():
            parts.append(line(self.x(value), bottom, self.x(value), bottom + 3.5, "axis minor"))
        for exponent in self.x.powers_of_ten():
            x = self.x(10.0**exponent)
            parts.append(line(x, bottom, x, bottom + 6, "axis"))
            parts.append(label(x, bottom + 25, svg.power_of_ten(exponent), "tick", "middle"))
        if not self.x.powers_of_ten():
            middle = math.sqrt(self.x.low * self.x.high)
            parts.append(label(self.x(middle), bottom + 25, figures.flops(middle), "tick", "middle"))
        parts.append(line(left, bottom, right, bottom, "axis"))
        parts.append(label(2, top - 16, self.say("picture.y"), "axis-name"))
        parts.append(label(right, bottom + 52, self.say("picture.x"), "axis-name", "end"))
        return group(*parts)

    def entropy(self) -> Markup:
        """The loss that no model can go below, where the source's entropy is known."""
        if self.scene.entropy is None:
            return Markup()
        y = self.y(self.scene.entropy)
        key = "picture.entropy.bound" if self.scene.entropy_is_bound else "picture.entropy.exact"
        words = self.say(key, value=figures.loss(self.scene.entropy, 3))
        return group(
            line(self.box.left, y, self.box.right, y, "entropy"),
            label(self.box.left + 8, y - 9, words, "entropy-name halo"),
        )

    def law(self) -> Markup:
        """The fitted law: solid where the ladder has points, dashed beyond; the interval as a band around it."""
        band = self.scene.band
        if len(band) < 2:
            return Markup()
        upper = [(self.x(point.flops), self.y(point.high)) for point in band]
        lower = [(self.x(point.flops), self.y(point.low)) for point in band]
        known = [point for point in band if point.flops <= (self.scene.largest_flops or band[-1].flops)]
        beyond = band[max(len(known) - 1, 0) :]
        parts = [path(upper + lower[::-1], "band", closed=True)]
        for part, style in ((known, "law"), (beyond, "law beyond")):
            if len(part) > 1:
                parts.append(path([(self.x(point.flops), self.y(point.loss)) for point in part], style))
        spot = band[round(len(band) * 0.38)]
        words = self.say("picture.law")
        parts.append(label(self.x(spot.flops) - 12, self.y(spot.low) + 22, words, "law-name halo", "end"))
        return group(*parts)

    def reach(self) -> Markup:
        """How far the target lies beyond the largest compute of the ladder."""
        target, largest = self.scene.target_flops, self.scene.largest_flops
        if target is None or largest is None or target <= largest:
            return Markup()
        x1, x2, y = self.x(largest), self.x(target), self.box.top + 22
        words = self.say("picture.reach", factor=figures.times(target / largest))
        place, anchor = ((x1 + x2) / 2, "middle") if self.wide else (x2 + 4, "end")
        return group(
            line(x1, y, x1, self.box.bottom, "reach-edge"),
            line(x2, y, x2, self.box.bottom, "reach-edge"),
            path(((x1, y + 7), (x1, y), (x2, y), (x2, y + 7)), "reach"),
            label(place, y - 9, words, "reach-name halo", anchor),
        )

    def rungs(self) -> Markup:
        parts = []
        for index, rung in enumerate(self.scene.rungs):
            style = shade(index, len(self.scene.rungs))
            spots = [(self.x(dot.flops), self.y(dot.loss)) for dot in rung.dots]
            if len(spots) > 1:
                parts.append(path(spots, f"trail {style}"))
            for dot, (x, y) in zip(rung.dots, spots, strict=True):
                tip = self.say(
                    "picture.tip",
                    size=figures.count(rung.params),
                    tokens=figures.count(dot.tokens),
                    flops=figures.flops(dot.flops),
                    loss=figures.loss(dot.loss),
                )
                parts.append(svg.element("circle", cx=x, cy=y, r=5, class_=f"dot {style}", data_tip=tip))
        return group(*parts, *self.sizes())

    def sizes(self) -> list[Markup]:
        """Each rung's size above its first point, clear of the other rungs' points."""
        spots = [(self.x(dot.flops), self.y(dot.loss)) for rung in self.scene.rungs for dot in rung.dots]
        wanted = [self.x(rung.dots[0].flops) for rung in self.scene.rungs]
        places = svg.spread(wanted, 46 if self.wide else 38, self.box.left + 20, self.box.right - 20)
        parts = []
        for index, (rung, x) in enumerate(zip(self.scene.rungs, places, strict=True)):
            clear = min([self.y(rung.dots[0].loss)] + [y for spot, y in spots if abs(spot - x) < 24])
            words = figures.count(rung.params)
            style = f"size {shade(index, len(self.scene.rungs))} halo"
            parts.append(label(x, clear - 13, words, style, "middle"))
        return parts

    def target(self) -> Markup:
        """The forecast and, once there is one, the measured point."""
        loss, target = self.scene.outcome.loss, self.scene.target_flops
        assert target is not None
        assert loss.forecast is not None
        x = self.x(target)
        parts = []
        if loss.low and loss.high:
            parts.append(line(x, self.y(loss.low), x, self.y(loss.high), "bar"))
        parts.append(svg.diamond(x, self.y(loss.forecast), 8, "forecast"))
        if loss.measured:
            parts.append(svg.diamond(x, self.y(loss.measured), 5.5, "measured"))
        words = (
            self.say("picture.target"),
            self.say("picture.size", size=figures.count(self.scene.target_params)),
            self.say("picture.tokens", tokens=figures.count(self.scene.target_tokens)),
        )
        foot = self.free_above(x - 110, x + 14) - 22
        for index, text in enumerate(words):
            style = "target-name halo" if index == 0 else "target-shape halo"
            parts.append(label(x + 14, foot - 19 * (2 - index), text, style, "end"))
        return group(*parts)

    def free_above(self, left: float, right: float) -> float:
        """The height (pixel) above which nothing is drawn around the law between two pixels of the compute axis."""
        loss = self.scene.outcome.loss
        marks = [value for value in (loss.high, loss.measured, loss.forecast) if value]
        marks += [point.high for point in self.scene.band if left <= self.x(point.flops) <= right]
        marks += [dot.loss for rung in self.scene.rungs for dot in rung.dots if left <= self.x(dot.flops) <= right]
        return min(self.y(value) for value in marks)

    def lens(self) -> Markup:
        assert self.scene.target_flops is not None
        x = self.x(self.scene.target_flops)
        spot = Box(x - 14, self.box.top, x + 14, self.box.bottom)
        return draw_lens(self.scene.outcome, self.language, self.layout.lens, spot, self.y)
