"""The learning rate over a run: warm-up, constant, cooldown."""

from dataclasses import dataclass


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
