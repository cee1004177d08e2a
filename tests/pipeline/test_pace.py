from typing import Any

import pytest

from danlu.common.duration import Duration
from danlu.hardware.speed import Speed
from danlu.model.config import ModelConfig
from danlu.model.family import shape
from danlu.pipeline import pace
from danlu.scaling.config import LadderConfig
from danlu.training import rehearsal
from danlu.training.config import TrainingConfig
from danlu.training.rehearsal import Rehearsal

_TRAINING = TrainingConfig(context=64, device="cpu", precision="fp32")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ModelConfig, int]]:
    found: list[tuple[ModelConfig, int]] = []

    def rehearse(model: ModelConfig, batch: int, config: TrainingConfig, seconds: float) -> Rehearsal:
        found.append((model, batch))
        return Rehearsal(batch * model.flops_per_token(config.context) / 1e11, 0.01, 3, 0, 0.0, 0.0)

    monkeypatch.setattr(rehearsal, "rehearse", rehearse)
    monkeypatch.setattr(pace, "measure_speed", lambda *_: Speed("cpu", "fp32", {"fp32": 4e11}, ()))
    return found


def test_time_buys_what_a_tried_target_trains_in_it(tried: list[Any]) -> None:
    ladder = LadderConfig(share=0.1)
    flops, rate = pace.affordable_flops([Duration(120, "seconds")], ladder, _TRAINING, 1024)
    assert rate == pytest.approx(1e11)
    assert flops == pytest.approx(120 * 1e11 / 1.2)
    model, batch = tried[-1]
    tokens = flops / model.flops_per_token(64)
    assert tokens / model.num_parameters("matmul") == pytest.approx(ladder.tokens_per_parameter, rel=0.4)
    assert batch % 64 == 0
    assert batch == pytest.approx(tokens**0.5, rel=0.1)


def test_no_giant_is_tried_for_a_promise(tried: list[Any]) -> None:
    flops, _ = pace.affordable_flops([Duration(1e21, "flops")], LadderConfig(), _TRAINING, 1024)
    assert flops == 1e21
    ((model, batch),) = tried
    assert model.num_parameters("matmul") <= 3e7
    assert batch <= 16_384


def test_a_rate_is_measured_here() -> None:
    model = shape(24, 300, 64)
    assert 1e7 < pace.training_rate(model, 1e5, _TRAINING) < 1e14
