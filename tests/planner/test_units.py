"""Quantities with units: what reads, what reads back, and what is refused with which hint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.planner.currency import Currency, parse_exchange
from danlu.planner.units import Budget, compact, parse_budget, parse_seconds, parse_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("15T", 15e12),
        ("300B", 3e11),
        ("1.5e12", 1.5e12),
        ("300 B tokens", 3e11),
        ("12 M tok", 12e6),
        ("7000", 7000),
        ("15 trillion", 15e12),
        ("15t", 15e12),
    ],
)
def test_tokens_read(text: str, tokens: float) -> None:
    assert parse_tokens(text) == pytest.approx(tokens)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("4.6Musd", Budget("usd", 4.6e6)),
        ("$2M", Budget("usd", 2e6)),
        ("100 dollars", Budget("usd", 100)),
        ("3e6 H100-hours", Budget("chip-hours", 3e6, "H100")),
        ("2M gpu-hours", Budget("chip-hours", 2e6)),
        ("3e6 gpu-hours", Budget("chip-hours", 3e6)),
        ("3e6 chip-hours", Budget("chip-hours", 3e6)),
        ("4.6 million usd", Budget("usd", 4.6e6)),
        ("$4,600,000", Budget("usd", 4.6e6)),
        ("3640 PF-days", Budget("flops", 3640 * 8.64e19)),
        ("5 petaflop/s-days", Budget("flops", 4.32e20)),
        ("64 A100s 30 days", Budget("chips-time", 64 * 720, "A100", 64, 30 * 86400)),
        ("1e24flops", Budget("flops", 1e24)),
        ("500 EFLOPs", Budget("flops", 5e20)),
        ("64 A100 for 30 days", Budget("chips-time", 64 * 720, "A100", 64, 30 * 86400)),
        ("64 A100 x 30 days", Budget("chips-time", 64 * 720, "A100", 64, 30 * 86400)),
        ("64 A100, 30 days", Budget("chips-time", 64 * 720, "A100", 64, 30 * 86400)),
        ("64 A100s for a week", Budget("chips-time", 64 * 168, "A100", 64, 7 * 86400)),
        ("5000 H100-days", Budget("chip-hours", 120e3, "H100")),
        ("100 gpu years", Budget("chip-hours", 100 * 8766)),
        ("64 x A100 for 2 weeks", Budget("chips-time", 64 * 336, "A100", 64, 14 * 86400)),
    ],
)
def test_budgets_read(text: str, budget: Budget) -> None:
    found = parse_budget(text)
    assert (found.kind, found.chip, found.count) == (budget.kind, budget.chip, budget.count)
    assert found.amount == pytest.approx(budget.amount)
    assert found.seconds == pytest.approx(budget.seconds)


@pytest.mark.parametrize(
    ("text", "code", "per_usd"),
    [
        ("7.1CNY", "CNY", 7.1),
        ("7.1 元", "CNY", 7.1),
        ("CNY 7.1", "CNY", 7.1),
        ("1 USD = 7.1 CNY", "CNY", 7.1),
        ("7.1 rmb per USD", "CNY", 7.1),
        ("0.92€", "EUR", 0.92),
        ("1 EUR = 1.25 USD", "EUR", 0.8),
        ("150 yen/usd", "JPY", 150),
        ("1美元=7.1元", "CNY", 7.1),
        ("83 INR", "INR", 83),
        ("18.5 MXN", "MXN", 18.5),
    ],
)
def test_rates_read(text: str, code: str, per_usd: float) -> None:
    assert parse_exchange(text) == Currency(code, pytest.approx(per_usd))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "code", "amount"),
    [
        ("30万元", "CNY", 3e5),
        ("人民币30万元", "CNY", 3e5),
        ("1.2亿元", "CNY", 1.2e8),
        ("4.6M CNY", "CNY", 4.6e6),
        ("4,600,000 RMB", "CNY", 4.6e6),
        ("2 million yuan", "CNY", 2e6),
        ("¥300000", "CNY", 3e5),
        ("¥300k", "JPY", 3e5),
        ("£2M", "GBP", 2e6),
        ("5 billion yen", "JPY", 5e9),
    ],
)
def test_money_at_a_given_rate(text: str, code: str, amount: float) -> None:
    currency = Currency(code, 8.0)
    found = parse_budget(text, currency)
    assert (found.kind, found.currency) == ("usd", currency)
    assert found.amount == pytest.approx(amount / 8)
    assert parse_budget(str(found), currency) == found
    assert parse_budget("100万美元", currency) == Budget("usd", 1e6)
    with pytest.raises(DanluError, match="--exchange gives"):
        parse_budget("2M chf", currency)


@pytest.mark.parametrize(
    ("read", "text", "hint"),
    [
        (parse_tokens, "15 TB", "tokens as in 15T"),
        (parse_tokens, "100GB", "some 25B tokens"),
        (parse_budget, "3 months", "64 H100 for 3 months"),
        (parse_budget, "1,5Musd", "a point"),
        (parse_tokens, "3GiB", "tokens"),
        (parse_tokens, "15 terabytes", "3.75T tokens"),
        (parse_budget, "30M RMB", "--exchange NCNY"),
        (parse_budget, "30万元", "how many CNY one US dollar costs"),
        (parse_budget, "¥300000", "may be yuan or yen"),
        (parse_budget, "2M€", "--exchange NEUR"),
        (parse_budget, "30万", "has no unit"),
        (parse_exchange, "7.1", "--exchange 7.1CNY"),
        (parse_exchange, "0CNY", "--exchange 7.1CNY"),
        (parse_exchange, "1USD", "--exchange 7.1CNY"),
        (parse_exchange, "7.1¥", "--exchange 7.1CNY"),
        (parse_budget, "5000 hours", "H100-hours"),
        (parse_tokens, "many", "15T"),
        (parse_tokens, "-3T", "15T"),
        (parse_budget, "4.6M", "4.6Musd"),
        (parse_budget, "100", "100usd"),
        (parse_budget, "1e15 flop/s", "FLOPs in all"),
        (parse_budget, "0usd", "larger"),
        (parse_budget, "64 A100 for 30 parsecs", "days"),
        (parse_budget, "lots of money", "4.6Musd"),
        (parse_seconds, "12", "unit"),
    ],
)
def test_refused_with_a_hint(read: object, text: str, hint: str) -> None:
    with pytest.raises(DanluError) as caught:
        read(text)  # type: ignore[operator]
    assert hint in f"{caught.value.cause} {caught.value.remedy}"


@given(st.floats(1, 1e14))
def test_counts_round_trip(number: float) -> None:
    assert parse_tokens(compact(number)) == pytest.approx(number, rel=1e-5)


@given(
    st.one_of(
        st.builds(Budget, st.just("usd"), st.floats(1, 1e12)),
        st.builds(Budget, st.just("flops"), st.floats(1e12, 1e30)),
        st.builds(Budget, st.just("chip-hours"), st.floats(1, 1e9), st.sampled_from(["H100", "Ascend 910B"])),
    )
)
def test_budgets_round_trip(budget: Budget) -> None:
    found = parse_budget(str(budget))
    assert (found.kind, found.chip) == (budget.kind, budget.chip)
    assert found.amount == pytest.approx(budget.amount, rel=1e-5)


@given(st.integers(1, 100_000), st.integers(1, 400))
def test_chips_for_a_time_round_trip(count: int, days: int) -> None:
    budget = parse_budget(f"{count} H800 for {days} days")
    assert parse_budget(str(budget)) == budget
    assert budget.scaled(2).count == 2 * count
