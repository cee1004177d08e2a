"""Checkpoints of a training run: whole or absent, verified, and readable by another number of processes."""

import logging
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from danlu.common.errors import DanluError
from danlu.common.files import read_json, sha256_file, write_json, writing
from danlu.training.distributed import World

_NAME = re.compile(r"step-(\d{9})")
_SUMS = "sha256.json"
_PROGRESS = "progress.json"


class Checkpoints:
    """The checkpoints of one run, newest kept.

    Args:
        folder: where they lie, one folder a step.
        keep: how many of the newest are kept; pinned ones beside them always.
    """

    def __init__(self, folder: Path, keep: int, world: World) -> None:
        self.folder, self.keep, self.world = folder, keep, world
        self.pinned: set[int] = set()

    def steps(self) -> list[int]:
        """Steps of the whole checkpoints, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(m.group(1)) for p in self.folder.iterdir() if (m := _NAME.fullmatch(p.name)))

    def path(self, step: int) -> Path:
        """The folder of a step's checkpoint."""
        return self.folder / f"step-{step:09d}"

    def save(self, step: int, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Write a checkpoint under a temporary name, then give it its own; drop the oldest.

        Args:
            tensors: by name; sharded ones are written by the process that has them.
            progress: small JSON values beside them.
        """
        final = self.path(step)
        temporary = final.with_name(f".{final.name}.tmp")
        with writing(final):
            try:
                self._write(step, temporary, tensors, progress)
            except BaseException:  # half a checkpoint must not hold the space that a whole one lacked
                if self.world.is_main:
                    shutil.rmtree(temporary, ignore_errors=True)
                raise
        self.world.barrier()

    def _write(self, step: int, temporary: Path, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        if self.world.is_main:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self.world.barrier()
        _quietly(save, dict(tensors), temporary, self.world)
        if self.world.is_main:
            write_json(temporary / _PROGRESS, dict(progress))
            files = sorted(p for p in temporary.iterdir() if p.is_file())
            write_json(temporary / _SUMS, {p.name: sha256_file(p) for p in files})
            final = self.path(step)
            shutil.rmtree(final, ignore_errors=True)
            temporary.rename(final)
            recent = [s for s in self.steps() if s not in self.pinned]
            for old in recent[: -self.keep]:
                shutil.rmtree(self.path(old), ignore_errors=True)

    def load(self, step: int, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Fill `tensors` in place from a checkpoint and return the values beside them.

        Raises:
            DanluError: a file of it is missing or altered, or it belongs to a model of another shape.
        """
        path = self.path(step)
        sums = read_json(path / _SUMS)
        for name, wanted in sums.items():
            file = path / name
            if not file.is_file() or sha256_file(file) != wanted:
                older = [s for s in self.steps() if s < step]
                back = f"from step {older[-1]}" if older else "from its beginning"
                raise DanluError(
                    f"the checkpoint {path} is damaged: {name} is {'altered' if file.is_file() else 'missing'}.",
                    f"Remove that folder and run the same command again: the run continues {back}.",
                )
        try:
            _quietly(load, dict(tensors), path, self.world)
        except (CheckpointException, ValueError, RuntimeError, KeyError) as error:
            raise DanluError(
                f"the checkpoint {path} does not fit this model: {str(error).splitlines()[0]}",
                "It was made with another shape or version; choose another --out, or remove the checkpoints.",
            ) from error
        progress: dict[str, Any] = read_json(path / _PROGRESS)
        return progress


def _quietly(function: Any, tensors: dict[str, Tensor], path: Path, world: World) -> None:
    """Run a DCP call without its notes on single-process use, which is what is meant."""
    logging.getLogger("torch.distributed.checkpoint").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function(tensors, checkpoint_id=path, no_dist=world.size == 1)
