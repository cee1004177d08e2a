"""One process or many: the group that torchrun starts, and the model shared out over it."""

import os
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer

Shardable = TypeVar("Shardable", Transformer, ScoreModel)


@dataclass(frozen=True)
class World:
    """This process's place among all."""

    rank: int = 0
    """Number of this process."""
    size: int = 1
    """Number of processes."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's part of `count` items: contiguous, sizes differing by at most one."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def largest_share(self, count: int) -> int:
        """Items that the process with most of them has."""
        return -(-count // self.size)

    def sum(self, value: Tensor) -> Tensor:
        """The sum of every process's tensor, in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


def join_world(device: torch.device) -> World:
    """Join the processes that torchrun started; alone where it did not."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return World()
    if not dist.is_initialized():
        backend = "gloo" if device.type == "cpu" else dist.get_default_backend_for_device(device.type)
        dist.init_process_group(backend)
    return World(dist.get_rank(), dist.get_world_size())


def local_device(device: torch.device) -> torch.device:
    """The accelerator of this process: torchrun's local rank chooses among the machine's."""
    if device.type == "cpu" or "LOCAL_RANK" not in os.environ:
        return device
    local = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
    torch.accelerator.set_device_index(local.index)
    return local


def shard(model: Shardable, world: World, device: torch.device) -> Shardable:
    """Share parameters, gradients and optimizer state out over all processes (FSDP2), a block at a time.

    Weights travel in the compute dtype and gradients are summed in fp32. What a block is given stays as it is: its
    activations have the compute dtype already, and rotary angles are fp32 in all arithmetic.
    """
    if world.size == 1:
        return model
    mesh = init_device_mesh(device.type, (world.size,))
    policy = MixedPrecisionPolicy(
        param_dtype=model.compute_dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for layer in model.model.layers:
        assert isinstance(layer, nn.Module)
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    for method in ("hidden", "loss", "token_losses", "token_logprobs", "scores_at"):
        if hasattr(model, method):
            register_fsdp_forward_method(model, method)
    return model
