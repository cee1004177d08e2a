"""Which device computes and in which number format. The only place that asks torch about a vendor's chip."""

import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from danlu.common.errors import DanluError

Precision = Literal["auto", "bf16", "fp32"]

# A chip whose tensor units know bfloat16; below, CUDA only emulates it. NVIDIA's Ampere is 8.0.
_CUDA_BF16_CAPABILITY = (8, 0)
_TRITON_CAPABILITY = (7, 0)


@dataclass(frozen=True)
class Accelerator:
    """One chip beside the processor."""

    name: str
    """As its maker writes it."""
    kind: str
    """torch's device type: cuda (ROCm too), npu, mlu, musa, xpu, mps."""
    memory_bytes: int
    """Its own memory; 0 where the driver does not say."""


def choose_device(name: str = "auto") -> torch.device:
    """The device to compute on.

    Args:
        name: `auto` takes the accelerator where there is one, else the processor; otherwise torch's name (cpu, cuda:1).

    Raises:
        DanluError: no such device here.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a back end that is absent
        reason = str(error).splitlines()[0]
        raise DanluError(
            f"device '{name}' cannot be used here: {reason}", "Leave the device out, or name cpu."
        ) from error
    return device


def has_native_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware (a processor: AVX512-BF16, AMX or Arm's BF16)."""
    if device.type == "cpu":
        return _cpu_has_native_bf16()
    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= _CUDA_BF16_CAPABILITY
    backend = torch.get_device_module(device.type)
    supported = getattr(backend, "is_bf16_supported", None)
    return bool(supported()) if callable(supported) else False


def _cpu_has_native_bf16() -> bool:
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch >= 2.12
    known = [bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "amx_tile", "bf16", "arm_bf16")]
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        known.append(getattr(torch.cpu, probe, bool)())
    return any(known)


def compute_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """The format of the arithmetic: bfloat16 where the hardware has it natively, float32 otherwise, or as told."""
    if precision == "auto":
        return torch.bfloat16 if has_native_bf16(device) else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


@cache
def compile_problem(device_type: str) -> str | None:
    """Why torch.compile makes no code for an accelerator, in a few words; None where it does.

    Args:
        device_type: torch's: cuda (ROCm too), npu, ...; a processor needs no compilation, which its fused passes save.
    """
    if device_type != "cuda":
        return f"torch.compile is not known to serve {device_type}"
    if torch.version.hip is None and torch.cuda.get_device_capability() < _TRITON_CAPABILITY:
        return "Triton does not serve a chip as old as this one"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        return "no C compiler was found (install gcc or clang, or set CC)"
    return None


def device_properties(accelerator: torch.device) -> object | None:
    """What an accelerator's driver says of it (`name`, `total_memory`, ...); None where torch does not ask."""
    backend = torch.get_device_module(accelerator)
    return backend.get_device_properties(accelerator) if hasattr(backend, "get_device_properties") else None


def accelerators() -> tuple[Accelerator, ...]:
    """The chips beside the processor that torch can use."""
    if not torch.accelerator.is_available():
        return ()
    current = torch.accelerator.current_accelerator()
    assert current is not None
    kind = current.type
    found = []
    for index in range(torch.accelerator.device_count()):
        properties = device_properties(torch.device(kind, index))
        found.append(
            Accelerator(
                name=getattr(properties, "name", kind),
                kind=kind,
                memory_bytes=int(getattr(properties, "total_memory", 0)),
            )
        )
    return tuple(found)
