"""Numbers as people read them. One place, so that the page, the picture and the terminal agree to the last digit."""

from datetime import UTC, datetime

from danlu.common.duration import format_count, format_seconds
from danlu.report.language import Text

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def loss(value: float | None, digits: int = 4) -> str:
    """A loss in nats a token, or bits a byte."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """Both ends of an interval of a loss."""
    return NONE if low is None or high is None else f"{loss(low, digits)} – {loss(high, digits)}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share, without sign: 0.123 is 12.3%."""
    return NONE if value is None else f"{100 * value:.{digits}f}%".replace("-", MINUS)


def signed_percent(value: float | None) -> str:
    """A relative error: two digits after the point below one percent, one above; zero has no sign."""
    if value is None:
        return NONE
    digits = 2 if abs(value) < 0.01 else 1
    text = f"{100 * value:+.{digits}f}%"
    return text.lstrip("+-") if float(text[:-1]) == 0 else text.replace("-", MINUS)


def count(value: float | None) -> str:
    """Three digits and a letter: 786k, 1.23M."""
    return NONE if value is None else format_count(value)


def whole(value: float | None) -> str:
    """Every digit, in groups of three."""
    return NONE if value is None else f"{value:,.0f}".replace("-", MINUS)


def flops(value: float | None) -> str:
    """Compute as a power of ten: 1.23×10¹⁴."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def size(value: float | None) -> str:
    """Bytes in powers of 1000: 1.23 GB."""
    if value is None:
        return NONE
    for scale, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} B"


def moment(iso: str | None) -> str:
    """A moment in ISO 8601 as day and time in UTC; as it stands where it is not ISO 8601."""
    if iso is None:
        return NONE
    try:
        return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError):
        return iso


def times(value: float | None) -> str:
    """A factor, two digits: 12×, 3.4×."""
    if value is None:
        return NONE
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.2g}×"


def seconds(value: float | None) -> Text:
    """A length of time."""
    if value is None:
        return Text(NONE, NONE)
    english = format_seconds(value)
    chinese = english
    for word, sign in ((" days", " 天"), (" min", " 分"), (" h", " 小时"), (" s", " 秒")):
        chinese = chinese.replace(word, sign)
    return Text(english, chinese)
