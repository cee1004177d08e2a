"""Checkpoints on a disk that fills up: the place is named, nothing half is left, what was there stays."""

from pathlib import Path

import pytest
import torch

from danlu.common.errors import DanluError
from danlu.training import checkpoint as module
from danlu.training.checkpoint import Checkpoints
from danlu.training.distributed import World


class _CheckpointException(BaseException):
    """torch's is not an Exception either."""


def test_a_full_disk_names_the_checkpoint_and_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, tensors = Checkpoints(tmp_path, 2, World()), {"weights": torch.ones(3)}
    checkpoints.save(1, tensors, {"loss": 1.5})

    def full(tensors: object, checkpoint_id: Path, **options: object) -> None:
        (checkpoint_id / "half").write_text("x", encoding="utf-8")
        raise _CheckpointException("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(module, "save", full)
    with pytest.raises(DanluError, match=r"no space left .*step-000000002"):
        checkpoints.save(2, tensors, {"loss": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]
    found = {"weights": torch.zeros(3)}
    assert checkpoints.load(1, found) == {"loss": 1.5}
    assert found["weights"].tolist() == [1.0, 1.0, 1.0]


def test_the_newest_are_kept_and_the_pinned(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 2, World())
    checkpoints.pinned.add(1)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, {"weights": torch.full((3,), float(step))}, {})
    assert checkpoints.steps() == [1, 3, 4]
