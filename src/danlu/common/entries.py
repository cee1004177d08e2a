"""A TOML file of many named entries, read one by one: to parse a whole catalogue takes longer than most commands."""

import re
from collections.abc import Callable, Mapping


def split_entries(text: str, table: str) -> dict[str, str]:
    """The text of each `[[table]]` by its name, which stands first in it."""
    return {block.split('"', 2)[1]: block for block in text.split(f"\n[[{table}]]\n")[1:]}


def entry_labels(entries: Mapping[str, str], key: Callable[[str], str]) -> dict[str, str]:
    """Names and aliases of the entries, as `key` makes them comparable, with the name that each means."""
    found: dict[str, str] = {}
    for name, block in entries.items():
        aliases = re.match(r'name = ".*"\naliases = \[([^\]]*)\]', block)
        labels = re.findall(r'"([^"]*)"', aliases[1]) if aliases else []
        found |= {key(label): name for label in (name, *labels)}
    return found
