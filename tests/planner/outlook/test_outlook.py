import csv
import json
import math
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.planner.outlook.access import access_by_date
from danlu.planner.outlook.claims import CheckedClaim, checked_claims
from danlu.planner.outlook.outlook import Outlook, outlook, outlook_json
from danlu.planner.outlook.records import costs, facts, growths, markets, models, shipped, supplies, vendors
from danlu.planner.outlook.text import STOCK

_SHARED = os.environ.get("DANLU_SHARED")
shared = pytest.mark.skipif(not _SHARED, reason="DANLU_SHARED names no folder with the shared data")


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((Path(_SHARED or "") / "data/planner" / name).read_text("utf-8").splitlines()))


@pytest.fixture(scope="module")
def found() -> Outlook:
    return outlook("cn", date(2026, 1, 31))


@pytest.fixture(scope="module")
def claims() -> Mapping[str, CheckedClaim]:
    return {claim.key: claim for claim in checked_claims()}


_VERDICTS = {
    "accelerated-servers": ("does not add up", "17.7%"),
    "ai-servers": ("computed", "15.8%"),
    "intelligent-compute-2026": ("conditional", "155.2"),
    "vintages-2026": ("outdated", "+75%"),
    "intelligent-compute-2028": ("consistent", "46.2%"),
    "gpt3-days": ("mislabelled", "28.0 TFLOP/s"),
    "gpt3-cost": ("conditional", "1.47 USD"),
    "compute-300000x": ("mislabelled", "6.06 times a year"),
    "params-300x": ("impossible", "2.7e+07"),
    "cost-shares": ("does not add up", "60%"),
    "ai-spending-2023": ("consistent", "9.6%"),
    "accelerated-servers-2021": ("consistent", "5.431"),
    "domestic-training": ("outdated", "PanGu-alpha"),
    "memory-makers": ("mislabelled", "no HBM"),
}


@pytest.mark.parametrize("key", _VERDICTS)
def test_each_claim_has_its_verdict_and_shows_its_arithmetic(claims: Mapping[str, CheckedClaim], key: str) -> None:
    verdict, figure = _VERDICTS[key]
    claim = claims[key]
    assert claim.verdict == verdict
    assert any(figure in line.en for line in claim.lines)
    assert all(text.en and text.zh for text in (claim.claim, claim.todo, *claim.lines))


@shared
def test_all_claims_of_the_data_are_checked(claims: Mapping[str, CheckedClaim]) -> None:
    assert len(rows("claim_checks.csv")) == len(claims) == len(_VERDICTS)


@shared
def test_every_company_of_the_data_is_in_the_chain() -> None:
    assert {row["vendor"] for row in rows("vendors.csv")} <= {vendor.name for vendor in vendors()}


@shared
def test_every_figure_of_the_data_is_in_the_outlook() -> None:
    """Each value of outlook.csv stands in some record; ranges by their first number.

    A figure that its own row calls remembered and not found has no source, so it is left out on purpose.
    """
    known = _numbers()
    words = " ".join((*(fact.value for fact in facts()), *(record.note for record in supplies())))
    missing = []
    for row in rows("outlook.csv"):
        value = row["value"].split(" ")[0].lstrip(">")
        if not value or row["verification"] == "memory - not found":
            continue
        first = float(re.split(r"(?<=[0-9])-", value)[0])
        if value not in words and not any(math.isclose(first, number, rel_tol=5e-4) for number in known):
            missing.append((row["series"], row["value"]))
    assert missing == []


def _numbers() -> list[float]:
    found: list[float | None] = [STOCK.mid]
    found += [model.flop for model in models()]
    for growth in growths().values():
        found += [growth.factor, growth.low, growth.high]
    found += [record.eflops for record in supplies()]
    found += [record.h100_equivalents for record in shipped()]
    found += [record.busd for record in markets()]
    for cost in costs():
        found += [cost.low, cost.high]
    return [number for number in found if number is not None]


def test_the_newest_edition_is_the_middle_of_the_fan(found: Outlook) -> None:
    by_year = {each.year: each for each in found.supply.fan}
    year = by_year[2026]
    assert year.eflops.low == pytest.approx(834.7, abs=1)
    assert year.eflops.mid == year.eflops.high == pytest.approx(1460.3)
    assert len(year.by_vintage) == 3


def test_the_gap_is_supply_over_demand(found: Outlook) -> None:
    gap = {each.year: each for each in found.gap}[2025]
    expected = gap.supply_eflops.mid * 1e18 * 365.25 * 86400 * 0.40 / gap.demand_flop.mid
    assert gap.runs.mid == pytest.approx(expected)
    assert gap.days.mid * gap.runs.mid == pytest.approx(365.25)


def test_public_text_runs_out_within_the_published_years(found: Outlook) -> None:
    early, late = found.published_text_years
    assert early <= found.text.year.mid <= late
    assert found.text.year.low <= found.text.year.mid <= found.text.year.high
    assert found.text.year_with_repeats.mid > found.text.year.mid


def test_shares_sum_to_the_whole(found: Outlook) -> None:
    for each in found.shares:
        one = each.shares
        assert one.accelerators.mid + one.servers.mid + one.network.mid == pytest.approx(1)
        assert one.memory
        assert one.memory.mid < one.accelerators.mid


def test_the_rules_take_the_fast_chips_away_and_training_is_judged_apart(found: Outlook) -> None:
    days = {each.on: each.by_use for each in found.access}
    before, after = days["2022-08-25"], days["2023-11-17"]
    assert before["training"].proven == "A100 SXM 80GB"
    assert "A100" not in after["training"].proven
    assert after["training"].foreign < before["training"].foreign
    assert after["inference"].open > after["training"].open
    assert found.regions["us"]["training"].share == 1.0


def test_access_ends_on_the_day_asked_for() -> None:
    days = access_by_date("cn", date(2022, 9, 1))
    assert [each.on for each in days] == ["2022-08-25", "2022-08-26", "2022-09-01"]
    assert days[-1].rules == ()


def test_the_chain_changes_with_region_and_date(found: Outlook) -> None:
    here = {link.vendor.name: link for link in found.chain}
    early = {link.vendor.name: link for link in outlook("cn", date(2022, 1, 31)).chain}
    abroad = {link.vendor.name: link for link in outlook("us", date(2026, 1, 31)).chain}
    assert here["SK hynix"].access == "licence"
    assert early["SK hynix"].access == abroad["SK hynix"].access == "no rule"
    assert "A100 SXM 80GB" in early["NVIDIA"].open_for["training"]
    assert "A100 SXM 80GB" not in here["NVIDIA"].open_for["training"]
    assert here["Biren"].listing is not None
    assert early["Biren"].listing is None


def test_the_json_is_plain_and_whole(found: Outlook) -> None:
    plain = json.loads(json.dumps(outlook_json(found), allow_nan=False))
    assert {"demand", "supply", "gap", "shares", "chain", "access", "regions", "market", "text", "claims"} <= set(plain)
    assert plain["date"] == "2026-01-31"
    assert len(plain["claims"]) == 14


def test_an_unknown_region_names_the_known_ones() -> None:
    with pytest.raises(DanluError, match="atlantis") as caught:
        outlook("atlantis", date(2026, 1, 31))
    assert "cn" in caught.value.remedy
