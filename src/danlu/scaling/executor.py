"""Where the rungs of a ladder run."""

from danlu.hardware.executor import Executor, Here, OnRay, spread
from danlu.scaling.config import LadderConfig

_WORTH_FLOPS = 1e11
"""Below this much compute the whole ladder is done before further processes would have started."""


def choose_executor(config: LadderConfig, ladder_flops: float, rungs: int, device: str) -> Executor:
    """The executor that a configuration asks for, or the quickest here.

    Args:
        ladder_flops: compute of the whole ladder.
        rungs: how many rungs there are.
        device: torch's name of the device that trains, "cpu" or "cuda:0".
    """
    if config.executor == "ray":
        on_cpu = device == "cpu"
        return OnRay(threads=config.workers or 1, gpus=0 if on_cpu else 1)
    small = config.executor == "auto" and config.workers is None and ladder_flops < _WORTH_FLOPS
    return Here() if config.executor == "here" or small else spread(rungs, device, config.workers)
