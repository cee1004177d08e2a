"""Published claims recomputed: each with its arithmetic, a verdict, and what to do about it."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from danlu.common.strict import from_mapping
from danlu.hardware.catalogue import all_chips
from danlu.planner.dates import first_day
from danlu.planner.outlook.arithmetic import Check, Verdict
from danlu.planner.outlook.records import costs, growths, models, vendors
from danlu.planner.outlook.said import Said
from danlu.planner.outlook.supply import supply
from danlu.planner.outlook.words import check

_WORST: tuple[Verdict, ...] = (
    "impossible",
    "does not add up",
    "mislabelled",
    "outdated",
    "conditional",
    "consistent",
    "computed",
)
"""A claim's verdict is the first of these among its checks."""

_LARGE_RUN = 512
"""Chips from which on a published run counts as evidence that a chip trains at scale."""


@dataclass(frozen=True)
class _Check:
    say: str
    otherwise: Verdict = "does not add up"


@dataclass(frozen=True)
class _Claim:
    key: str
    en: str
    zh: str
    todo_en: str
    todo_zh: str
    checks: tuple[_Check, ...] = ()
    special: str = ""
    factor: float = 0.0
    first_year: int = 0
    last_year: int = 0
    vendors: tuple[str, ...] = ()
    model: str = ""


@dataclass(frozen=True)
class _Document:
    claim: tuple[_Claim, ...]


@dataclass(frozen=True)
class CheckedClaim:
    """A claim with what became of it."""

    key: str
    claim: Said
    verdict: Verdict
    lines: tuple[Said, ...]
    """The arithmetic."""
    todo: Said


@cache
def checked_claims() -> tuple[CheckedClaim, ...]:
    """All claims of the catalogue, recomputed now."""
    text = files("danlu.planner.outlook").joinpath("data", "claims.toml").read_text(encoding="utf-8")
    return tuple(_checked(claim) for claim in from_mapping(_Document, tomllib.loads(text), "claims.toml").claim)


def _checked(claim: _Claim) -> CheckedClaim:
    verdicts: list[Verdict] = []
    lines: list[Said] = []
    for each in claim.checks:
        found = check(each.say)
        verdicts.append(each.otherwise if found.verdict == "does not add up" else found.verdict)
        lines += found.lines
    if claim.special:
        found = _SPECIAL[claim.special](claim)
        verdicts.append(found.verdict)
        lines += found.lines
    verdict = min(verdicts, key=_WORST.index)
    return CheckedClaim(claim.key, Said(claim.en, claim.zh), verdict, tuple(lines), Said(claim.todo_en, claim.todo_zh))


def _vintages(claim: _Claim) -> Check:
    """How far the editions of a forecast moved for the same year."""
    year = 2026
    said = [(each.vintage, value) for each in supply("cn").vintages if (value := each.at(year)) is not None]
    lines, moves = [], []
    for (before, old), (after, new) in pairwise(said):
        moves.append(new / old - 1)
        lines.append(
            Said(
                f"edition {before} to {after}: {old:.1f} to {new:.1f} EFLOPS for {year}, {new / old - 1:+.0%}",
                f"{before} 版至 {after} 版：{year} 年由 {old:.1f} 变为 {new:.1f} EFLOPS，{new / old - 1:+.0%}",
            )
        )
    moved = any(abs(move) > 0.1 for move in moves)
    return Check("outdated" if moved else "consistent", tuple(lines), {})


def _records(claim: _Claim) -> Check:
    """A growth of compute against the records of the list: did it happen, and in the years that it is said of?"""
    known = [model for model in models() if model.flop is not None]
    first = min(known, key=lambda model: abs(model.year - claim.first_year))
    record = max((m for m in known if int(m.year) <= claim.last_year), key=lambda model: model.flop or 0.0)
    last = max((m for m in known if int(m.year) == claim.last_year), key=lambda model: model.flop or 0.0)
    assert first.flop
    assert record.flop
    assert last.flop
    at_record, at_end = record.flop / first.flop, last.flop / first.flop
    lines = (
        Said(
            f"{first.name} ({int(first.year)}) to {record.name} ({int(record.year)}): {at_record:,.0f} times, "
            f"the record up to {claim.last_year}",
            f"{first.name}（{int(first.year)}）至 {record.name}（{int(record.year)}）：{at_record:,.0f} 倍，"
            f"{claim.last_year} 年前的最高纪录",
        ),
        Said(
            f"largest of {claim.last_year}, {last.name}: {at_end:,.0f} times",
            f"{claim.last_year} 年最大者 {last.name}：{at_end:,.0f} 倍",
        ),
    )
    low, high = sorted((at_record, at_end))
    if not low <= claim.factor <= high:
        return Check("does not add up", lines, {})
    return Check("mislabelled" if int(record.year) < claim.last_year else "consistent", lines, {})


