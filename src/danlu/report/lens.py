"""The target of a forecast, magnified: an interval of a percent is a hair's breadth on the large plot."""

from markupsafe import Markup

from danlu.report import figures, svg
from danlu.report.language import Language, tr
from danlu.report.outcome import Outcome
from danlu.report.svg import Box, LogAxis, group, label, line, path

_TALL, _LOW = 62.0, 24.0
"""Heights of a label of two lines and of one (pixels)."""


def draw_lens(outcome: Outcome, language: Language, box: Box, spot: Box, plot: LogAxis) -> Markup:
    """Draw the magnified target and the rays that tie it to its place on the large plot.

    Args:
        box: where the lens stands.
        spot: the target on the large plot; its height is ignored, the lens's range decides it.
        plot: the large plot's loss axis.
    """
    loss = outcome.loss
    assert loss.forecast is not None
    values = [value for value in (loss.low, loss.high, loss.measured, loss.forecast) if value is not None]
    span = max(max(values) - min(values), 0.002 * loss.forecast)
    # No more than the large plot shows: an interval may be as wide as that.
    low = max(min(values) - 0.3 * span, min(plot.low, min(values)))
    high = min(max(values) + 0.3 * span, max(plot.high, max(values)))
    axis = LogAxis(low, high, box.bottom, box.top)
    factor = box.height / (plot(axis.low) - plot(axis.high))
    middle = box.left + 0.36 * box.width
    title = tr("picture.lens", factor=figures.times(factor)).say(language)
    return group(
        _rays(axis, box, spot, plot),
        svg.element("rect", x=box.left, y=box.top, width=box.width, height=box.height, rx=10, class_="lens"),
        _ticks(axis, box),
        _marks(outcome, language, axis, middle),
        _names(outcome, language, axis, box, middle + 26),
        label(box.left, box.top - 16, title, "axis-name"),
    )


def _ticks(axis: LogAxis, box: Box) -> Markup:
    ticks = svg.linear_ticks(axis.low, axis.high, 6)
    digits = svg.decimals(ticks)
    parts = []
    for value in ticks:
        if box.top + 20 < axis(value) < box.bottom - 4:
            parts.append(line(box.left + 1, axis(value), box.right - 1, axis(value), "grid"))
            parts.append(label(box.left + 10, axis(value) - 5, f"{value:.{digits}f}", "tick"))
    return group(*parts)


def _marks(outcome: Outcome, language: Language, axis: LogAxis, x: float) -> Markup:
    loss = outcome.loss
    assert loss.forecast is not None
    parts = []
    if loss.low is not None and loss.high is not None:
        height = axis(loss.low) - axis(loss.high)
        parts.append(svg.element("rect", x=x - 13, y=axis(loss.high), width=26, height=height, rx=5, class_="interval"))
        words = tr("picture.interval", level=figures.percent(outcome.level, 0)).say(language)
        middle = (axis(loss.low) + axis(loss.high)) / 2
        turned = {"transform": f"translate({x - 22:.1f} {middle:.1f}) rotate(-90)", "text_anchor": "middle"}
        if height > 100:
            parts.append(svg.element("text", words, class_="lens-end halo", **turned))
    parts.append(svg.diamond(x, axis(loss.forecast), 12, "forecast"))
    if loss.measured is not None:
        parts.append(svg.diamond(x, axis(loss.measured), 8, "measured"))
    return group(*parts)


def _names(outcome: Outcome, language: Language, axis: LogAxis, box: Box, x: float) -> Markup:
    """Direct labels, kept apart, each tied to its value by a leader."""
    loss = outcome.loss
    named = [
        (loss.high, tr("picture.high").say(language), ""),
        (loss.forecast, tr("picture.forecast").say(language), "accent"),
        (loss.low, tr("picture.low").say(language), ""),
    ]
    if loss.measured is not None:
        error = figures.signed_percent(loss.relative_error)
        named.append((loss.measured, tr("picture.measured", error=error).say(language), "accent"))
    known = [(value, words, style) for value, words, style in named if value is not None]
    known.sort(key=lambda item: -item[0])
    heights = [_TALL if style else _LOW for _, _, style in known]
    places = svg.stack([axis(value) for value, _, _ in known], heights, box.top + 8, box.bottom - 8)
    parts = []
    for (value, words, style), place in zip(known, places, strict=True):
        parts.append(path(((x - 8, axis(value)), (x + 4, place)), "leader"))
        if style:
            parts.append(label(x + 10, place - 9, words, f"lens-word {style} halo"))
            parts.append(label(x + 10, place + 15, figures.loss(value), f"lens-number {style} halo"))
        else:
            parts.append(label(x + 10, place + 5, f"{figures.loss(value)} {words}", "lens-end halo"))
    return group(*parts)


def _rays(axis: LogAxis, box: Box, spot: Box, plot: LogAxis) -> Markup:
    """The stretch of the large plot that the lens shows, and lines from there to the lens."""
    high, low = plot(axis.high), plot(axis.low)
    centre, half = (high + low) / 2, max((low - high) / 2, 11)
    marked = svg.element(
        "rect", x=spot.left, y=centre - half, width=spot.width, height=2 * half, rx=5, class_="lens-spot"
    )
    beside = box.left > spot.right
    if beside:
        corners = (
            (spot.right, centre - half),
            (box.left, box.top + 8),
            (box.left, box.bottom - 8),
            (spot.right, centre + half),
        )
    else:
        corners = (
            (spot.left, centre + half),
            (box.left + 8, box.top),
            (box.right - 8, box.top),
            (spot.right, centre + half),
        )
    return group(path(corners, "lens-ray", closed=True), marked)
