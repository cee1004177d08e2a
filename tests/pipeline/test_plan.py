import pytest

from danlu.common.duration import Duration
from danlu.common.errors import DanluError
from danlu.pipeline.plan import horizon_tokens, model_of_width
from danlu.tokens.build import TokensSummary
from danlu.training.config import TrainingConfig

_TRAINING = TrainingConfig(context=64, batch_tokens=1024)
_TOKENS = TokensSummary(512, "", 100_000, 10, 200_000, 1000, 1, 2000)
_MODEL = model_of_width(64, 512, 64)


@pytest.mark.parametrize(
    ("horizon", "tokens"),
    [
        ("10Mtokens", 10_000_000),
        ("1.5epochs", 150_000),
        ("50steps", 51_200),
        (f"{_MODEL.flops_per_token(64) * 7000}flops", 7000),
    ],
)
def test_a_length_in_any_unit_is_tokens(horizon: str, tokens: int) -> None:
    assert horizon_tokens(Duration.parse(horizon), _MODEL, _TOKENS, _TRAINING) == tokens


def test_a_length_in_time_is_refused() -> None:
    with pytest.raises(DanluError, match="depends on the machine"):
        horizon_tokens(Duration.parse("10min"), _MODEL, _TOKENS, _TRAINING)


@pytest.mark.parametrize("width", [0, 8, 102])
def test_a_width_outside_the_family_is_refused(width: int) -> None:
    with pytest.raises(DanluError, match="Give a multiple of"):
        model_of_width(width, 512, 64)
