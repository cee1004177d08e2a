"""From the model's size to everything that a run needs: one dial. No torch here."""

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


def batch_tokens(model: ModelConfig, config: TrainingConfig) -> int:
    """Tokens an optimizer step for this size.

    Grows as N^(2/3) (Porian et al. 2024, appendix; OLMo-core takes 2048 x 160 tokens at 108M), so that a run of a fixed
    number of tokens a parameter takes about N^(1/3) more steps. The constant is half of theirs: small models with fewer
    than a few hundred steps lose more than larger batches give (swept at two sizes, see NOTES.md). Rounded to whole
    sequences.
    """
    wanted = config.batch_tokens or 1024 * 160 * (model.num_parameters("matmul") / 108e6) ** (2 / 3)
    return max(1, round(wanted / config.context)) * config.context


def hyperparameters(model: ModelConfig, tokens: int, config: TrainingConfig) -> Hyperparameters:
    """All of a run's numbers from its size and length.

    Args:
        tokens: length of the run; rounded to whole steps, at least one.
    """
    batch = batch_tokens(model, config)
    steps = max(1, round(tokens / batch))
    # Warm-up over about as many tokens as there are parameters (Porian et al. 2024): the same for every length of one
    # size, so that a shorter run is a prefix of a longer one.
    warmup = max(1, round(model.num_parameters("matmul") / batch))
    return Hyperparameters(
        batch_tokens=batch,
        lr=config.lr or 0.02,
        table_lr=config.table_lr or 0.64 / model.hidden_size,
        weight_decay=0.0 if config.weight_decay is None else config.weight_decay,
        schedule=Schedule(steps, warmup, round(config.cooldown * steps)),
    )
