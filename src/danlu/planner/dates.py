"""Dates as people write them."""

import calendar
from datetime import date

from danlu.common.errors import DanluError


def parse_date(text: str) -> date:
    """Read `2023`, `2023-11` or `2023-11-17`; a bare month or year means its last day.

    Raises:
        DanluError: it is none.
    """
    parts = text.strip().split("-")
    try:
        numbers = [int(part) for part in parts]
        if len(parts[0]) != 4 or not 1 <= len(parts) <= 3:
            raise ValueError
        year = numbers[0]
        month = numbers[1] if len(parts) > 1 else 12
        day = numbers[2] if len(parts) > 2 else calendar.monthrange(year, month)[1]
        return date(year, month, day)
    except (ValueError, calendar.IllegalMonthError) as error:
        raise DanluError(f"'{text}' is not a date.", "Write it as 2023, 2023-11 or 2023-11-17.") from error


def first_day(text: str) -> date:
    """The earliest day that a date of the catalogue can mean: a bare month or year is its first day."""
    return date.fromisoformat({4: text + "-01-01", 7: text + "-01"}.get(len(text), text))
