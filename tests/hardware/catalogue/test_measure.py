from pathlib import Path

import pytest
import torch

from danlu.hardware.catalogue import find_chip, load_user_chips, measure


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known rates in place of seconds of work."""
    monkeypatch.setattr(measure, "measured_peak", lambda device, dtype: 1e12 if dtype is torch.float32 else 4e12)
    monkeypatch.setattr(measure, "measured_bandwidth", lambda device: 5e10)
    monkeypatch.setattr(measure, "_probe", lambda device, dtype: None if dtype is torch.float16 else 1e12)


@pytest.mark.usefixtures("quick")
def test_this_machine_becomes_a_chip_that_its_file_gives_back(tmp_path: Path) -> None:
    lines: list[str] = []
    chip = measure.measure_machine("cpu", lines.append)
    assert {name: figure.value for name, figure in chip.measured.items()} == {"fp32": 1e12, "bf16": 4e12}
    assert chip.measured_bandwidth
    assert any("fp16: not supported" in line for line in lines)
    path = tmp_path / "here.toml"
    path.write_text(measure.toml_entry(chip), encoding="utf-8")
    again = find_chip("here", load_user_chips(path))
    assert again.measured["bf16"].value == pytest.approx(4e12)
    assert again.measured["bf16"].grade == "B"
    assert again.measured_bandwidth
    assert again.measured_bandwidth.value == pytest.approx(5e10)
    assert again.require("memory_bytes") == pytest.approx(chip.require("memory_bytes"), rel=1e-5)


def test_a_small_product_and_a_copy_are_really_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_CPU_BYTES", 2**20)
    cpu = torch.device("cpu")
    rate = measure._probe(cpu, torch.float32)
    assert rate is not None
    assert 1e6 < rate < 1e16
    assert 1e6 < measure.measured_bandwidth(cpu, seconds=0.0) < 1e14