def _rate(claim: _Claim) -> Check:
    """A rate of growth against the measured ones and against where it would have led."""
    shaped = [model for model in models() if model.params is not None]
    first, last = shaped[0], max(shaped, key=lambda model: model.params or 0.0)
    assert first.params
    assert last.params
    years = last.year - first.year
    led = first.params * claim.factor**years
    params, data = growths()["parameters"], growths()["data"]
    lines = (
        Said(
            f"measured: parameters {params.factor:g} times a year, data {data.factor:g} ({params.source})",
            f"实测：参数每年 {params.factor:g} 倍，数据每年 {data.factor:g} 倍（{params.source}）",
        ),
        Said(
            f"{claim.factor:g} times a year over 3 years is {claim.factor**3:.2g} times",
            f"每年 {claim.factor:g} 倍，3 年即 {claim.factor**3:.2g} 倍",
        ),
        Said(
            f"from {first.name} it would lead to {led:.1g} parameters by {last.name}, which has {last.params:.3g}",
            f"自 {first.name} 起，到 {last.name} 时将达 {led:.1g} 参数，而它只有 {last.params:.3g}",
        ),
    )
    return Check("impossible" if led > 100 * last.params else "consistent", lines, {})


def _evidence(claim: _Claim) -> Check:
    """Published training runs on chips made in China, by the claim's year and since."""
    runs = {(run, chip.vendor) for chip in all_chips() if chip.country == "CN" for run in chip.trained}
    ordered = sorted(runs, key=lambda pair: pair[0].date)
    lines = [
        Said(
            f"{run.date}: {run.model}, {run.chips} chips of {vendor}",
            f"{run.date}：{run.model}，{vendor} 芯片 {run.chips} 张",
        )
        for run, vendor in ordered
    ]
    early = [run for run, _ in ordered if run.chips >= _LARGE_RUN and first_day(run.date).year <= claim.last_year]
    makers = {vendor for _, vendor in ordered}
    others = sorted({chip.vendor for chip in all_chips() if chip.country == "CN"} - makers)
    lines.append(
        Said(
            f"no published run of that size is known here for: {', '.join(others)}",
            f"此处未见同等规模公开训练的厂商：{'、'.join(others)}",
        )
    )
    return Check("outdated" if early else "consistent", tuple(lines), {})


def _estimates(claim: _Claim) -> Check:
    """What others estimate the same run to have cost."""
    lines = tuple(
        Said(
            f"{cost.source}: {cost.low / 1e6:.2f}M to {cost.high / 1e6:.2f}M USD",
            f"{cost.source}：{cost.low / 1e6:.2f}M 至 {cost.high / 1e6:.2f}M 美元",
        )
        for cost in costs()
        if cost.name == claim.model
    )
    assert lines
    return Check("computed", lines, {})


def _category(claim: _Claim) -> Check:
    """Whether companies ship what a claim files them under."""
    named = [vendor for vendor in vendors() if vendor.name in claim.vendors]
    assert len(named) == len(claim.vendors)
    lines = tuple(
        Said(
            f"{vendor.name}: {vendor.products.en}; {'ships' if vendor.hbm else 'no'} HBM",
            f"{vendor.name_zh}：{vendor.products.zh}；{'有' if vendor.hbm else '无'} HBM",
        )
        for vendor in named
    )
    return Check("consistent" if any(vendor.hbm for vendor in named) else "mislabelled", lines, {})


_SPECIAL: dict[str, Callable[[_Claim], Check]] = {
    "vintages": _vintages,
    "records": _records,
    "rate": _rate,
    "evidence": _evidence,
    "category": _category,
    "estimates": _estimates,
}
"""Checks that need the catalogue's own data."""
