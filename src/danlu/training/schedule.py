"""The learning rate over a run: warm-up, constant, cooldown."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol


class LearningRate(Protocol):
    """How the learning rate moves over a run."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""

    def factor(self, step: int) -> float:
        """The share of the peak rate at which step `step` (from 0) is taken."""


@dataclass(frozen=True)
class Schedule:
    """Warm-up, stable, decay (Hu et al. 2024, MiniCPM; Hägele et al. 2024): two runs that differ in length alone are
    the same until the shorter one cools down, so one long run serves several lengths."""

    steps: int
    """Optimizer steps of the whole run."""
    warmup: int
    """First steps, over which the rate rises from zero."""
    cooldown: int
    """Last steps, over which it falls linearly to zero."""

    def __post_init__(self) -> None:
        assert self.steps > 0
        assert 0 <= self.cooldown <= self.steps

    @property
    def cooldown_start(self) -> int:
        """Steps done when the rate begins to fall."""
        return self.steps - self.cooldown

    def factor(self, step: int) -> float:
        """The share of the peak rate at which step `step` (from 0) is taken."""
        assert 0 <= step < self.steps
        rising = min(1.0, (step + 1) / (self.warmup + 1))
        falling = min(1.0, (self.steps - step) / (self.cooldown + 1))
        return min(rising, falling)


@dataclass(frozen=True)
class Decay:
    """Warm-up, then one curve from the peak to the end: what the steps of alignment use.

    InstructGPT (Ouyang et al. 2022, appendix C): SFT and the reward model fall along a cosine to 10%; PPO stays
    constant after ten iterations that begin at 10%.
    """

    steps: int
    """Optimizer steps of the whole run."""
    shape: Literal["cosine", "linear", "constant"] = "cosine"
    """The curve after the warm-up."""
    floor: float = 0.1
    """What a falling rate approaches, as a share of the peak."""
    warmup: int = 0
    """First steps, over which the rate rises linearly."""
    start: float = 0.0
    """What the first step's warm-up begins from, as a share of the peak."""

    def __post_init__(self) -> None:
        assert self.steps > 0

    def factor(self, step: int) -> float:
        """The share of the peak rate at which step `step` (from 0) is taken."""
        assert 0 <= step < self.steps
        if step < self.warmup:
            return self.start + (1 - self.start) * (step + (self.start == 0)) / self.warmup
        if self.shape == "constant":
            return 1.0
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        left = (1 + math.cos(math.pi * done)) / 2 if self.shape == "cosine" else 1 - done
        return self.floor + (1 - self.floor) * left


def between_saves(wished: float, saving: float) -> float:
    """Seconds between two checkpoints: as wished, but so many that saving takes no more than a fiftieth of the time.

    Args:
        wished: 0 saves after every step, whatever it costs.
        saving: what the last checkpoint took (seconds).
    """
    return max(wished, 50 * saving) if wished else 0.0
