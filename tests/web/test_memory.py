"""What only loading needed is given back, and nothing else."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from danlu.web import memory
from danlu.web.memory import tidy, unchanged

SMAPS = """\
7f00-7f10 r-xp 00001000 fe:00 1 /site/torch/lib/libtorch_cpu.so
Rss:                  64 kB
Anonymous:             0 kB
VmFlags: rd ex
7f10-7f20 r--p 00002000 fe:00 1 /site/torch/lib/libtorch_cpu.so
Anonymous:             8 kB
7f20-7f30 rw-p 00003000 fe:00 1 /site/torch/lib/libtorch_cpu.so
Anonymous:             0 kB
7f30-7f40 r-xp 00000000 fe:00 2 /site/torchvision/lib.so
Anonymous:             0 kB
7f40-7f50 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f50-7f60 r--s 00000000 fe:00 3 /site/torch/shared
Anonymous:             0 kB
7f60-7f70 r--p 00000000 fe:00 3 /site/nvidia/with a space/libcublas.so.13
Anonymous:             0 kB
"""


def test_only_mappings_that_are_what_is_on_disk_count_as_unchanged() -> None:
    found = list(unchanged(SMAPS.splitlines(keepends=True), ["/site/torch/", "/site/nvidia/"]))
    assert found == [(0x7F00, 0x7F10), (0x7F60, 0x7F70)]


@pytest.mark.skipif(sys.platform != "linux", reason="the resident set is read from /proc")
def test_pages_of_the_libraries_are_dropped_and_torch_goes_on() -> None:
    script = """
import torch
from danlu.web.memory import release_libraries

def resident():
    with open("/proc/self/smaps_rollup") as file:
        sizes = {line.split()[0]: int(line.split()[1]) for line in file if line.endswith("kB\\n")}
    return sizes["Rss:"] - sizes["Anonymous:"]

x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
before, held = torch.linalg.qr(x @ x).R, resident()
release_libraries()
left = resident()
assert torch.equal(torch.linalg.qr(x @ x).R, before)
print(held, left)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=Path.cwd()
    )
    held, left = map(int, ran.stdout.split())  # kB of pages of files
    assert left < 0.7 * held


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is given back")
def test_freed_memory_goes_back_once_after_some_work(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    library = SimpleNamespace(malloc_trim=trimmed.append)
    monkeypatch.setattr(memory, "ctypes", SimpleNamespace(CDLL=lambda name: library))
    steps = iter([0, 0, 5, 5, 5, 9, 9])
    looked = 0

    def count() -> int:
        nonlocal looked
        looked += 1
        return next(steps)

    async def look() -> None:
        with contextlib.suppress(RuntimeError):  # the iterator has ended
            await tidy(count, seconds=0)

    asyncio.run(look())
    assert looked == 8
    assert trimmed == [0, 0]  # after step 5 and after step 9
