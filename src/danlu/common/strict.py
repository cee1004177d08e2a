"""Dataclasses from untrusted mappings (TOML, JSON), strictly: an unknown key or a wrong type is an error that helps."""

import dataclasses
import difflib
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from danlu.common.errors import DanluError

T = TypeVar("T")


def from_mapping(cls: type[T], data: Mapping[str, Any], source: str) -> T:
    """Build the frozen dataclass `cls` from `data`; nested tables become nested dataclasses.

    Args:
        source: the file's name, for the error.

    Raises:
        DanluError: an unknown key (with the tables that know it, or the nearest valid one), a missing key or a value of
            the wrong type.
    """
    return _table(cls, data, source, "", cls)


def _table(cls: type[T], data: Mapping[str, Any], source: str, where: str, root: type) -> T:
    """The table at the dotted key `where` of the document that `root` describes."""
    hints = _hints(cls)  # type: ignore[arg-type]  # a class is hashable
    fields = _fields(cls)
    values: dict[str, Any] = {}
    for key, value in data.items():
        full = f"{where}.{key}" if where else key
        if key not in fields:
            raise DanluError(f"{source}: unknown key '{full}'.", _hint(key, where, list(fields), root))
        values[key] = _convert(hints[key], value, source, full, root)
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        prefix = f"{where}." if where else ""
        raise DanluError(f"{source}: missing key '{prefix}{missing[0]}'.", "Add it.")
    return cls(**values)


def _hint(key: str, where: str, valid: Sequence[str], root: type) -> str:
    """What to do about a key that the table `where` does not know: a key of another table is more likely in the wrong
    place than misspelt."""
    if homes := _homes(root, key):
        below = [home for home in homes if home.startswith(f"[{where}.")]
        return f"It belongs to {' or '.join(below or homes)}."
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.4)
    return f"Did you mean '{near[0]}'?" if near else f"Valid keys here: {', '.join(valid)}."


def _homes(cls: type, key: str, where: str = "") -> list[str]:
    """The tables, from one on downwards, that know a key."""
    found = [f"[{where}]" if where else "the top, before all tables"] if key in _fields(cls) else []
    for name, hint in _hints(cls).items():
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found += _homes(hint, key, f"{where}.{name}" if where else name)
    return found


def _fields(cls: Any) -> dict[str, dataclasses.Field[Any]]:
    """The keys that a table may have."""
    return {field.name: field for field in dataclasses.fields(cls) if field.init}


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _convert(hint: Any, value: Any, source: str, where: str, root: type) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, Mapping):
            return _table(hint, value, source, where, root)
    elif origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        options = [option for option in args if option is not type(None)]
        for option in options:
            try:
                return _convert(option, value, source, where, root)
            except DanluError:
                if len(options) == 1:
                    raise
    elif origin is Literal:
        if value in args:
            return value
        raise DanluError(f"{source}: '{where}' is {value!r}.", f"It must be one of {', '.join(map(repr, args))}.")
    elif origin is tuple:
        if isinstance(value, list | tuple):
            hints = args[:1] * len(value) if args[1:] == (Ellipsis,) else args
            if len(hints) == len(value):
                pairs = enumerate(zip(hints, value, strict=True))
                return tuple(_convert(hint, item, source, f"{where}[{i}]", root) for i, (hint, item) in pairs)
    elif origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if isinstance(value, Mapping):
            return {key: _convert(args[1], item, source, f"{where}.{key}", root) for key, item in value.items()}
    elif hint is Any:
        return value
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise DanluError(f"{source}: '{where}' is {value!r}, which is not {_words(hint)}.", "Correct the value.")


def _words(hint: Any) -> str:
    """What a value has to be, for the person who wrote another."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(option) for option in args if option is not type(None))
    if origin is tuple:
        return "a list"
    if dataclasses.is_dataclass(hint) or origin in (dict, Mapping):
        return "a table of keys"
    plain = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}
    return plain.get(hint, f"of type {getattr(hint, '__name__', hint)}")


def to_mapping(value: Any) -> Any:
    """The plain form of a dataclass tree: mappings, lists and scalars, ready for JSON or TOML. None stays None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_mapping(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_mapping(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_mapping(item) for item in value]
    return value
