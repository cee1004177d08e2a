"""The arithmetic behind claims: each check shows its lines and comes to a verdict."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from danlu.common.duration import format_count
from danlu.common.errors import DanluError
from danlu.planner.outlook.growth import doubling_months, yearly_factor
from danlu.planner.outlook.said import Said, same
from danlu.planner.outlook.shares import feasible

Verdict = Literal["consistent", "conditional", "does not add up", "mislabelled", "impossible", "outdated", "computed"]
"""What the arithmetic says: the figures agree; they agree only on a condition that the lines name; they disagree; they
stand but not for what they are said of; no such thing can be; it was or has become untrue; or nothing was claimed to
compare with."""

_HOUR = 3600.0


@dataclass(frozen=True)
class Check:
    """A claim recomputed."""

    verdict: Verdict
    lines: tuple[Said, ...]
    """The arithmetic, one step a line."""
    figures: Mapping[str, float]
    """The results by name, unrounded: shares and rates as fractions, money in USD."""


@dataclass(frozen=True)
class Number:
    """A number as somebody wrote it: what rounding left open counts when it is compared."""

    value: float
    half: float
    """Half a unit of its last digit."""

    @property
    def low(self) -> float:
        """The least value that rounds to it."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """The greatest value that rounds to it."""
        return self.value + self.half


def number(text: str) -> Number:
    """Read `10.34` with half a unit of its last digit as its uncertainty.

    Raises:
        DanluError: it is no number.
    """
    try:
        value = float(text)
    except ValueError as error:
        raise DanluError(f"'{text}' is not a number.", "Write it as 103.4 or 3.14e23.") from error
    if not math.isfinite(value):
        raise DanluError(f"'{text}' is not a finite number.", "Write it as 103.4 or 3.14e23.")
    mantissa, _, power = text.lower().partition("e")
    places = len(mantissa.partition(".")[2])
    return Number(value, 0.5 * 10.0 ** (int(power or 0) - places))


def cagr(first: str, last: str, year: int, last_year: int, stated: str | None = None, base: int | None = None) -> Check:
    """The growth a year between two ends, and a stated one against it.

    The stated growth is consistent when some ends and some growth that round to the printed figures agree.

    Args:
        stated: the claimed growth (percent a year).
        base: the year that the claim's growth starts in, where that is not the first end's.

    Raises:
        DanluError: an end is not positive, or the years are not in order.
    """
    one, other = number(first), number(last)
    years = last_year - year
    if years <= 0:
        raise DanluError(f"the years {year} and {last_year} are not in order.", "Give the earlier end first.")
    factor = yearly_factor(one.value, other.value, years)
    lines = [same(f"({last} / {first})^(1/{years}) − 1 = {_percent(factor - 1)} / y")]
    figures = {"cagr": factor - 1}
    if stated is None:
        months = doubling_months(factor)
        if math.isfinite(months):
            lines.append(Said(f"doubling in {months / 12:.1f} years", f"{months / 12:.1f} 年翻一番"))
        return Check("computed", tuple(lines), figures)
    claim = number(stated)
    if base is not None and base != year:
        return _other_base(one, other, (year, last_year, base), claim, lines, figures)
    least, most = (yearly_factor(one.high, max(other.low, 1e-300), years), yearly_factor(one.low, other.high, years))
    if least - 1 <= claim.high / 100 and most - 1 >= claim.low / 100:
        return Check("consistent", tuple(lines), figures)
    end = one.value * (1 + claim.value / 100) ** years
    longer = yearly_factor(one.value, other.value, years + 1)
    start = other.value / (1 + claim.value / 100) ** years
    lines += [
        Said(f"{stated}% would end at {end:.2f}, not {last}", f"若为 {stated}%，终值应为 {end:.2f}，而非 {last}"),
        Said(f"or start at {start:.2f}, not {first}", f"或起点应为 {start:.2f}，而非 {first}"),
        Said(
            f"over {years + 1} years it would be {_percent(longer - 1)}",
            f"若按 {years + 1} 年计则为 {_percent(longer - 1)}",
        ),
    ]
    figures |= {"end at the stated rate": end, "start at the stated rate": start, "over one year more": longer - 1}
    return Check("does not add up", tuple(lines), figures)


def _other_base(
    one: Number, other: Number, years: tuple[int, int, int], claim: Number, lines: list[Said], figures: dict[str, float]
) -> Check:
    year, last_year, base = years
    span = last_year - base
    implied = other.value / (1 + claim.value / 100) ** span
    formula = f"{other.value:g} / {1 + claim.value / 100:.3f}^{span} = {implied:.1f}"
    lines.append(
        Said(
            f"{claim.value:g}% from {base} needs {formula} in {base}",
            f"自 {base} 年起 {claim.value:g}% 要求当年为 {formula}",
        )
    )
    figures["implied base"] = implied
    if base < year:
        step = one.value / implied
        lines.append(
            Said(
                f"then {base} to {year} grew by {_percent(step - 1)}",
                f"于是 {base} 至 {year} 年增长 {_percent(step - 1)}",
            )
        )
        figures["growth after the base"] = step - 1
    wrong = one.value * (1 + claim.value / 100) ** (last_year - year)
    lines.append(
        Said(
            f"applied from {year} it would give {wrong:.0f} in {last_year}",
            f"若从 {year} 年起算，{last_year} 年将为 {wrong:.0f}",
        )
    )
    figures["end if applied from the first year"] = wrong
    return Check("conditional", tuple(lines), figures)


def project(first: str, percent: str, year: int, last_year: int, stated: str | None = None) -> Check:
    """A value carried on by a growth a year, and a stated end against it.

    Raises:
        DanluError: a number is none, or the growth is a fall to nothing.
    """
    start, rate = number(first), number(percent)
    if rate.value <= -100:
        raise DanluError(f"a growth of {percent}% leaves nothing.", "Give a growth above -100%.")
    years = last_year - year
    value = start.value * (1 + rate.value / 100) ** years
    lines = [same(f"{first} × {1 + rate.value / 100:.4g}^{years} = {value:.5g}")]
    figures = {"end": value}
    if stated is None:
        return Check("computed", tuple(lines), figures)
    claim = number(stated)
    least = start.low * (1 + rate.low / 100) ** years
    most = start.high * (1 + rate.high / 100) ** years
    if years < 0:
        least, most = start.low * (1 + rate.high / 100) ** years, start.high * (1 + rate.low / 100) ** years
    agrees = least <= claim.high and most >= claim.low
    return Check("consistent" if agrees else "does not add up", tuple(lines), figures)


def growth(factor: float, years: float, stated_per_year: float | None = None) -> Check:
    """A growth in total as one a year, with its doubling time.

    Raises:
        DanluError: the factor or the years are not positive.
    """
    if factor <= 0 or years <= 0:
        raise DanluError("a growth needs a factor and a time above zero.", "Write it as: growth 300000 7.")
    yearly = yearly_factor(1.0, factor, years)
    months = doubling_months(yearly)
    doubling = f", doubling in {months:.1f} months" if math.isfinite(months) else ""
    doubling_zh = f"，{months:.1f} 个月翻一番" if math.isfinite(months) else ""
    lines = [
        Said(
            f"{factor:g}^(1/{years:g}) = {yearly:.3g} times a year{doubling}",
            f"{factor:g}^(1/{years:g}) = 每年 {yearly:.3g} 倍{doubling_zh}",
        )
    ]
    figures = {"times a year": yearly, "doubling months": months if math.isfinite(months) else 0.0}
    if stated_per_year is None:
        return Check("computed", tuple(lines), figures)
    close = abs(math.log(yearly / stated_per_year)) < 0.02
    return Check("consistent" if close else "does not add up", tuple(lines), figures)


def run(chips: float, days: float, flops: float, peak: float | None = None, peak_name: str = "") -> Check:
    """What a training run on so many chips for so long implies of each chip's rate.

    Args:
        flops: the run's total.
        peak: the chip's peak (FLOP/s), to compare with.

    Raises:
        DanluError: a number is not positive.
    """
    if min(chips, days, flops) <= 0:
        raise DanluError("a run needs chips, days and FLOPs above zero.", "Write it as: run 10000 v100 13 3.14e23.")
    hours = chips * days * 24
    rate = flops / (hours * _HOUR)
    lines = [
        Said(
            f"{chips:g} × {days:g} d × 24 h = {format_count(hours)} chip-hours",
            f"{chips:g} × {days:g} 天 × 24 小时 = {format_count(hours)} 卡时",
        ),
        same(f"{flops:.3g} / ({hours:.4g} × 3600 s) = {rate / 1e12:.1f} TFLOP/s"),
    ]
    figures = {"chip-hours": hours, "rate": rate}
    if peak is None:
        return Check("computed", tuple(lines), figures)
    share = rate / peak
    lines.append(
        same(f"{rate / 1e12:.1f} / {peak / 1e12:g} TFLOP/s{f' ({peak_name})' if peak_name else ''} = {_percent(share)}")
    )
    figures["share of peak"] = share
    return Check("impossible" if share > 1 else "consistent", tuple(lines), figures)


def cost(chip_hours: float, usd: float) -> Check:
    """What a cost implies of the price of a chip and hour.

    Raises:
        DanluError: a number is not positive.
    """
    if chip_hours <= 0 or usd <= 0:
        raise DanluError("a cost needs hours and dollars above zero.", "Write it as: cost 3.12e6 4.6e6.")
    rate = usd / chip_hours
    line = Said(
        f"{format_count(usd)} USD / {format_count(chip_hours)} chip-hours = {rate:.2f} USD",
        f"{format_count(usd)} 美元 / {format_count(chip_hours)} 卡时 = {rate:.2f} 美元",
    )
    return Check("computed", (line,), {"usd per chip-hour": rate})


def flops(params: float, tokens: float, stated: float | None = None) -> Check:
    """Training compute of a dense model, C = 6 N D (Kaplan et al. 2020, section 2.1), against a stated one.

    Consistent within 10%: attention and embeddings are left out of the formula.

    Raises:
        DanluError: a number is not positive.
    """
    if min(params, tokens, stated or 1.0) <= 0:
        raise DanluError("compute needs parameters and tokens above zero.", "Write it as: flops 175B 300B.")
    value = 6 * params * tokens
    lines = [same(f"6 × {format_count(params)} × {format_count(tokens)} = {value:.3g} FLOPs")]
    if stated is None:
        return Check("computed", tuple(lines), {"flops": value})
    lines.append(same(f"{stated:.3g} / {value:.3g} = {stated / value:.2f}"))
    agrees = abs(stated / value - 1) <= 0.10
    return Check("consistent" if agrees else "does not add up", tuple(lines), {"flops": value, "ratio": stated / value})


def share(part: str, whole: str, stated: str | None = None) -> Check:
    """A part of a whole, against a stated percentage.

    Raises:
        DanluError: a number is none, or the whole is not positive.
    """
    one, other = number(part), number(whole)
    if other.value <= 0:
        raise DanluError("a share needs a whole above zero.", "Write it as: share 14.75 154.")
    value = one.value / other.value
    lines = [same(f"{part} / {whole} = {_percent(value)}")]
    if stated is None:
        return Check("computed", tuple(lines), {"share": value})
    claim = number(stated)
    least, most = one.low / other.high * 100, one.high / max(other.low, 1e-300) * 100
    agrees = least <= claim.high and most >= claim.low
    return Check("consistent" if agrees else "does not add up", tuple(lines), {"share": value})


def shares(ranges: Mapping[str, tuple[float, float]]) -> Check:
    """Whether ranges of shares can sum to the whole, and how far the sum tightens them.

    Args:
        ranges: (low, high) by name, as fractions.
    """
    lows, highs = (sum(each[end] for each in ranges.values()) for end in (0, 1))
    lines = [
        Said(f"low ends sum to {lows:.0%}, high ends to {highs:.0%}", f"下端之和 {lows:.0%}，上端之和 {highs:.0%}")
    ]
    figures = {"sum of low ends": lows, "sum of high ends": highs}
    try:
        tight = feasible(ranges)
    except DanluError:
        return Check("impossible", tuple(lines), figures)
    agrees = True
    for name, (low, high) in tight.items():
        before_low, before_high = ranges[name]
        figures |= {f"{name} low": low, f"{name} high": high}
        if low > before_low + 1e-9 or high < before_high - 1e-9:
            agrees = False
            lines.append(
                Said(
                    f"{name}: {before_low:.0%} to {before_high:.0%} must be {low:.0%} to {high:.0%}",
                    f"{name}：{before_low:.0%}–{before_high:.0%} 必须为 {low:.0%}–{high:.0%}",
                )
            )
    return Check("consistent" if agrees else "does not add up", tuple(lines), figures)


def ratio(above: str, below: str, stated: str | None = None, within: float = 0.0) -> Check:
    """One number over another (a conversion, a price, a multiple), against a stated result.

    Args:
        within: how far apart they may be and still agree, as a fraction, beside rounding.

    Raises:
        DanluError: a number is none, or the lower one is zero.
    """
    one, other = number(above), number(below)
    if other.low <= 0 < other.high or other.value == 0:
        raise DanluError("a ratio over zero says nothing.", "Write it as: ratio 35.03 6.45 5.39.")
    value = one.value / other.value
    lines = [same(f"{above} / {below} = {value:.4g}")]
    if stated is None:
        return Check("computed", tuple(lines), {"ratio": value})
    claim = number(stated)
    ends = sorted((one.low / other.high, one.high / other.low))
    agrees = ends[0] <= claim.high * (1 + within) and ends[1] >= claim.low * (1 - within)
    lines.append(same(f"{stated} / {value:.4g} = {claim.value / value:.3f}"))
    return Check("consistent" if agrees else "does not add up", tuple(lines), {"ratio": value})


def _percent(value: float) -> str:
    return f"{value * 100:.1f}%"
