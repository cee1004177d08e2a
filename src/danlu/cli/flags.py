"""Words that need no help from the flag parser: `--name value` pairs for a flat dataclass.

tyro and what it loads take longer than most plans do. It writes every help and every complaint; words that are plainly
right it would only copy.
"""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")
_PLAIN: dict[type, Any] = {str: str, int: int, float: float, Path: Path}


def plain_flags(kind: type[T], words: list[str]) -> T | None:
    """The dataclass that the words mean; None where tyro is to read them: help, a mistake, or anything but plain pairs.

    A plain pair is `--name value` or `--name=value`, the name once, of a field that is text, a number or a path, or one
    of these or nothing.
    """
    if not is_dataclass(kind):
        return None
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, given, value = word.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        if not name.startswith("--") or key not in hints or key in values:
            return None
        if not given:
            if not rest:
                return None
            value = rest.pop(0)
        read = _PLAIN.get(_one(hints[key]))
        if read is None or value in ("", "None") or (value.startswith("-") and value != "-"):
            return None
        try:
            values[key] = read(value)
        except ValueError:
            return None
    missing = [
        field.name
        for field in fields(kind)
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING
    ]
    return None if missing else kind(**values)


def flag_name(word: str) -> str:
    """The flag that a word names, without a value behind it; any other word as it is."""
    return word.partition("=")[0].replace("_", "-") if word.startswith("-") else word


def _one(hint: Any) -> Any:
    """The type beside None in `type | None`, or the hint itself."""
    options = [option for option in get_args(hint) if option is not NoneType]
    return options[0] if len(options) == 1 and NoneType in get_args(hint) else hint
