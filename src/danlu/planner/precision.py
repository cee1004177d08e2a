"""The arithmetic of a training run, from the many ways in which people write it."""

import re
from dataclasses import dataclass

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Precision:
    """In what the linear layers multiply, and how they are scaled."""

    name: str
    """fp32, fp16, bf16, fp8 or fp4."""
    fine_scaling: bool = False
    """Scales for each row or block, computed on the fly, instead of one for a tensor."""

    @property
    def bits(self) -> int:
        """Bits of a factor of the linear layers' products."""
        return int(self.name.removeprefix("b").removeprefix("fp").removeprefix("f"))

    @property
    def bytes(self) -> float:
        """Bytes of such a factor."""
        return self.bits / 8


_PATTERNS = (
    (r"nvfp4|mxfp4|fp4", "fp4"),
    (r"fp8|float8|e4m3|mxfp8|hif8", "fp8"),
    (r"bf16|bfloat16", "bf16"),
    (r"fp16|float16|\bhalf\b|amp|mixed", "fp16"),
    (r"fp32|float32|tf32", "fp32"),
)


def parse_precision(text: str, default: str = "bf16") -> Precision:
    """Read `bf16`, `FP8-CS`, `fp8 rowwise`, `MXFP8`, `amp_bf16/DEFAULT` and the like; nothing is `default`.

    Raises:
        DanluError: no known arithmetic is in the text.
    """
    words = text.lower().strip()
    if not words:
        return Precision(default)
    for pattern, name in _PATTERNS:
        if re.search(pattern, words):
            fine = name in ("fp8", "fp4") and bool(re.search(r"row|block|mx|nvfp4|sub.?channel|-sc\b|tile", words))
            return Precision(name, fine)
    raise DanluError(f"'{text}' is no arithmetic that is known here.", "Write bf16, fp16, fp8, fp4 or fp32.")
