"""Checks as a person writes them: `cagr 53.9 103.4 2021 2025`."""

import difflib
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, find_chip
from danlu.planner.dates import parse_date
from danlu.planner.money import rent
from danlu.planner.outlook import arithmetic
from danlu.planner.outlook.arithmetic import Check, Verdict
from danlu.planner.outlook.said import Said
from danlu.planner.ranges import Range

_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_AMOUNT = re.compile(r"([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)([kKMBGTPE]?)([A-Za-z/$-]*)")


@dataclass(frozen=True)
class Form:
    """One kind of check."""

    usage: str
    does: str
    example: str
    least: int
    """Fewest words after the verb."""
    most: int
    run: Callable[[Sequence[str]], Check]


def check(text: str) -> Check:
    """Recompute a claim written in one of the forms of `FORMS`.

    Raises:
        DanluError: no such form, too few or too many words, or a number that is none.
    """
    try:
        verb, *words = shlex.split(text.replace(",", " "))
    except ValueError as error:
        raise DanluError(f"cannot read the check '{text}'.", _listing()) from error
    if verb not in FORMS:
        near = difflib.get_close_matches(verb, FORMS, n=1)
        hint = f"Did you mean: {FORMS[near[0]].usage}" if near else _listing()
        raise DanluError(f"there is no check '{verb}'.", hint)
    form = FORMS[verb]
    if not form.least <= len(words) <= form.most:
        many = f"{form.least}" if form.least == form.most else f"{form.least} to {form.most}"
        raise DanluError(
            f"'{verb}' takes {many} words, not {len(words)}.",
            f"Write it as: {form.usage}, for example: {form.example}.",
        )
    return form.run(words)


def amount(word: str, unit: Sequence[str], example: str) -> float:
    """Read `175B`, `3.14e23flops`, `13days`, `4.6Musd`.

    Args:
        unit: spellings of the unit that may follow the number; none at all is fine too.

    Raises:
        DanluError: no number, or another unit.
    """
    match = _AMOUNT.fullmatch(word)
    if match:
        digits, prefix, name = match.groups()
        for letter, rest in ((prefix, name), ("", prefix + name)):
            if rest.lower() in ("", *unit):
                return float(digits) * _PREFIXES[letter]
    known = f" in {unit[0]}" if unit else ""
    raise DanluError(f"'{word}' is not an amount{known}.", f"Write it as {example}.")


def _year(word: str) -> int:
    if re.fullmatch(r"[12][0-9]{3}", word):
        return int(word)
    raise DanluError(f"'{word}' is not a year.", "Write it as 2021.")


def _plain(word: str) -> str:
    return word.rstrip("%")


def _cagr(words: Sequence[str]) -> Check:
    stated = _plain(words[4]) if len(words) > 4 else None
    base = _year(words[5]) if len(words) > 5 else None
    return arithmetic.cagr(words[0], words[1], _year(words[2]), _year(words[3]), stated, base)


def _project(words: Sequence[str]) -> Check:
    stated = words[4] if len(words) > 4 else None
    return arithmetic.project(words[0], _plain(words[1]), _year(words[2]), _year(words[3]), stated)


def _growth(words: Sequence[str]) -> Check:
    factor, years = amount(words[0].rstrip("x"), ["x"], "300000"), amount(words[1], ["years", "year", "y"], "7")
    stated = amount(words[2].rstrip("x"), ["x"], "6") if len(words) > 2 else None
    return arithmetic.growth(factor, years, stated)


def _run(words: Sequence[str]) -> Check:
    chip: Chip | None = None
    rest = list(words)
    if len(words) == 4:
        chip = find_chip(rest.pop(1))
    days = amount(rest[1], ["days", "day", "d"], "13days")
    total = amount(rest[2], ["flops", "flop"], "3.14e23flops")
    peak = None
    name = ""
    if chip is not None:
        name = next((each for each in ("bf16", "fp16", "fp32") if each in chip.peaks), "bf16")
        peak = chip.peak(name)
        name = f"{chip.name}, {name}"
    return arithmetic.run(amount(rest[0], ["chips", "gpus"], "10000"), days, total, peak, name)


