"""Growth by the year: from two ends, or fitted through points, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Growth:
    """A growth fitted through points."""

    factor: float
    """Times a year."""
    low: float
    high: float
    """Ends of the confidence interval of the factor."""
    level: float
    """Its level, such as 0.9."""
    intercept: float
    """log10 of the value in year 0."""
    scatter: float
    """Standard deviation of log10 of the points about the line."""
    num_points: int

    @property
    def doubling_months(self) -> float:
        """Months in which the value doubles."""
        return doubling_months(self.factor)

    def at(self, year: float) -> float:
        """The line's value in a year."""
        return float(10 ** (self.intercept + math.log10(self.factor) * year))


def yearly_factor(first: float, last: float, years: float) -> float:
    """Times a year that lead from one value to another: (last / first) ** (1 / years). Its excess over 1 is the CAGR.

    Raises:
        DanluError: a value is not positive, or no time passes.
    """
    if not (first > 0 and last > 0):
        raise DanluError("growth needs values above zero.", "Give both ends, such as 53.9 and 103.4.")
    if years == 0:
        raise DanluError("growth needs two different years.", "Give the year of each end, such as 2021 and 2025.")
    return float((last / first) ** (1 / years))


def doubling_months(factor: float) -> float:
    """Months in which something doubles that grows by a factor a year; infinite where it does not grow."""
    return 12 * math.log(2) / math.log(factor) if factor > 1 else math.inf


def fit_growth(points: Sequence[tuple[float, float]], level: float = 0.9) -> Growth:
    """Ordinary least squares of log10(value) on the year; the interval is Student's, of the slope.

    Args:
        points: (year, value); at least three, in at least two different years.

    Raises:
        DanluError: too few points, or a value that is not positive.
    """
    if len(points) < 3 or len({year for year, _ in points}) < 2:
        raise DanluError("a growth needs at least three points in different years.", "Give more points.")
    if min(value for _, value in points) <= 0:
        raise DanluError("growth needs values above zero.", "Leave out the points that are not.")
    years, logs = [year for year, _ in points], [math.log10(value) for _, value in points]
    count = len(points)
    mean_year, mean_log = sum(years) / count, sum(logs) / count
    spread = sum((year - mean_year) ** 2 for year in years)
    slope = sum((year - mean_year) * (log - mean_log) for year, log in zip(years, logs, strict=True)) / spread
    intercept = mean_log - slope * mean_year
    squares = sum((log - intercept - slope * year) ** 2 for year, log in zip(years, logs, strict=True))
    scatter = math.sqrt(squares / (count - 2))
    reach = student_quantile(0.5 + level / 2, count - 2) * scatter / math.sqrt(spread)
    return Growth(
        float(10**slope), float(10 ** (slope - reach)), float(10 ** (slope + reach)), level, intercept, scatter, count
    )


def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution, by bisection on its integral (Simpson's rule, 400 steps).

    Args:
        probability: from 0.5 up to, but not, 1.
    """
    assert 0.5 <= probability < 1
    assert freedom >= 1
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    power = -(freedom + 1) / 2

    def below(end: float) -> float:
        # x = sinh(u) shortens the heavy tails, so that even one degree of freedom is integrated well.
        steps, top = 400, math.asinh(end)
        width = top / steps
        total = 0.0
        for index in range(steps + 1):
            u = index * width
            weight = 1 if index in (0, steps) else (4 if index % 2 else 2)
            total += weight * (1 + math.sinh(u) ** 2 / freedom) ** power * math.cosh(u)
        return 0.5 + scale * total * width / 3

    low, high = 0.0, 1.0
    while below(high) < probability:
        high *= 2
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < probability else (low, middle)
    return (low + high) / 2
