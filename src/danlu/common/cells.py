"""What a cell of a table says as a number: `125M`, `1,234,567`, `5,43`, `25%`, `1.2x10^6`, `3.1 ± 0.1`, `1.9亿`.

A comma or a point can part thousands or begin a fraction. Which, is decided for a whole column, with what other columns
show; where nothing shows it (`5,429` alone) the cell is not read at all.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

Style = Literal["english", "continental", "unclear"]
"""How numbers are written: `1,234.5`, `1.234,5`, or so that it could be either."""

_EMPTY = frozenset(
    ("", "nan", "na", "n/a", "none", "null", "n.a.", "#n/a", "#div/0!", "#value!", "#num!", "-", "--", "–", "—", "?")
)
SCALES = {
    **dict.fromkeys(("k", "thousand", "thousands", "千"), 1e3),
    **dict.fromkeys(("m", "mm", "million", "millions", "百万"), 1e6),
    **dict.fromkeys(("b", "bn", "g", "billion", "billions", "十亿"), 1e9),
    **dict.fromkeys(("t", "tn", "trillion", "trillions", "万亿", "兆"), 1e12),
    "万": 1e4,
    "千万": 1e7,
    "亿": 1e8,
    "百亿": 1e10,
    "千亿": 1e11,
}
"""Words and letters that multiply an amount."""
PREFIXES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21, "y": 1e24} | {
    word: 10.0 ** (3 * place)
    for place, word in enumerate(("kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta"), start=1)
}
"""What stands before FLOPs."""
_COUNTED = r"(?:params?|parameters?|tok|tokens?|flops?|个?参数|词元|个)"
_GAPS = "_'\u2019 \u00a0\u2009\u202f"
"""What may part thousands beside comma and point."""
_GAP = re.compile(f"[{_GAPS}]")
_PARTED = re.compile(rf"[+-]?\d{{1,3}}(?:[{_GAPS}]\d{{3}})+(?:[.,]\d*)?")


def _any_of(words: Mapping[str, float]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_CELL = re.compile(
    rf"(?P<digits>[+-]?[\d.,{_GAPS}]*\d[\d.,]*)"
    r"(?:e(?P<exponent>[+-]?\d+)|\s*[x×*]\s*10(?:\^|\*\*)\{?(?P<power>[+-]?\d+)\}?)?"
    r"(?:\s*(?:±|\+/?-)\s*[\d.,e-]+)?"
    rf"\s*(?:(?P<percent>%)|(?P<prefix>{_any_of(PREFIXES)})flops?|(?P<scale>{_any_of(SCALES)})?\s*{_COUNTED}?)",
    re.IGNORECASE,
)
_STYLES: dict[Style, re.Pattern[str]] = {
    "english": re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d*)(?:\.\d*)?"),
    "continental": re.compile(r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d*)(?:,\d*)?"),
}


def read_number(cell: str) -> float | None:
    """What a cell says on its own: nan where it says that there is no number, None where it is text or unclear."""
    return read_columns({"": [cell]})[""][0]


def read_columns(columns: Mapping[str, Sequence[str | None]]) -> dict[str, list[float | None]]:
    """Each column's cells as numbers: nan where empty, None where text or unclear."""
    plain = {name: [_plain(cell) for cell in cells] for name, cells in columns.items()}
    odd = [name for name, numbers in plain.items() if None in numbers]
    digits = {name: _digits(columns[name]) for name in odd}
    if any(_style(column) == "continental" for column in digits.values()):  # then points are not sure anywhere
        digits = {name: _digits(cells) for name, cells in columns.items()}
    styles = {name: _style(column) for name, column in digits.items() if column}
    known = {style for style in styles.values() if style != "unclear"}
    table: Style = known.pop() if len(known) == 1 else "unclear"
    settled = {name: _settled(style, table, digits[name]) for name, style in styles.items()}
    return {name: _numbers(columns[name], plain[name], settled.get(name, "english")) for name in columns}


def is_unclear(cell: str) -> bool:
    """Whether a cell on its own could be two numbers: `5,429` is 5.429 or 5429."""
    digits = _digits([cell])
    return bool(digits) and "," in digits[0] and all(pattern.fullmatch(digits[0]) for pattern in _STYLES.values())


def has_unit(cell: str) -> bool:
    """Whether a cell brings a unit of its own: `125M`."""
    found = _CELL.fullmatch(cell.strip())
    return bool(found and (found["scale"] or found["prefix"]))


def _plain(cell: str | None) -> float | None:
    if cell is None or cell.strip().lower() in _EMPTY:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None


def _digits(cells: Sequence[str | None]) -> list[str]:
    """The digits of the cells that have a comma or a point."""
    found = (_CELL.fullmatch(cell.strip()) for cell in cells if cell is not None and ("," in cell or "." in cell))
    return [match["digits"].strip() for match in found if match]


def _style(digits: Sequence[str]) -> Style:
    """What a column's own cells show."""
    fits = [style for style, pattern in _STYLES.items() if all(pattern.fullmatch(each) for each in digits)]
    return fits[0] if len(fits) == 1 else "unclear"


def _settled(style: Style, table: Style, digits: Sequence[str]) -> Style:
    """A column's style, from the others where its own cells do not show it; without any comma it is English then."""
    if style != "unclear":
        return style
    if table == "unclear" and not any("," in each for each in digits):
        return "english"
    return table


def _numbers(cells: Sequence[str | None], plain: Sequence[float | None], style: Style) -> list[float | None]:
    def number(cell: str | None, as_it_is: float | None) -> float | None:
        if cell is None or (as_it_is is not None and (style != "continental" or not _CELL.fullmatch(cell.strip()))):
            return as_it_is
        return _number(cell.strip(), style)

    return [number(cell, known) for cell, known in zip(cells, plain, strict=True)]


def _number(cell: str, style: Style) -> float | None:
    part = _CELL.fullmatch(cell)
    if part is None:
        return None
    digits = part["digits"].strip()
    if _PARTED.fullmatch(digits):
        digits = _GAP.sub("", digits)
    if style == "english" and _STYLES[style].fullmatch(digits):
        digits = digits.replace(",", "")
    elif style == "continental" and _STYLES[style].fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    if "," in digits or " " in digits:
        return None
    try:
        number = float(f"{digits}e{part['exponent'] or part['power'] or 0}")
    except ValueError:
        return None
    scale = SCALES.get((part["scale"] or "").lower(), 1.0) * PREFIXES.get((part["prefix"] or "").lower(), 1.0)
    return number * (0.01 if part["percent"] else scale)
