"""How fast this machine multiplies matrices: the yardstick for every speed that danlu prints."""

import time
from functools import cache

import torch

# Large enough that the product is bound by arithmetic, small enough that several take well under a second.
_CPU_SIDE = 2048
_ACCELERATOR_SIDE = 8192


@cache
def measured_peak(device: torch.device, dtype: torch.dtype, seconds: float = 0.6) -> float:
    """The best rate of square matrix products seen on this device (FLOP/s), kept for the life of the process.

    The best and not the mean: other work on the machine can only slow a product down.

    Args:
        seconds: how long to look, warm-up included; at least three products are timed however long they take.
    """
    side = _CPU_SIDE if device.type == "cpu" else _ACCELERATOR_SIDE
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    product = torch.empty(side, side, device=device, dtype=dtype)
    torch.mm(left, right, out=product)
    _wait(device)
    best, deadline, timed = float("inf"), time.perf_counter() + seconds, 0
    while timed < 3 or time.perf_counter() < deadline:
        began = time.perf_counter()
        torch.mm(left, right, out=product)
        _wait(device)
        best, timed = min(best, time.perf_counter() - began), timed + 1
    return 2.0 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
