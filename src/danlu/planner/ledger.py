"""Where every figure of a plan comes from: a graph whose leaves are what was given, published, fitted or assumed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Origin = Literal["given", "catalogue", "published", "calibrated", "assumed", "computed"]


@dataclass(frozen=True)
class Entry:
    """One figure."""

    name: str
    value: float
    unit: str
    origin: Origin
    how: str
    """The formula, or the source."""
    inputs: tuple[str, ...] = ()
    """Names of the figures it is computed from."""


class Ledger:
    """Figures in the order in which they were found; a computed one must name its inputs, which must be there."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def leaf(self, name: str, value: float, unit: str, origin: Origin, how: str) -> float:
        """Note a figure that is not computed, and give it back."""
        assert origin != "computed"
        self._entries[name] = Entry(name, float(value), unit, origin, how)
        return float(value)

    def computed(self, name: str, value: float, unit: str, how: str, *inputs: str) -> float:
        """Note a computed figure, and give it back."""
        assert inputs, name
        for each in inputs:
            assert each in self._entries, f"{name} needs {each}"
        self._entries[name] = Entry(name, float(value), unit, "computed", how, inputs)
        return float(value)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All figures."""
        return tuple(self._entries.values())

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self._entries


def trace(entries: tuple[Entry, ...], name: str) -> Iterator[tuple[int, Entry]]:
    """A figure and everything under it, with its depth; what was shown already is not opened again."""
    by_name = {entry.name: entry for entry in entries}
    seen: set[str] = set()

    def walk(key: str, depth: int) -> Iterator[tuple[int, Entry]]:
        entry = by_name[key]
        yield depth, entry
        if key in seen:
            return
        seen.add(key)
        for each in entry.inputs:
            yield from walk(each, depth + 1)

    return walk(name, 0)
