"""Muon for matrices, AdamW for the table and the norms, or AdamW for all: one object, one step."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

# Coefficients of the five quintic steps that bring every singular value close to one: the minimax-optimal sequence of
# Amsel et al. 2025 ("The Polar Express", arXiv 2505.16932, algorithm 1: lower bound 1e-3, with its safety factor).
_POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
_SAFETY = 1.01
_SMALL = 64
"""Rows below which a processor is quicker in fp32 than in bfloat16, whose products take longer to begin."""


def orthogonalize(matrices: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrix to each one, U V^T of its singular value decomposition, approximately.

    Args:
        matrices: (n, rows, columns), in the dtype to compute in.

    Returns:
        The same shape; singular values lie between about 0.8 and 1.1.
    """
    x = _lying(matrices)
    x = x / (x.norm(dim=(1, 2), keepdim=True) * _SAFETY + 1e-7)
    for index, (a, b, c) in enumerate(_POLAR_EXPRESS):
        if index < len(_POLAR_EXPRESS) - 1:  # the safety factor keeps rounding from leaving the interval
            a, b, c = a / _SAFETY, b / _SAFETY**3, c / _SAFETY**5
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if x.shape == matrices.shape else x.mT


class Updates(Protocol):
    """What the training loop asks of an optimizer."""

    @property
    def lr(self) -> float:
        """Peak learning rate, for the record."""

    def state(self) -> dict[str, Tensor]:
        """The tensors of the state by name; filling them in place restores it."""

    def step(self, step: int, factor: float) -> None:
        """Update number `step` (from 0), at a share of the peak learning rate."""


class Optimizers:
    """Several optimizers, each of its own part of a model, as one (a policy and its value function, say).

    Args:
        parts: by name; the first one's learning rate is put on record.
    """

    def __init__(self, parts: Mapping[str, Updates]) -> None:
        self._parts = dict(parts)
        self.lr = next(iter(self._parts.values())).lr

    def state(self) -> dict[str, Tensor]:
        """The tensors of all states by name."""
        return {f"{part}.{name}": t for part, optimizer in self._parts.items() for name, t in optimizer.state().items()}

    def step(self, step: int, factor: float) -> None:
        """Let each take its step."""
        for optimizer in self._parts.values():
            optimizer.step(step, factor)