def _cost(words: Sequence[str]) -> Check:
    hours = amount(words[0], ["chip-hours", "gpu-hours", "hours", "h"], "3.12M")
    usd = amount(words[1], ["usd", "$"], "4.6Musd")
    found = arithmetic.cost(hours, usd)
    if len(words) == 2:
        return found
    if len(words) == 3:
        raise DanluError("a cost beside a chip's prices needs a date.", f"Write it as: {FORMS['cost'].usage}.")
    chip, on = find_chip(words[2]), parse_date(words[3])
    rate = found.figures["usd per chip-hour"]
    demand = rent(chip, on)
    lines, ranges = [*found.lines, _offer("on demand", "按需", demand.usd, hours)], [demand.usd]
    for kind, en, zh in (("rent-1y", "one year", "一年承诺"), ("rent-3y", "three years", "三年承诺")):
        if any(price.kind == kind for price in chip.prices):
            quote = rent(chip, on, "rent-1y" if kind == "rent-1y" else "rent-3y")
            lines.append(_offer(en, zh, quote.usd, hours))
            ranges.append(quote.usd)
    if demand.usd.low <= rate <= demand.usd.high:
        verdict: Verdict = "consistent"
    elif any(each.low <= rate <= each.high for each in ranges):
        verdict = "conditional"  # at the price of a commitment only
    else:
        verdict = "does not add up"
    figures = {**found.figures, "on demand": demand.usd.mid * hours}
    return Check(verdict, tuple(lines), figures)


def _offer(en: str, zh: str, usd: Range, hours: float) -> Said:
    spread = f"{usd.mid:.2f} ({usd.low:.2f} – {usd.high:.2f}) USD/h"
    total = f"{usd.mid * hours / 1e6:.2f}M USD"
    return Said(f"offers, {en}: {spread}, so {total}", f"报价，{zh}：{spread}，合 {total}")


def _flops(words: Sequence[str]) -> Check:
    params, tokens = amount(words[0], ["params"], "175B"), amount(words[1], ["tokens"], "300B")
    return arithmetic.flops(params, tokens, amount(words[2], ["flops"], "3.14e23") if len(words) > 2 else None)


def _share(words: Sequence[str]) -> Check:
    return arithmetic.share(words[0], words[1], _plain(words[2]) if len(words) > 2 else None)


def _ratio(words: Sequence[str]) -> Check:
    within = amount(_plain(words[3]), [], "2%") / 100 if len(words) > 3 else 0.0
    return arithmetic.ratio(words[0], words[1], words[2] if len(words) > 2 else None, within)


def _shares(words: Sequence[str]) -> Check:
    ranges = {}
    for index, word in enumerate(words):
        name, _, ends = word.rpartition("=")
        match = re.fullmatch(r"([0-9.]+)-([0-9.]+)%?", ends)
        if not match:
            raise DanluError(f"'{word}' is not a range of shares.", "Write it as 55-75 or chips=55-75.")
        low, high = (arithmetic.number(end).value / 100 for end in match.groups())
        if low > high:
            raise DanluError(f"the range '{word}' is upside down.", "Give the lower end first.")
        ranges[name or f"part {index + 1}"] = (low, high)
    return arithmetic.shares(ranges)


FORMS = {
    "cagr": Form(
        "cagr FIRST LAST YEAR YEAR [PERCENT [BASE_YEAR]]",
        "growth a year between two ends, against a stated one",
        "cagr 53.9 103.4 2021 2025 19%",
        4,
        6,
        _cagr,
    ),
    "project": Form(
        "project FIRST PERCENT YEAR YEAR [LAST]",
        "a value carried on by a growth",
        "project 259.9 33.9% 2022 2026",
        4,
        5,
        _project,
    ),
    "growth": Form(
        "growth FACTOR YEARS [PER_YEAR]",
        "a growth in total as one a year, and its doubling time",
        "growth 300000x 7",
        2,
        3,
        _growth,
    ),
    "run": Form(
        "run CHIPS [CHIP] DAYS FLOPS",
        "the rate of each chip that a training run implies, beside its peak",
        "run 10000 v100 13days 3.14e23flops",
        3,
        4,
        _run,
    ),
    "cost": Form(
        "cost CHIP_HOURS USD [CHIP DATE]",
        "the price of a chip-hour that a cost implies, beside dated offers",
        "cost 3.12M 4.6Musd v100 2020-05",
        2,
        4,
        _cost,
    ),
    "flops": Form(
        "flops PARAMS TOKENS [FLOPS]", "6 N D against a stated compute", "flops 175B 300B 3.14e23", 2, 3, _flops
    ),
    "share": Form("share PART WHOLE [PERCENT]", "a part of a whole", "share 14.75 154 10%", 2, 3, _share),
    "shares": Form(
        "shares LOW-HIGH LOW-HIGH ...",
        "whether ranges of shares can sum to 100%",
        "shares chips=55-75 memory=10-20 interconnect=10-20",
        2,
        20,
        _shares,
    ),
    "ratio": Form(
        "ratio ABOVE BELOW [STATED [WITHIN%]]", "one number over another", "ratio 35.03 6.45 5.39 1%", 2, 4, _ratio
    ),
}
"""The checks that there are, by verb."""


def _listing() -> str:
    return "Checks: " + "; ".join(form.usage for form in FORMS.values()) + "."
