"""This machine as a chip: rates and bandwidth measured here. The one file of the catalogue that needs torch."""

import json
import time
from collections.abc import Callable
from datetime import date

import torch

from danlu.common.errors import DanluError
from danlu.hardware.catalogue.chip import Chip, Figure
from danlu.hardware.device import choose_device
from danlu.hardware.machine import describe_machine
from danlu.hardware.peak import measured_peak

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PROBE_SIDE = 256
_LEAST_RATE = 2e10
"""FLOP/s of a small product below which a format is emulated here and a large one would take minutes."""
_CPU_BYTES = 2**28
_ACCELERATOR_BYTES = 2**31
"""Size of the arrays that are copied: far beyond any cache."""


def measure_machine(device_name: str = "auto", report: Callable[[str], None] = print) -> Chip:
    """Measure a device of this machine.

    Rates are the best square matrix product seen (`danlu.hardware.peak`), which other work on the machine can only
    lower; bandwidth is the best copy seen, reads and writes counted.

    Raises:
        DanluError: no such device.
    """
    device = choose_device(device_name)
    host = describe_machine()
    name = host.processor if device.type == "cpu" else torch.get_device_module(device.type).get_device_name(device)
    source = f"measured by danlu with torch {torch.__version__} on {name}, {host.cores} cores, {host.system}"
    today = date.today().isoformat()
    report(f"{name} ({device.type}, {host.cores} cores, torch {torch.__version__})")
    rates: dict[str, Figure] = {}
    for precision, dtype in _DTYPES.items():
        small = _probe(device, dtype)
        if small is None or small < _LEAST_RATE:
            found = "not supported" if small is None else f"{small / 1e9:.1f} GFLOP/s on a small product: emulated"
            report(f"  {precision}: {found}; not measured")
            continue
        rates[precision] = Figure(measured_peak(device, dtype), source, "B", today)
        report(f"  {precision}: {rates[precision].value / 1e12:.3f} TFLOP/s")
    bandwidth = Figure(measured_bandwidth(device), source, "B", today)
    report(f"  memory bandwidth: {bandwidth.value / 1e9:.1f} GB/s (copy)")
    return Chip(
        name=f"This machine ({name})",
        aliases=("this machine", "here"),
        vendor=name.split()[0],
        country="",
        released=date.today().year,
        measured=rates,
        memory_bytes=_memory(device, host.memory_bytes, today),
        measured_bandwidth=bandwidth,
        notes=("Released is the year of the measurement.",),
    )


def measured_bandwidth(device: torch.device, seconds: float = 0.5) -> float:
    """The best rate of a copy between two arrays far larger than any cache (bytes/s, read plus written).

    Args:
        seconds: how long to look; at least three copies are timed.
    """
    size = _CPU_BYTES if device.type == "cpu" else _ACCELERATOR_BYTES
    source = torch.zeros(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # the first write pays for the pages
    _wait(device)
    best, deadline, timed = float("inf"), time.perf_counter() + seconds, 0
    while timed < 3 or time.perf_counter() < deadline:
        began = time.perf_counter()
        target.copy_(source)
        _wait(device)
        best, timed = min(best, time.perf_counter() - began), timed + 1
    return 2.0 * size / best


def toml_entry(chip: Chip) -> str:
    """The measured chip as a file that `load_user_chips` reads."""
    figures = [*chip.measured.values(), chip.measured_bandwidth]
    source = next(figure.source for figure in figures if figure)
    rates = ", ".join(f"{name} = {figure.value / 1e12:.6g}" for name, figure in chip.measured.items())
    lines = [
        "[[chip]]",
        f"name = {json.dumps(chip.name)}",
        f"aliases = {json.dumps(list(chip.aliases))}",
        f"vendor = {json.dumps(chip.vendor)}",
        f"released = {chip.released}",
        f"source = {json.dumps(source)}",
        'grade = "B"',
        f'date = "{date.today().isoformat()}"',
        f"measured_tflops = {{ {rates} }}",
    ]
    if chip.memory_bytes:
        lines.append(f"memory_gib = {chip.memory_bytes.value / 2.0**30:.6g}")
    if chip.measured_bandwidth:
        lines.append(f"measured_bandwidth_gb_s = {chip.measured_bandwidth.value / 1e9:.6g}")
    return "\n".join(lines) + "\n"


def _memory(device: torch.device, host_bytes: int, today: str) -> Figure | None:
    if device.type == "cpu":
        return Figure(host_bytes, "the operating system", "A", today) if host_bytes else None
    properties = torch.get_device_module(device.type).get_device_properties(device)
    size = int(getattr(properties, "total_memory", 0))
    return Figure(size, "the driver", "A", today) if size else None


def _probe(device: torch.device, dtype: torch.dtype) -> float | None:
    """The rate of a small product (FLOP/s); None where the format cannot be multiplied here."""
    left = torch.ones(_PROBE_SIDE, _PROBE_SIDE, dtype=dtype, device=device)
    try:
        torch.mm(left, left)
        _wait(device)
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            torch.mm(left, left)
            _wait(device)
            best = min(best, time.perf_counter() - began)
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise DanluError(
                f"the device {device} has no free memory.", "End what uses it, or choose another."
            ) from error
        return None
    return 2.0 * _PROBE_SIDE**3 / best


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
