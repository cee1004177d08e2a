"""Settings of the ladder and of the forecast."""

from dataclasses import dataclass
from typing import Literal

from danlu.common.errors import DanluError


@dataclass(frozen=True)
class LadderConfig:
    """The ladder of small runs."""

    share: float = 0.10
    """The whole ladder's compute, as a share of the target's; under a third."""
    sizes: int = 4
    """Model sizes to aim for; fewer where the budget is small."""
    seeds: int = 2
    """Runs of the two smallest sizes, each with its own seed; those after the first take the shortest length alone, and
    are left out where the budget is small."""
    swept_sizes: int = 0
    """Smallest sizes that are also run, to their shortest length, at half and twice their learning rates; 0 to 2."""
    tokens_per_parameter: float = 12.0
    """Training tokens a parameter of the target (parameters that enter a matrix product, the head included)."""
    horizons: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Lengths of the annealed runs of one size, as shares of its longest; 1 is among them. One with fewer than
    `min_steps` steps is left out."""
    min_steps: int = 400
    """Fewest optimizer steps that an annealed run should have; down to a quarter of them where the budget or the text
    is small, with a warning."""
    max_epochs: float = 4.0
    """Most passes over the text; a budget that would need more is not spent. Up to 4 are nearly as good as fresh text
    (Muennighoff et al. 2023); at 14, a model with as many parameters as there are tokens overfits (NOTES.md)."""
    executor: Literal["auto", "here", "processes", "ray"] = "auto"
    """Where the rungs run: `here`, one after the other; `processes`, several at once on this machine, one on each core
    or accelerator; `ray`, on a Ray cluster whose machines see the same files. `auto` is `processes` where that is
    quicker."""
    workers: int | None = None
    """Rungs at once with `processes` (by default one for each core or accelerator); cores of each with `ray`."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 / 3:
            raise DanluError(f"ladder.share is {self.share:g}.", "Choose it between 0 and 1/3; 0.10 is a good value.")
        if self.sizes < 2:
            raise DanluError(f"ladder.sizes is {self.sizes}.", "A law needs at least 2 sizes; 4 or more are good.")
        if len(self.horizons) < 2 or max(self.horizons) != 1.0 or min(self.horizons) <= 0:
            raise DanluError(f"ladder.horizons is {self.horizons}.", "Give two or more shares above 0, at most 1.0.")
        if not 0 <= self.swept_sizes <= 2 or self.seeds < 1:
            raise DanluError(
                f"ladder.swept_sizes is {self.swept_sizes} and ladder.seeds is {self.seeds}.",
                "Give swept_sizes from 0 to 2 and seeds from 1 on.",
            )
        if self.workers is not None and self.workers < 1:
            raise DanluError(f"ladder.workers is {self.workers}.", "Give 1 or more, or leave it out.")
        if self.tokens_per_parameter <= 0 or self.max_epochs < 1 or self.min_steps < 1:
            raise DanluError(
                "ladder.tokens_per_parameter must be above 0, max_epochs and min_steps at least 1.",
                "Correct the recipe.",
            )


@dataclass(frozen=True)
class ForecastConfig:
    """The fit and the forecast's interval."""

    level: float = 0.90
    """Probability that the interval is meant to hold the measured loss."""
    huber_delta: float = 1e-2
    """Where the fit's Huber loss turns from squares to absolute values (natural log of the loss)."""
    seed_noise: float = 3e-3
    """Smallest run-to-run standard deviation to reckon with, as a share of the loss."""
    drift: float = 0.02
    """How far a law is expected to be off for each e-fold of compute that it is carried beyond its points (standard
    deviation, share of the loss), before a ladder's own larger runs have been forecast from its smaller ones."""
    emphasis: float = 0.5
    """Power of its compute with which a point counts in the fit: a small model's loss still holds a transient that the
    law does not know, and the target is far from it; 0 counts all alike."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise DanluError(f"forecast.level is {self.level:g}.", "Choose a probability such as 0.9.")
        if self.huber_delta <= 0 or min(self.seed_noise, self.drift) < 0:
            raise DanluError(
                "forecast.huber_delta must be above 0, seed_noise and drift at least 0.", "Correct the recipe."
            )
