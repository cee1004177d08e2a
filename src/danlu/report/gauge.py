"""A table cell's picture of an interval: the forecast hollow, the measured value filled."""

from markupsafe import Markup

from danlu.report import svg
from danlu.report.outcome import Quantity

_WIDTH, _HEIGHT = 132.0, 26.0
_INTERVAL = (0.25, 0.75)
"""Where the interval's ends stand, as shares of the width; a value far outside is drawn at the edge."""


def gauge(quantity: Quantity) -> Markup:
    """Draw the interval; nothing where there is none."""
    low, high, forecast = quantity.low, quantity.high, quantity.forecast
    if low is None or high is None or forecast is None or high <= low:
        return Markup()

    def place(value: float) -> float:
        share = _INTERVAL[0] + (value - low) / (high - low) * (_INTERVAL[1] - _INTERVAL[0])
        return _WIDTH * min(max(share, 0.06), 0.94)

    middle = _HEIGHT / 2
    bar = {"x": place(low), "y": middle - 5, "width": place(high) - place(low), "height": 10.0}
    parts = [
        svg.line(4, middle, _WIDTH - 4, middle, "grid"),
        svg.element("rect", class_="interval", rx=3, **bar),
        svg.diamond(place(forecast), middle, 7, "forecast"),
    ]
    if quantity.measured is not None:
        parts.append(svg.diamond(place(quantity.measured), middle, 5.5, "measured"))
    return svg.element(
        "svg",
        *parts,
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        width=_WIDTH,
        height=_HEIGHT,
        class_="figure gauge",
        aria_hidden="true",
    )
