import pytest
import torch

from danlu.common.errors import DanluError
from danlu.hardware import device
from danlu.hardware.peak import measured_peak


def test_auto_finds_something_that_computes() -> None:
    found = device.choose_device("auto")
    assert torch.ones(2, device=found).sum().item() == 2.0


@pytest.mark.parametrize("name", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_here_is_a_plain_error(name: str) -> None:
    with pytest.raises(DanluError, match=name):
        device.choose_device(name)


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bf16_only_where_the_hardware_has_it(monkeypatch: pytest.MonkeyPatch, native: bool, dtype: torch.dtype) -> None:
    monkeypatch.setattr(device, "_cpu_has_native_bf16", lambda: native)
    assert device.compute_dtype(torch.device("cpu")) is dtype
    assert device.compute_dtype(torch.device("cpu"), "fp32") is torch.float32
    assert device.compute_dtype(torch.device("cpu"), "bf16") is torch.bfloat16


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_cuda_has_it_from_ampere_on(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], native: bool) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    assert device.has_native_bf16(torch.device("cuda")) is native


def test_the_peak_is_a_plausible_rate_and_is_measured_once() -> None:
    cpu = torch.device("cpu")
    peak = measured_peak(cpu, torch.float32, 0.01)
    assert 1e8 < peak < 1e17
    assert measured_peak(cpu, torch.float32, 0.01) == peak
