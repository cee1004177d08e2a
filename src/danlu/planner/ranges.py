"""A low, a middle and a high value with their sources: money and energy are never one false figure."""

import math
from dataclasses import dataclass

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Range:
    """Three values of one positive quantity, low to high, and where they come from.

    Low and high are meant as 10% and 90% points. Products and sums take their parts as independent: distances from
    the middle add in quadrature (of logarithms in a product), so a product's ends do not assume that everything
    turns out dear at once.
    """

    low: float
    mid: float
    high: float
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.mid <= self.high < math.inf:
            raise DanluError(
                f"{self.low:g}, {self.mid:g}, {self.high:g} are no range.",
                "Give low, middle and high in that order, above zero.",
            )

    @classmethod
    def exactly(cls, value: float, *sources: str) -> "Range":
        """A value without uncertainty, such as one that the user gave."""
        return cls(value, value, value, sources)

    def times(self, other: "Range | float") -> "Range":
        """The product."""
        other = _range(other)
        down = math.hypot(math.log(self.mid / self.low), math.log(other.mid / other.low))
        up = math.hypot(math.log(self.high / self.mid), math.log(other.high / other.mid))
        mid = self.mid * other.mid
        return Range(mid * math.exp(-down), mid, mid * math.exp(up), joined(self.sources, other.sources))

    def over(self, other: "Range | float") -> "Range":
        """The quotient: where the other is high, this is low."""
        other = _range(other)
        return self.times(Range(1 / other.high, 1 / other.mid, 1 / other.low, other.sources))

    def plus(self, other: "Range | float") -> "Range":
        """The sum."""
        other = _range(other)
        mid = self.mid + other.mid
        down = math.hypot(self.mid - self.low, other.mid - other.low)
        up = math.hypot(self.high - self.mid, other.high - other.mid)
        return Range(mid - down, mid, mid + up, joined(self.sources, other.sources))


def joined(*sources: tuple[str, ...]) -> tuple[str, ...]:
    """Sources without repetition, in order."""
    return tuple(dict.fromkeys(source for group in sources for source in group))


def quantile(values: list[float], share: float) -> float:
    """The quantile of a sample, linear between its members (share 0 is the least, 1 the greatest)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _range(value: Range | float) -> Range:
    return value if isinstance(value, Range) else Range.exactly(value)
