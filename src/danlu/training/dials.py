"""From the model's size to everything that a run needs: one dial. No torch here."""

import math
from dataclasses import dataclass

from danlu.model.config import ModelConfig
from danlu.training.config import TrainingConfig
from danlu.training.schedule import Schedule


@dataclass(frozen=True)
class Hyperparameters:
    """The numbers that a run is trained with."""

    batch_tokens: int
    """Tokens an optimizer step; a multiple of the context."""
    lr: float
    """Peak learning rate of the matrices (Muon)."""
    table_lr: float
    """Peak learning rate of the table, the head and the norms (AdamW)."""
    weight_decay: float
    """Decoupled decay of the matrices, per unit of learning rate."""
    schedule: Schedule
    """Steps, warm-up and cooldown."""

    @property
    def tokens(self) -> int:
        """Tokens that the whole run sees."""
        return self.schedule.steps * self.batch_tokens


def batch_tokens(tokens: float, config: TrainingConfig) -> int:
    """Tokens an optimizer step for a run of that length: about its square root, and so as many steps.

    The best batch grows with the length of a run, hardly with its model's size (Zhang et al. 2024, arXiv 2410.21676;
    Bergsma et al. 2025, "Power Lines": exponent 0.38; Li et al. 2025, "Step Law": 0.58 D^0.571). With one batch for
    all, short runs would have too few steps, their losses lie too high, and a law through them fall too steeply
    (NOTES.md). Rounded to whole sequences.
    """
    wanted = config.batch_tokens or math.sqrt(tokens)
    return max(1, round(wanted / config.context)) * config.context


def hyperparameters(model: ModelConfig, tokens: int, config: TrainingConfig) -> Hyperparameters:
    """All of a run's numbers from its size and length.

    Args:
        tokens: length of the run; rounded to whole steps, at least one.
    """
    batch = batch_tokens(tokens, config)
    steps = max(1, round(tokens / batch))
    return Hyperparameters(
        batch_tokens=batch,
        lr=config.lr or 0.02,
        table_lr=config.table_lr or 0.64 / model.hidden_size,
        weight_decay=0.0 if config.weight_decay is None else config.weight_decay,
        schedule=Schedule(steps, config.warmup_steps or warmup_steps(steps), round(config.cooldown * steps)),
    )


def warmup_steps(steps: int) -> int:
    """Steps of warm-up for a run of that many: 50, which the averages of both optimizers (over 20 steps) are well
    settled after, and at most a tenth of a short run.

    As many tokens as there are parameters (Porian et al. 2024) would be most of a run of few tokens a parameter.
    """
    return max(1, min(50, steps // 10))
