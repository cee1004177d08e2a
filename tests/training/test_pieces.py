from types import SimpleNamespace

import pytest
import torch

from danlu.model.config import ModelConfig
from danlu.training.pieces import tokens_at_once

GPT2 = ModelConfig(50304, 768, 2048, 12, 12, 12, 64)
SMALL = ModelConfig(1024, 128, 352, 4, 4, 4, 32)
ONE_B = ModelConfig(50304, 2048, 5632, 16, 16, 16, 128)
SEVEN_B = ModelConfig(128256, 4096, 11008, 32, 32, 8, 128)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> torch.device:
    """An accelerator that has so many GiB."""
    properties = SimpleNamespace(total_memory=request.param * 2**30)
    module = SimpleNamespace(get_device_properties=lambda _: properties)
    monkeypatch.setattr(torch, "get_device_module", lambda _: module)
    return torch.device("cuda")


def test_a_processor_reads_more_where_activations_take_little() -> None:
    assert tokens_at_once(ONE_B, torch.device("cpu")) == 4096
    assert tokens_at_once(SMALL, torch.device("cpu")) == 16384


@pytest.mark.parametrize("device", [80], indirect=True)
def test_a_piece_fits_the_memory(device: torch.device) -> None:
    assert tokens_at_once(GPT2, device) == 65536
    # Measured with 16,384 tokens at once: 33 GiB compiled, 49 to 53 otherwise; twice as many would not fit.
    assert tokens_at_once(ONE_B, device) == 16384
    assert tokens_at_once(ONE_B, device, trained=2) < 16384
    # Its state alone is more than 80 GiB; shared out over eight it is not.
    assert tokens_at_once(SEVEN_B, device) == 1024
    assert 1024 < tokens_at_once(SEVEN_B, device, 8) < 16384


def test_an_accelerator_that_does_not_say_what_it_has_takes_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_device_module", lambda _: SimpleNamespace())
    assert 1024 < tokens_at_once(GPT2, torch.device("mps")) < 65536


@pytest.mark.parametrize("device", [8], indirect=True)
def test_a_small_accelerator_takes_smaller_pieces(device: torch.device) -> None:
    assert tokens_at_once(GPT2, device) == 4096
