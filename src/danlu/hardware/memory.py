"""The most memory that a piece of work held at once."""

from pathlib import Path

import torch

from danlu.hardware.device import device_properties
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


def total_memory(accelerator: torch.device) -> int | None:
    """Bytes that an accelerator has of its own; None where its driver does not say."""
    return getattr(device_properties(accelerator), "total_memory", None)


def free_memory(accelerator: torch.device) -> int | None:
    """Bytes of an accelerator that a new tensor could take, those included that the allocator keeps for later; None
    where its driver does not say.
    """
    backend = torch.get_device_module(accelerator)
    if not hasattr(backend, "mem_get_info"):
        return None
    free, _ = backend.mem_get_info(accelerator)
    kept = torch.accelerator.memory_reserved(accelerator) - torch.accelerator.memory_allocated(accelerator)
    return int(free + kept)