class Optimizer:
    """Muon (Jordan et al. 2024) on the blocks' matrices and AdamW on everything else.

    The update of a matrix is its orthogonalised Nesterov momentum times sqrt(max(1, rows / columns)): a unit of
    learning rate then moves every matrix by the same spectral norm, whatever its shape, so that one rate serves all
    widths (Yang et al. 2023, "A spectral condition for feature learning").

    Args:
        model: its parameters are read once; matrices under `layers` go to Muon.
        lr, table_lr: peak learning rates of the two.
        weight_decay: decoupled, of the blocks' matrices: a step multiplies them by 1 - lr * weight_decay.
        compute_dtype: arithmetic of the orthogonalisation; small matrices on a processor take fp32.
        matrices: `adamw` gives the matrices to AdamW too, at the rate `lr`.
        eps: of AdamW, outside the bias correction as in PyTorch.
    """

    momentum = 0.95
    betas = (0.9, 0.95)

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        table_lr: float,
        weight_decay: float,
        compute_dtype: torch.dtype,
        *,
        matrices: Literal["muon", "adamw"] = "muon",
        eps: float = 1e-10,
    ) -> None:
        self.lr, self.table_lr, self.weight_decay, self.compute_dtype = lr, table_lr, weight_decay, compute_dtype
        self.eps = eps
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        hidden = [(name, p) for name, p in named if p.dim() == 2 and ".layers." in name]
        self._rest = [(name, p) for name, p in named if not (p.dim() == 2 and ".layers." in name)]
        self._matrices = hidden if matrices == "muon" else []
        self._adamw_matrices = hidden if matrices == "adamw" else []
        self._momentum = {name: torch.zeros_like(p) for name, p in self._matrices}
        self._mean = {name: torch.zeros_like(p) for name, p in self._rest + self._adamw_matrices}
        self._square = {name: torch.zeros_like(p) for name, p in self._rest + self._adamw_matrices}
        self._groups: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name, p in self._matrices:  # tall ones lie down beside the wide: small products cost more than they compute
            self._groups[(min(p.shape), max(p.shape))].append(name)

    def state(self) -> dict[str, Tensor]:
        """The tensors of the state by name; filling them in place restores it."""
        kinds = (("momentum", self._momentum), ("mean", self._mean), ("square", self._square))
        return {f"{kind}.{name}": tensor for kind, tensors in kinds for name, tensor in tensors.items()}

    @torch.no_grad()
    def step(self, step: int, factor: float) -> None:
        """Update the parameters from their gradients.

        Args:
            step: number of this update, from 0 (for Adam's bias correction).
            factor: of the peak learning rates, from the schedule.
        """
        self._step_matrices(self.lr * factor)
        self._step_adamw(self._rest, self.table_lr * factor, step)
        if self._adamw_matrices:
            lr = self.lr * factor
            if self.weight_decay:
                torch._foreach_mul_([_local(p) for _, p in self._adamw_matrices], 1 - lr * self.weight_decay)
            self._step_adamw(self._adamw_matrices, lr, step)

    def _step_matrices(self, lr: float) -> None:
        parameters = dict(self._matrices)
        if not parameters:
            return
        momenta = [_local(self._momentum[name]) for name in parameters]
        gradients = [_local(_gradient(p)) for p in parameters.values()]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        torch._foreach_lerp_(gradients, momenta, self.momentum)  # Nesterov: the gradient itself is no longer needed
        if self.weight_decay:
            torch._foreach_mul_([_local(p) for p in parameters.values()], 1 - lr * self.weight_decay)
        for (least, _), names in self._groups.items():
            small = least < _SMALL and gradients[0].device.type == "cpu"
            dtype = torch.float32 if small else self.compute_dtype
            whole = [_whole(_gradient(parameters[name])).to(dtype) for name in names]
            updates = orthogonalize(torch.stack([_lying(matrix) for matrix in whole]))
            for name, update in zip(names, updates, strict=True):
                p = parameters[name]
                rows, columns = p.shape
                scale = lr * math.sqrt(max(1.0, rows / columns))
                _local(p).add_(_share(update.t() if rows > columns else update, p), alpha=-scale)

    def _step_adamw(self, named: list[tuple[str, nn.Parameter]], lr: float, step: int) -> None:
        parameters = [_local(p) for _, p in named]
        gradients = [_local(_gradient(p)) for _, p in named]
        means = [_local(self._mean[name]) for name, _ in named]
        squares = [_local(self._square[name]) for name, _ in named]
        beta1, beta2 = self.betas
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        denominators = torch._foreach_sqrt(squares)
        torch._foreach_div_(denominators, math.sqrt(1 - beta2 ** (step + 1)))
        torch._foreach_add_(denominators, self.eps)
        torch._foreach_addcdiv_(parameters, means, denominators, -lr / (1 - beta1 ** (step + 1)))


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together (a scalar, fp32), over all shards where they are sharded."""
    gradients = [_gradient(p) for p in parameters if p.requires_grad]
    norms = torch._foreach_norm([_local(g) for g in gradients])
    squares = torch.stack([n.float().square() for n in norms]).sum()
    if gradients and isinstance(gradients[0], DTensor):
        torch.distributed.all_reduce(squares, group=gradients[0].device_mesh.get_group())
    return squares.sqrt()


def scale_gradients(parameters: Iterable[nn.Parameter], factor: Tensor) -> None:
    """Multiply all gradients in place."""
    torch._foreach_mul_([_local(_gradient(p)) for p in parameters if p.requires_grad], factor)


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _local(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _lying(matrices: Tensor) -> Tensor:
    """Matrices (..., rows, columns), or their transposes, with no more rows than columns."""
    return matrices.mT if matrices.size(-2) > matrices.size(-1) else matrices


def _whole(tensor: Tensor) -> Tensor:
    """All of a sharded tensor."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _share(whole: Tensor, like: Tensor) -> Tensor:
    """This process's part of `whole`, as FSDP2 shards `like`: chunks of rows."""
    if not isinstance(like, DTensor):
        return whole
    mesh = like.device_mesh
    chunks = whole.chunk(mesh.size(), dim=0)
    rank = mesh.get_local_rank()
    return chunks[rank] if rank < len(chunks) else whole[:0]
