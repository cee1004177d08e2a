"""Builds and loads the fused CPU passes: C files, compiled once a machine with its C compiler and kept in a cache."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import torch

# Reassociation lets the compiler vectorise sums. -ffast-math itself is avoided: at link time it would switch the whole
# process to flushing denormals.
_FLAGS = [
    *("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math"),
    *("-fno-signed-zeros", "-fassociative-math", "-freciprocal-math"),
]
_SOURCES = "kernels.c", "matrix_unit.c"
_SUFFIX = {torch.float32: "_fp32", torch.bfloat16: "_bf16"}


class Kernels:
    """The compiled functions, called with tensors, integers and floats in the order of the C files."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._functions: dict[tuple[str, torch.dtype], ctypes._NamedFuncPointer] = {}
        self.matrix_unit = hasattr(library, "matrix_unit") and bool(library.matrix_unit())
        """Whether the processor has a unit for products of bfloat16 matrices that matrix_unit.c knows (AMX)."""

    def call(self, name: str, dtype: torch.dtype, *arguments: torch.Tensor | int | float | None) -> None:
        """Run one kernel on contiguous CPU tensors (None is a null pointer)."""
        function = self._functions.get((name, dtype))
        if function is None:  # a kernel's arguments are of the same kinds at every call
            function = self._library[name + _SUFFIX[dtype]]
            function.argtypes, function.restype = [_kind(argument) for argument in arguments], None
            self._functions[name, dtype] = function
        function(*[_address(each) if isinstance(each, torch.Tensor) else each for each in arguments])


def _kind(argument: torch.Tensor | int | float | None) -> type[ctypes.c_void_p | ctypes.c_long | ctypes.c_float]:
    if isinstance(argument, int):
        return ctypes.c_long
    return ctypes.c_float if isinstance(argument, float) else ctypes.c_void_p


def _address(tensor: torch.Tensor) -> int:
    assert tensor.is_contiguous()
    return tensor.data_ptr()


@functools.cache
def load() -> Kernels | str:
    """The compiled kernels, or in one sentence why there are none on this machine.

    The library is kept under $XDG_CACHE_HOME/danlu (default ~/.cache/danlu), named by a hash of source, flags,
    compiler and processor. DANLU_KERNELS=0 turns them off.
    """
    if os.environ.get("DANLU_KERNELS") == "0":
        return "DANLU_KERNELS=0 is set"
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "no C compiler was found (install gcc or clang, or set CC)"
    sources = [resources.files("danlu.model").joinpath(name) for name in _SOURCES]
    texts = [source.read_text() for source in sources]
    identity = "\0".join([*texts, *_FLAGS, compiler, platform.machine(), _processor()])
    name = f"kernels-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    for folder in (_cache_folder(), Path(tempfile.gettempdir()) / f"danlu-{os.getuid() if os.name == 'posix' else 0}"):
        try:
            library = folder / name
            if not library.exists():
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                with contextlib.ExitStack() as files:
                    problem = _compile(compiler, [files.enter_context(resources.as_file(s)) for s in sources], library)
                if problem:
                    return problem
            kernels = Kernels(ctypes.CDLL(str(library)))
            _keep_freed_memory()
            return kernels
        except OSError as error:
            reason = f"the compiled kernels cannot be kept in or loaded from {folder}: {error}"
    return reason


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed: each step frees and takes the same activations, and handing the pages back to the
    system and faulting them in again took 6% of a step. Elsewhere than on glibc nothing happens."""
    trim_threshold, mmap_threshold = -1, -3
    _malloc_option(trim_threshold, 2**31 - 1)
    _malloc_option(mmap_threshold, 32 * 1024 * 1024)  # the most that glibc allows


def keep_large_memory() -> None:
    """Have glibc keep what is freed of whatever size, as a training wants it whose steps take the same again: it maps
    everything from 32 MB on anew, which took 8% of a step with such activations (NOTES.md, entry 50)."""
    mmap_max = -4
    _malloc_option(mmap_max, 0)


def _malloc_option(option: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(option, value)


def _compile(compiler: str, sources: list[Path], library: Path) -> str | None:
    temporary = library.with_name(f".{library.name}.{os.getpid()}.tmp")
    try:
        done = subprocess.run(
            [compiler, *_FLAGS, *map(str, sources), "-o", str(temporary), "-lm"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            return f"{compiler} could not compile the fused passes: {lines[0]}"
        temporary.replace(library)
    finally:
        temporary.unlink(missing_ok=True)
    return None


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "danlu"


def _processor() -> str:
    """What -march=native depends on: a cache shared between machines must not mix them up."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(line for line in lines[:40] if line.startswith(("model name", "flags", "Features")))
