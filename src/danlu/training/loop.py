"""THE training loop. It knows steps; what a batch is and what is minimised, its caller says."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from danlu.common.errors import DanluError
from danlu.model.kernels import keep_large_memory
from danlu.training.distributed import World
from danlu.training.optimizer import Updates, gradient_norm, scale_gradients
from danlu.training.schedule import LearningRate

Batch = TypeVar("Batch")
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Loss:
    """What an objective makes of one micro-batch on this process."""

    sum: Tensor
    """The loss summed over the real tokens (or pairs); a scalar that gradients flow from."""
    count: float | Tensor
    """How many were summed."""
    metrics: dict[str, Tensor] = field(default_factory=dict)
    """Other sums over the same items, reported as means."""


@dataclass(frozen=True)
class StepResult:
    """What one step did."""

    step: int
    """Steps done, this one included."""
    loss: float
    """Mean loss over the global batch."""
    metrics: dict[str, float]
    """Means of the objective's other sums."""
    lr: float
    """Learning rate of the matrices."""
    grad_norm: float
    """Norm of the gradient before clipping."""
    skipped: bool
    """Whether the update was left out because loss or gradient was not finite."""


def train_steps(
    model: M,
    optimizer: Updates,
    schedule: LearningRate,
    objective: Callable[[M, Batch], Loss],
    micro_batches: Callable[[int], Iterable[Batch]],
    world: World,
    *,
    first_step: int,
    clip: float,
    nonfinite: Literal["stop", "skip"],
) -> Iterator[StepResult]:
    """Take the steps of a schedule, one at each `next`.

    The gradient is the sum over all micro-batches of all processes, divided once by the global count: how the batch is
    cut and over how many processes changes nothing but rounding.

    Args:
        micro_batches: from a step's number to this process's micro-batches; every process has equally many.
        first_step: steps already done.

    Raises:
        DanluError: loss or gradient is not finite and `nonfinite` is "stop"; no parameter was changed by that step.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    keep_large_memory()
    for step in range(first_step, schedule.steps):
        totals: dict[str, Tensor] = {}
        count: float | Tensor = 0
        for batch in micro_batches(step):
            loss = objective(model, batch)
            loss.sum.backward()
            count += loss.count
            for name, value in {"loss": loss.sum.detach(), **loss.metrics}.items():
                totals[name] = totals[name] + value if name in totals else value
        names = sorted(totals)
        sums = torch.stack([totals[name].double() for name in names] + [_scalar(count, totals["loss"])])
        *values, global_count = world.sum(sums).tolist()
        means = {name: value / global_count for name, value in zip(names, values, strict=True)}

        # FSDP averages gradients over the processes, a sum is meant: hence the world's size.
        norm = gradient_norm(parameters) * (world.size / global_count)
        grad_norm = norm.item()
        finite = math.isfinite(means["loss"]) and math.isfinite(grad_norm)
        if finite:
            scale_gradients(parameters, (clip / norm.clamp_min(clip)) * (world.size / global_count))
            optimizer.step(step, schedule.factor(step))
        elif nonfinite == "stop":
            raise DanluError(
                f"step {step + 1}: the loss is {means['loss']:g} and the gradient's norm {grad_norm:g}; "
                "the step was not taken.",
                "Lower the learning rate (lr), or set nonfinite to 'skip' to leave such steps out.",
            )
        for parameter in parameters:
            parameter.grad = None
        loss_value = means.pop("loss")
        yield StepResult(
            step + 1, loss_value, means, optimizer.lr * schedule.factor(step), grad_norm, skipped=not finite
        )


def _scalar(value: float | Tensor, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64, device=like.device)
