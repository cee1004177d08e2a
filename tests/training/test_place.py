"""What is compiled when a model comes to its device."""

import pytest
import torch

from danlu.common.progress import Progress
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer
from danlu.training import run
from danlu.training.config import TrainingConfig
from danlu.training.distributed import World
from danlu.training.run import Engine

SHAPE = ModelConfig(64, 32, 64, 1, 1, 1, 32)
ENGINE = Engine(torch.device("cpu"), torch.float32, World())


def test_a_processor_compiles_nothing_unless_it_is_told_to() -> None:
    assert not ENGINE.place(Transformer(SHAPE), "auto").fuse
    assert not ENGINE.place(Transformer(SHAPE), "off").fuse
    assert ENGINE.place(Transformer(SHAPE), "on").fuse


@pytest.mark.parametrize(("limit", "compiled"), [(1_000_000, False), (1_000, True)])
def test_where_it_can_be_a_large_model_is_compiled(monkeypatch: pytest.MonkeyPatch, limit: int, compiled: bool) -> None:
    monkeypatch.setattr(run, "compile_problem", lambda _: None)
    monkeypatch.setattr(run, "_COMPILED_PARAMETERS", limit)
    assert ENGINE.place(Transformer(SHAPE), "auto").fuse == compiled
    assert not ENGINE.place(Transformer(SHAPE), "off").fuse


def test_where_it_cannot_be_that_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run, "choose_device", lambda _: torch.device("meta"))
    monkeypatch.setattr(run, "compute_dtype", lambda *_: torch.float32)
    Engine.choose(TrainingConfig(), Progress())
    assert "without compilation" in capsys.readouterr().out
    Engine.choose(TrainingConfig(compile="off"), Progress())
    assert "compilation" not in capsys.readouterr().out
