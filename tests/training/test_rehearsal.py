import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.processes import torchrun

from danlu.model.family import shape
from danlu.model.transformer import Transformer
from danlu.training.config import TrainingConfig
from danlu.training.rehearsal import rehearse

_TRAINING = TrainingConfig(context=16, precision="fp32", device="cpu")


def test_a_rehearsal_takes_real_steps_and_leaves_nothing_behind(tmp_path: Path) -> None:
    found = rehearse(shape(24, 300, 16), 128, _TRAINING, seconds=0.0, scratch=tmp_path)
    assert found.steps == 3
    assert found.step_seconds > 0
    assert found.spread >= 0
    assert found.checkpoint_seconds > 0
    assert found.peak_memory_bytes > 0
    assert list(tmp_path.iterdir()) == []


def test_batches_come_from_the_tokens_where_they_are_given(tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from danlu.training import rehearsal

    drawn: list[int] = []
    real = rehearsal.Loader.batch

    def watched(loader: rehearsal.Loader, first: int, count: int) -> object:
        drawn.append(count)
        return real(loader, first, count)

    monkeypatch.setattr(rehearsal.Loader, "batch", watched)
    rehearse(shape(24, 300, 16), 128, _TRAINING, seconds=0.0, tokens=tokens)
    assert drawn == [8] * 5


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second passes between two looks at the clock."""
    ticks = count()
    monkeypatch.setattr("danlu.training.rehearsal.time", SimpleNamespace(perf_counter=lambda: 0.1 * next(ticks)))


@pytest.mark.usefixtures("ticking")
def test_a_longer_look_times_more_steps() -> None:
    found = rehearse(shape(24, 300, 16), 32, _TRAINING, seconds=2.0)
    assert found.steps == 8  # after the third, three looks at the clock a step
    assert found.step_seconds == pytest.approx(0.1)
    assert found.checkpoint_seconds == 0.0


def test_steps_of_twice_the_tokens_are_cut_into_the_same_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from danlu.training import rehearsal

    seen: list[tuple[int, ...]] = []
    real = rehearsal.next_token_loss

    def watched(model: object, batch: rehearsal.TokenBatch) -> object:
        seen.append(tuple(batch.inputs.shape))
        return real(model, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(rehearsal, "next_token_loss", watched)
    training = TrainingConfig(context=16, precision="fp32", device="cpu", micro_batch_tokens=64)
    rehearse(shape(24, 300, 16), 160, training, seconds=0.0)
    assert set(seen) == {(4, 16), (2, 16)}


@pytest.mark.usefixtures("ticking")
def test_threads_are_put_back_and_an_evaluation_is_timed_a_token() -> None:
    before, seen = torch.get_num_threads(), []

    def evaluate(model: Transformer) -> int:
        seen.append(torch.get_num_threads())
        return 50

    found = rehearse(shape(24, 300, 16), 32, _TRAINING, seconds=0.0, threads=before + 1, evaluate=evaluate)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    assert found.evaluation_seconds == pytest.approx(0.1 / 50)
    assert rehearse(shape(24, 300, 16), 32, _TRAINING, seconds=0.0).evaluation_seconds == 0


_TWO = """
import itertools, sys
from pathlib import Path
import torch
from danlu.model.family import shape
from danlu.training import rehearsal
from danlu.training.config import TrainingConfig
from danlu.training.distributed import join_world
world = join_world(torch.device("cpu"))
ticks = itertools.count()
class Clock:  # the second process's runs ten times as fast
    perf_counter = staticmethod(lambda: (0.02, 0.2)[world.rank] * next(ticks))
rehearsal.time = Clock
training = TrainingConfig(context=16, precision="bf16", device="cpu")
found = rehearsal.rehearse(shape(24, 300, 16), 128, training, seconds=1.0, scratch=Path(sys.argv[1]))
(Path(sys.argv[1]) / f"steps-{world.rank}").write_text(str(found.steps))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo with FSDP is not supported there")
def test_two_processes_end_at_the_same_step(tmp_path: Path) -> None:
    torchrun(2, _TWO, tmp_path, tmp_path)
    assert [(tmp_path / f"steps-{rank}").read_text() for rank in (0, 1)] == ["18", "18"]
