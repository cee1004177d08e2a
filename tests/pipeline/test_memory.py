from pathlib import Path

import pytest

from danlu.common.files import write_json
from danlu.pipeline.memory import estimate_memory, model_bytes, rehearsed_memory
from danlu.pipeline.plan import model_of_width
from danlu.scaling.config import LadderConfig
from danlu.scaling.design import LadderPlan, design_ladder
from danlu.training.config import TrainingConfig

_TRAINING = TrainingConfig(context=64)
_TARGET = model_of_width(256, 1024, 64)


@pytest.fixture
def plan() -> LadderPlan:
    return design_ladder(5e13, context=64, vocab_size=1024, config=LadderConfig())


def _measured(folder: Path, plan: LadderPlan, base: float) -> None:
    for rung in plan.rungs:
        peak = round(base + model_bytes(rung.model, 64, _TRAINING))
        write_json(folder / rung.name / "trunk" / "result.json", {"peak_memory_bytes": peak})


def test_the_rungs_share_is_measured_and_the_rest_is_counted(plan: LadderPlan, tmp_path: Path) -> None:
    _measured(tmp_path, plan, 500e6)
    memory = estimate_memory(plan, _TARGET, _TRAINING, tmp_path)
    assert memory is not None
    assert memory.bytes == pytest.approx(500e6 + model_bytes(_TARGET, 64, _TRAINING), rel=1e-3)
    assert memory.low < memory.bytes < memory.high


def test_without_a_measurement_there_is_no_estimate(plan: LadderPlan, tmp_path: Path) -> None:
    assert estimate_memory(plan, _TARGET, _TRAINING, tmp_path) is None


def test_a_wider_model_and_a_larger_piece_take_more() -> None:
    small = model_bytes(model_of_width(64, 1024, 64), 64, _TRAINING)
    assert model_bytes(_TARGET, 64, _TRAINING) > small
    assert model_bytes(_TARGET, 64, TrainingConfig(context=64, micro_batch_tokens=65536)) > model_bytes(
        _TARGET, 64, _TRAINING
    )


def test_a_run_holds_a_little_more_than_its_rehearsal() -> None:
    found = rehearsed_memory(1e9, None)
    assert found.low < 1e9 * 1.02 < found.bytes < 1e9 * 1.11 < found.high
