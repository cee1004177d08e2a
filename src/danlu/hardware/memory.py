"""The most memory that a piece of work held at once."""

from pathlib import Path

import torch

from danlu.hardware.machine import peak_memory


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new measurement. Where the system cannot (only Linux can for the host), peaks count from the start."""
    if device.type != "cpu":
        torch.accelerator.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def measured_peak_memory(device: torch.device) -> int:
    """Most bytes held since the last reset: of the device, or of this process where the device is the processor."""
    if device.type != "cpu":
        return int(torch.accelerator.max_memory_allocated(device))
    return peak_memory()
