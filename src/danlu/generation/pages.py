"""Memory of keys and values: on a processor in pages of its own, straight from the system."""

import math
import mmap

import torch
from torch import Tensor


def fresh(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, mmap.mmap | None]:
    """Zeros; on a processor in pages straight from the system, which cost nothing until they are written and go back
    as soon as nobody holds them: among what the allocator keeps, they would leave holes.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device), None
    # Not huge pages: one would be filled by the first token of a row.
    size = math.prod(shape) * dtype.itemsize
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
    pages = mmap.mmap(-1, size, **private)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype).view(shape), pages
