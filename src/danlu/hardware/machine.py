"""What this machine is, from the operating system alone. No torch here."""

import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """The host: what a person would want to know to judge or repeat a measurement."""

    processor: str
    """Name of the processor as its maker writes it."""
    architecture: str
    """Instruction set, for example x86_64 or arm64."""
    cores: int
    """Cores that this process may use (affinity and container quota count)."""
    memory_bytes: int
    """Memory that this process may use (a container's limit counts)."""
    system: str
    """Operating system and its release."""


def describe_machine() -> Machine:
    """Look at the machine this process runs on."""
    return Machine(
        processor=_processor_name(),
        architecture=platform.machine(),
        cores=usable_cores(),
        memory_bytes=usable_memory(),
        system=f"{platform.system()} {platform.release()}",
    )


def usable_cores() -> int:
    """Cores this process may use: the smallest of installed, allowed by affinity, and paid for by a container quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, max(1, round(int(quota[0]) / int(quota[1]))))
    return cores


def has_idle_cores(samples: int = 5, pause: float = 0.004) -> bool:
    """Whether as many cores stand idle as this process may use; False where the system does not say.

    Counts runnable threads (Linux, /proc/stat) some times and takes the middle count, for threads come and go.

    Args:
        samples: how often to count; odd.
        pause: seconds between two counts.
    """
    counts = []
    for sample in range(samples):
        if sample:
            time.sleep(pause)
        found = re.search(r"^procs_running (\d+)", stat := _read("/proc/stat"), re.MULTILINE)
        if not found:
            return False
        cores = len(re.findall(r"^cpu\d+ ", stat, re.MULTILINE))
        counts.append(cores - (int(found.group(1)) - 1))  # this thread is one of those counted
    return sorted(counts)[samples // 2] >= usable_cores()


def usable_memory() -> int:
    """Bytes of memory this process may use; 0 where the system does not say."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    return min(installed, int(limit)) if limit.isdigit() else installed


def peak_memory() -> int:
    """Most bytes of memory this process has held at once so far; 0 where the system does not say."""
    found = re.search(r"VmHWM:\s*(\d+) kB", _read("/proc/self/status"))
    if found:
        return int(found.group(1)) * 1024
    try:
        import resource
    except ImportError:
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if platform.system() == "Darwin" else used * 1024


def _processor_name() -> str:
    cpuinfo = _read("/proc/cpuinfo")
    for key in ("model name", "Model", "Hardware", "cpu"):
        found = re.search(rf"^{key}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def _read(path: str) -> str:
    """A file of the system's, or nothing where this system has none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
