"""What this machine computes on, and how fast: measured once, in about two seconds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Speed:
    """The device that trains and its matrix-product rates."""

    device: str
    """torch's name of the device."""
    precision: str
    """Format of the training arithmetic: bf16 or fp32."""
    peak_flops: dict[str, float]
    """Best measured rate of matrix products by format (FLOP/s)."""
    accelerators: tuple[dict[str, str | int], ...]
    """Chips beside the processor: name, kind, memory_bytes."""

    @property
    def peak(self) -> float:
        """The rate in the training arithmetic (FLOP/s)."""
        return self.peak_flops[self.precision]


def measure_speed(device_name: str = "auto", precision: Literal["auto", "bf16", "fp32"] = "auto") -> Speed:
    """Choose the device and measure it. Imports torch.

    Raises:
        DanluError: no such device here.
    """
    from dataclasses import asdict

    import torch

    from danlu.hardware.device import accelerators, choose_device, compute_dtype
    from danlu.hardware.peak import measured_peak

    device = choose_device(device_name)
    dtype = compute_dtype(device, precision)
    formats = {"fp32": torch.float32}
    if dtype is torch.bfloat16:
        formats["bf16"] = torch.bfloat16
    return Speed(
        device=str(device),
        precision="bf16" if dtype is torch.bfloat16 else "fp32",
        peak_flops={name: measured_peak(device, kind) for name, kind in formats.items()},
        accelerators=tuple(asdict(chip) for chip in accelerators()),
    )
