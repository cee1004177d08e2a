import subprocess
import sys
from pathlib import Path

import pytest

from danlu.hardware import machine


def test_this_machine_is_described() -> None:
    found = machine.describe_machine()
    assert found.processor
    assert found.cores >= 1
    assert found.memory_bytes > 1 << 28


def test_a_container_quota_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/sys/fs/cgroup/cpu.max": "50000 100000\n", "/sys/fs/cgroup/memory.max": "1000000000\n"}
    monkeypatch.setattr(machine, "_read", lambda path: files.get(path, ""))
    assert machine.usable_cores() == 1
    assert machine.usable_memory() == 1_000_000_000


def test_no_quota_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/sys/fs/cgroup/cpu.max": "max 100000\n", "/sys/fs/cgroup/memory.max": "max\n"}
    without = machine.usable_cores(), machine.usable_memory()
    monkeypatch.setattr(machine, "_read", lambda path: files.get(path, ""))
    assert machine.usable_cores() >= without[0]
    assert machine.usable_memory() >= without[1]


@pytest.mark.parametrize(("running", "idle"), [(1, True), (2, True), (3, False), (7, False)])
def test_idle_cores_are_those_that_no_other_thread_wants(
    monkeypatch: pytest.MonkeyPatch, running: int, idle: bool
) -> None:
    counts = iter([9, running, running, 1, running])  # others came and went
    cores = "cpu  1 2 3\ncpu0 1 2\ncpu1 1 2\ncpu2 1 2\n"
    monkeypatch.setattr(machine, "_read", lambda _: f"{cores}intr 1 2\nprocs_running {next(counts)}\n")
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    assert machine.has_idle_cores(pause=0.0) is idle


def test_without_counts_no_core_is_taken_for_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_read", lambda _: "")
    assert not machine.has_idle_cores(pause=0.0)


def test_a_file_that_is_not_there_reads_as_nothing(tmp_path: Path) -> None:
    assert machine._read(str(tmp_path / "none")) == ""


def test_memory_in_use_is_seen() -> None:
    before = machine.peak_memory()
    block = bytearray(200_000_000)
    assert machine.peak_memory() >= before
    assert machine.peak_memory() >= len(block) or before > len(block)


def test_no_torch_is_needed() -> None:
    code = "import sys; from danlu.hardware.machine import describe_machine as d; d(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
