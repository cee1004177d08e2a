import pytest

from danlu.common.errors import DanluError
from danlu.pipeline.budget import format_rate, ladder_seconds, parse_budget, pretraining_seconds, target_flops
from danlu.scaling.config import LadderConfig

_LADDER = LadderConfig(share=0.25)


def _pace(flops: float) -> float:
    """Small models at a lower rate: 2e11 FLOP/s at 1e13 FLOPs, with the cube root of the compute."""
    return float(2e11 * (flops / 1e13) ** (1 / 3))


def test_a_budget_in_flops_is_the_targets() -> None:
    assert target_flops(parse_budget("1e14flops"), LadderConfig(), _pace, 8e11) == (1e14, _pace(1e14))


def test_the_ladder_trains_at_half_the_targets_rate() -> None:
    assert ladder_seconds(1e13, _LADDER, 1e11) == pytest.approx(0.25 * 100 * 2)
    assert pretraining_seconds(1e13, _LADDER, 1e11) == pytest.approx(100 + 50)


@pytest.mark.parametrize("peak", [1e11, 8e11, 1e13])
def test_a_budget_in_time_is_what_the_machine_trains_in_it_whatever_its_products_run_at(peak: float) -> None:
    flops, rate = target_flops(parse_budget("10min"), _LADDER, _pace, peak)
    assert pretraining_seconds(flops, _LADDER, _pace(flops)) == pytest.approx(600, rel=0.05)
    assert pretraining_seconds(flops, _LADDER, rate) == pytest.approx(600)


def test_of_two_limits_the_tighter_one_counts() -> None:
    in_time = target_flops(parse_budget("10min"), _LADDER, _pace, 8e11)[0]
    assert target_flops(parse_budget("1e12flops,10min"), _LADDER, _pace, 8e11)[0] == 1e12
    assert target_flops(parse_budget("1e18flops, 10min"), _LADDER, _pace, 8e11)[0] == in_time


def test_a_budget_in_flops_is_tried_once() -> None:
    tried: list[float] = []
    target_flops(parse_budget("1e12flops,10min"), _LADDER, lambda flops: tried.append(flops) or 1e12, 8e11)
    assert tried == [1e12]


@pytest.mark.parametrize("text", ["10min,20min", "1e14flops,10min,3h", "10steps", "1e14flops,", ""])
def test_a_budget_that_is_none_is_said(text: str) -> None:
    with pytest.raises(DanluError):
        parse_budget(text)


@pytest.mark.parametrize(
    ("rate", "words"), [(8.123e11, "812 GFLOP/s"), (6.8e13, "68 TFLOP/s"), (1.2e15, "1.2 PFLOP/s")]
)
def test_rates_for_a_person(rate: float, words: str) -> None:
    assert format_rate(rate) == words
