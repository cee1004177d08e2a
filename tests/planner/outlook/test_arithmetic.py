import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.planner.outlook.arithmetic import Check
from danlu.planner.outlook.growth import doubling_months, fit_growth, student_quantile, yearly_factor
from danlu.planner.outlook.shares import feasible
from danlu.planner.outlook.words import FORMS, check


def lines(found: Check) -> str:
    return "\n".join(line.en for line in found.lines)


def test_a_growth_that_does_not_follow_from_its_ends() -> None:
    found = check("cagr 53.9 103.4 2021 2025 19%")
    assert found.verdict == "does not add up"
    assert found.figures["cagr"] == pytest.approx(0.1769, abs=1e-4)
    assert "19% would end at 108.09, not 103.4" in lines(found)


def test_a_growth_within_what_rounding_leaves_open_is_consistent() -> None:
    assert check("cagr 53.9 103.4 2021 2025 17.7%").verdict == "consistent"
    assert check("cagr 53.9 103.4 2021 2025 18%").verdict == "consistent"
    assert check("cagr 53.9 103.4 2021 2025 18.0%").verdict == "does not add up"


def test_a_growth_from_another_year_needs_that_years_base() -> None:
    found = check("cagr 268.0 1271.4 2022 2026 52.3 2021")
    assert found.verdict == "conditional"
    assert found.figures["implied base"] == pytest.approx(155.2, abs=0.05)
    assert found.figures["growth after the base"] == pytest.approx(0.727, abs=1e-3)


def test_gpt3_from_its_chips_and_days() -> None:
    found = check("run 10000 v100 13days 3.14e23flops")
    assert found.figures["chip-hours"] == pytest.approx(3.12e6)
    assert found.figures["rate"] == pytest.approx(28.0e12, rel=2e-3)
    assert found.figures["share of peak"] == pytest.approx(0.224, abs=1e-3)


def test_a_run_beyond_the_peak_is_impossible() -> None:
    assert check("run 100 v100 1day 3.14e23flops").verdict == "impossible"


def test_a_cost_beside_the_offers_of_its_day() -> None:
    found = check("cost 3.12M 4.6Musd v100 2020-05")
    assert found.figures["usd per chip-hour"] == pytest.approx(1.474, abs=1e-3)
    assert found.verdict == "conditional"  # under a commitment only
    assert check("cost 3.12M 46Musd v100 2020-05").verdict == "does not add up"


def test_training_compute_by_six_n_d() -> None:
    assert check("flops 175B 300B 3.14e23").verdict == "consistent"
    assert check("flops 175B 300B 3.14e24").verdict == "does not add up"


def test_shares_that_cannot_all_be_low() -> None:
    found = check("shares chips=55-75 memory=10-20 interconnect=10-20")
    assert found.verdict == "does not add up"
    assert found.figures["chips low"] == pytest.approx(0.60)
    assert check("shares 10-20 10-20").verdict == "impossible"
    assert check("shares 60-70 30-40").verdict == "consistent"


@pytest.mark.parametrize("verb", FORMS)
def test_every_form_has_an_example_that_runs(verb: str) -> None:
    found = check(FORMS[verb].example)
    assert found.lines
    assert all(line.en and line.zh for line in found.lines)


@pytest.mark.parametrize(
    ("words", "cause", "remedy"),
    [
        ("cagr 53.9 103.4 2021", "takes 4 to 6 words, not 3", "cagr FIRST LAST YEAR YEAR"),
        ("cagr 53.9 x 2021 2025", "'x' is not a number", "103.4"),
        ("cagr 53.9 103.4 2025 2021", "not in order", "earlier end first"),
        ("cagr 0 103.4 2021 2025", "above zero", "both ends"),
        ("cagr 53.9 103.4 21 2025", "'21' is not a year", "2021"),
        ("cargo 1 2", "there is no check 'cargo'", "cagr"),
        ("zzz", "there is no check 'zzz'", "Checks: cagr"),
        ("run 10000 v1000 13 3e23", "no chip 'v1000'", "Nearest"),
        ("run 10000 v100 13lightyears 3e23", "'13lightyears' is not an amount in days", "13days"),
        ("cost 3.12M 4.6Musd v100", "needs a date", "cost CHIP_HOURS USD"),
        ("share 1 0", "whole above zero", "share 14.75 154"),
        ("shares 55-75 80-20", "upside down", "lower end first"),
        ("shares 55 75", "not a range of shares", "55-75"),
        ("ratio 1 0", "over zero", "ratio 35.03"),
        ("growth 0 7", "above zero", "growth 300000 7"),
        ("project 10 -150% 2020 2022", "leaves nothing", "-100%"),
        ("cagr 'a", "cannot read", "Checks"),
    ],
)
def test_bad_input_gets_one_line_and_what_to_do(words: str, cause: str, remedy: str) -> None:
    with pytest.raises(DanluError) as caught:
        check(words)
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy
    assert "\n" not in caught.value.cause


def test_an_empty_check_is_refused_plainly() -> None:
    with pytest.raises(DanluError):
        check("")


@given(st.floats(0.1, 1e6), st.floats(1.01, 20), st.integers(1, 12))
def test_growth_and_its_ends_agree_both_ways(first: float, factor: float, years: int) -> None:
    last = first * factor**years
    assert yearly_factor(first, last, years) == pytest.approx(factor, rel=1e-9)
    assert factor ** (doubling_months(factor) / 12) == pytest.approx(2)


def test_the_fit_finds_an_exact_growth() -> None:
    fit = fit_growth([(year, 3.0 * 4.5 ** (year - 2010)) for year in range(2010, 2020)])
    assert fit.factor == pytest.approx(4.5)
    assert fit.low == pytest.approx(4.5, rel=1e-6)
    assert fit.at(2015) == pytest.approx(3.0 * 4.5**5)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 6.3138), (2, 2.92), (10, 1.8125), (100, 1.6602)])
def test_students_quantile_is_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(quantile, abs=2e-4)


@given(st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)), min_size=2, max_size=5))
def test_tightened_shares_lie_within_and_can_be_reached(parts: list[tuple[float, float]]) -> None:
    ranges = {str(index): (low, low + extra) for index, (low, extra) in enumerate(parts)}
    lows, highs = sum(low for low, _ in ranges.values()), sum(high for _, high in ranges.values())
    if not lows <= 1 <= highs:
        with pytest.raises(DanluError):
            feasible(ranges) if lows > 1 + 1e-6 or highs < 1 - 1e-6 else feasible({"a": (1.5, 2)})
        return
    for name, (low, high) in feasible(ranges).items():
        assert ranges[name][0] - 1e-9 <= low <= high + 1e-9 <= ranges[name][1] + 2e-9
        others_low = sum(end for other, (end, _) in ranges.items() if other != name)
        others_high = sum(end for other, (_, end) in ranges.items() if other != name)
        assert others_low - 1e-9 <= 1 - low <= others_high + 1e-9
        assert not math.isnan(high)
