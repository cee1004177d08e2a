"""What is wrong with a verb's words, said plainly before the flag parser sees them."""

from dataclasses import fields
from types import NoneType
from typing import Any, get_args, get_type_hints

from danlu.common.errors import DanluError


def check_words(kind: type[Any], words: list[str]) -> None:
    """Refuse a flag that is given twice and a number that is none; all else is the flag parser's.

    Raises:
        DanluError: which flag, and what to write.
    """
    hints = get_type_hints(kind)
    known = {f"--{field.name.replace('_', '-')}": hints[field.name] for field in fields(kind)}
    seen: set[str] = set()
    for index, word in enumerate(words):
        flag, given, value = word.partition("=")
        flag = flag.replace("_", "-")
        if flag not in known:
            continue
        if flag in seen:
            raise DanluError(f"{flag} is given twice.", "Give it once.")
        seen.add(flag)
        if not given:
            value = words[index + 1] if index + 1 < len(words) else ""
        types = [option for option in get_args(known[flag]) or (known[flag],) if option is not NoneType]
        if value and types and types[0] in (int, float):
            _check_number(flag, value, types[0])


def _check_number(flag: str, value: str, kind: type[int] | type[float]) -> None:
    try:
        kind(value)
    except ValueError:
        if value.startswith("--"):
            return  # the value is missing, which the flag parser says
        what = "a whole number in digits, such as 1024" if kind is int else "a number, such as 2.5"
        raise DanluError(
            f"{flag} is '{value}', which is no {'whole ' * (kind is int)}number.", f"Give {what}."
        ) from None
