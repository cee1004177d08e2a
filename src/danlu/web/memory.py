"""Giving back memory that nothing needs any more: what only the loading of PyTorch read, and what answers have freed.

The dynamic linker reads every library's relocation tables, and constructors read much else, once. Those pages stay in
the process's resident set although nothing will read them again: 200 MB of them in the CUDA builds, whose libraries a
server on a processor never calls. They are unchanged parts of files: what is needed after all is read again.
"""

import asyncio
import ctypes
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_DONTNEED = 4  # MADV_DONTNEED in Linux's asm-generic/mman-common.h, the same on every machine that runs PyTorch
_HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+\s+(/.*)")


def release_libraries() -> None:
    """Drop the unchanged pages of PyTorch's libraries from the resident set; nothing is done where there is no Linux.

    Imports torch. Must be called before a model computes: only then is it certain that no other thread is just
    loading one of these libraries.
    """
    import torch

    if not sys.platform.startswith("linux"):
        return
    packages = Path(torch.__file__).parents[1]
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/smaps") as file:
        for start, end in list(unchanged(file, [str(packages / "torch") + "/", str(packages / "nvidia") + "/"])):
            libc.madvise(start, end - start, _DONTNEED)


async def tidy(steps: Callable[[], int], seconds: float = 15.0) -> None:
    """Give freed memory back to the system from time to time while there is work, and after it; never returns.

    glibc keeps what was freed between what is in use: after many answers at once some 70 MB.

    Args:
        steps: how much has been done so far.
        seconds: between two looks.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    done = 0
    while trim is not None:
        await asyncio.sleep(seconds)
        if (now := steps()) != done:
            done = now
            await asyncio.to_thread(trim, 0)


def unchanged(smaps: Iterable[str], folders: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Mappings of files below some folders that cannot be written to, and have never been: they are what is on disk.

    Args:
        smaps: the lines of /proc/PID/smaps (proc(5)).

    Yields:
        first address, address behind the last.
    """
    below = tuple(folders)
    span: tuple[int, int] | None = None
    for line in smaps:
        if head := _HEAD.match(line):
            start, end, rights, path = head.groups()
            private = rights[1] == "-" and rights[3] == "p"
            span = (int(start, 16), int(end, 16)) if private and path.startswith(below) else None
        elif span and line.startswith("Anonymous:"):
            if line.split()[1] == "0":
                yield span
            span = None
