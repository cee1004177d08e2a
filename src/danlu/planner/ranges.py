"""A low, a middle and a high value with their sources: money and energy are never one false figure."""

from dataclasses import dataclass

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Range:
    """Three values of one positive quantity, low to high, and where they come from.

    Products take lows with lows and highs with highs, so the ends of a product lie further out than an 80% interval of
    independent factors would: they are what happens when everything turns out cheap, or everything dear.
    """

    low: float
    mid: float
    high: float
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.mid <= self.high < float("inf"):
            raise DanluError(
                f"{self.low:g}, {self.mid:g}, {self.high:g} are no range.", "Give low, middle and high, in that order."
            )

    @classmethod
    def exactly(cls, value: float, *sources: str) -> "Range":
        """A value without uncertainty, such as one that the user gave."""
        return cls(value, value, value, sources)

    def times(self, other: "Range | float") -> "Range":
        """The product."""
        other = _range(other)
        return Range(
            self.low * other.low, self.mid * other.mid, self.high * other.high, joined(self.sources, other.sources)
        )

    def over(self, other: "Range | float") -> "Range":
        """The quotient; the low end is over the other's high end.

        Raises:
            DanluError: the other range touches zero.
        """
        other = _range(other)
        if other.low <= 0:
            raise DanluError("a range is divided by zero.", "Give a number above zero.")
        return Range(
            self.low / other.high, self.mid / other.mid, self.high / other.low, joined(self.sources, other.sources)
        )

    def plus(self, other: "Range | float") -> "Range":
        """The sum."""
        other = _range(other)
        return Range(
            self.low + other.low, self.mid + other.mid, self.high + other.high, joined(self.sources, other.sources)
        )


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
