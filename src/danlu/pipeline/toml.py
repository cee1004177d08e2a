"""TOML out: the standard library reads TOML and does not write it."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dump_toml(value: Mapping[str, Any], header: str = "") -> str:
    """TOML text of nested mappings, lists and scalars; a key whose value is None is left out, since TOML has no null.

    Args:
        header: comment lines for the top, without their `#`.
    """
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    lines += _table(value, ())
    return "\n".join(lines).strip("\n") + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    scalars = {key: item for key, item in table.items() if item is not None and not isinstance(item, Mapping)}
    tables = {key: item for key, item in table.items() if isinstance(item, Mapping)}
    lines = [""]
    if path and (scalars or not tables):
        lines.append(f"[{'.'.join(map(_key, path))}]")
    lines += [f"{_key(key)} = {_value(item)}" for key, item in scalars.items()]
    for key, item in tables.items():
        lines += _table(item, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    # JSON's escapes are a subset of TOML's, but JSON lets DEL through and TOML does not.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise ValueError(f"TOML has no form for {type(value).__name__}")
