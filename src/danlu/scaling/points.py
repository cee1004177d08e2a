"""The points of a ladder: what each annealed run cost and what loss it reached."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from danlu.common.errors import DanluError
from danlu.common.files import write_atomic
from danlu.common.strict import from_mapping, to_mapping

POINTS = "points.jsonl"
"""The file of a ladder's points, in its folder."""


@dataclass(frozen=True)
class Point:
    """One annealed run of a ladder's rung."""

    rung: str
    """Name of the rung; the points of one rung share their trunk."""
    params: int
    """Parameters that enter a matrix product, the head included: the N of the laws."""
    params_all: int
    """All trained parameters."""
    params_non_embedding: int
    """Parameters without the embedding table and an untied head."""
    tokens: int
    """Training tokens, the cooldown's included: the D of the laws."""
    flops: float
    """Training FLOPs that a run of this length takes: the C of the laws."""
    loss: float
    """Held-out loss after the cooldown (nats per token)."""
    loss_se: float | None
    """Standard error of `loss` from the finite held-out text (nats per token); None where unknown."""
    unique_tokens: int
    """Distinct training tokens that the run could draw from; it repeats them where `tokens` is larger."""
    batch_tokens: int
    """Tokens a step."""
    lr: float
    """Peak learning rate."""
    seed: int
    """Seed of the weights and of the data order."""
    seconds: float
    """Training time of the run, without evaluation (seconds)."""
    tokens_per_second: float
    """Speed of the training steps."""
    lr_factor: float = 1.0
    """What the dials' learning rates were multiplied with; other than 1 in a sweep, which the laws leave out."""

    def __post_init__(self) -> None:
        numbers = {"params": self.params, "tokens": self.tokens, "flops": self.flops, "loss": self.loss}
        for name, value in (numbers | {"unique_tokens": self.unique_tokens}).items():
            if not 0 < value < float("inf"):
                raise DanluError(
                    f"the point of rung '{self.rung}' at {self.tokens} tokens has {name} {value}.",
                    "A law needs a finite number above 0; remove the point, or run the rung again.",
                )

    @property
    def epochs(self) -> float:
        """Passes over the distinct training tokens."""
        return self.tokens / self.unique_tokens


def read_points(path: Path) -> list[Point]:
    """Read `points.jsonl`, one point a line.

    Raises:
        DanluError: no such file, or a line that is not a point.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DanluError(f"there are no points at {path}.", "Check the path, or run the ladder first.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DanluError(f"cannot read {path}: {error}.", "Run the ladder again.") from error
    points = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except json.JSONDecodeError as error:
            raise DanluError(
                f"{path}, line {number} is not JSON: {error}.", "Remove that line; its rung is then run again."
            ) from error
        if not isinstance(data, dict):
            raise DanluError(f"{path}, line {number} is not a point.", "Remove that line; its rung is then run again.")
        points.append(from_mapping(Point, data, f"{path}, line {number}"))
    return points


def write_points(path: Path, points: Sequence[Point]) -> None:
    """Write `points.jsonl`, whole or not at all."""
    write_atomic(path, b"".join(json.dumps(to_mapping(point)).encode() + b"\n" for point in points))
