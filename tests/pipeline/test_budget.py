import pytest

from danlu.common.errors import DanluError
from danlu.hardware.speed import Speed
from danlu.pipeline.budget import EXPECTED_FRACTION, expected_seconds, format_rate, parse_budget, target_flops
from danlu.scaling.config import LadderConfig

_SPEED = Speed("cpu", "bf16", {"bf16": 8e11, "fp32": 1e11}, ())


def test_a_budget_in_flops_is_the_targets() -> None:
    assert target_flops(parse_budget("1e14flops"), LadderConfig(), None) == 1e14


def test_a_budget_in_time_covers_ladder_and_target() -> None:
    ladder = LadderConfig(share=0.25)
    flops = target_flops(parse_budget("10min"), ladder, _SPEED)
    assert flops == pytest.approx(600 * 8e11 * EXPECTED_FRACTION / 1.25)
    assert expected_seconds(flops * 1.25, _SPEED).value == pytest.approx(600)


def test_of_two_limits_the_tighter_one_counts() -> None:
    in_time = target_flops(parse_budget("10min"), LadderConfig(), _SPEED)
    assert target_flops(parse_budget("1e12flops,10min"), LadderConfig(), _SPEED) == 1e12
    assert target_flops(parse_budget("1e18flops, 10min"), LadderConfig(), _SPEED) == in_time


@pytest.mark.parametrize("text", ["10min,20min", "1e14flops,10min,3h", "10steps", "1e14flops,", ""])
def test_a_budget_that_is_none_is_said(text: str) -> None:
    with pytest.raises(DanluError):
        parse_budget(text)


@pytest.mark.parametrize(
    ("rate", "words"), [(8.123e11, "812 GFLOP/s"), (6.8e13, "68 TFLOP/s"), (1.2e15, "1.2 PFLOP/s")]
)
def test_rates_for_a_person(rate: float, words: str) -> None:
    assert format_rate(rate) == words
