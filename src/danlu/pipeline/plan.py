"""From a length with a unit, and a folder of tokens, to plans in tokens and FLOPs. No torch here."""

from pathlib import Path

from danlu.common.duration import Duration
from danlu.common.errors import DanluError
from danlu.model.config import ModelConfig
from danlu.model.family import shape
from danlu.scaling.config import LadderConfig
from danlu.scaling.design import LadderPlan, design_ladder
from danlu.tokens.build import TokensSummary, read_tokens_summary
from danlu.training.config import TrainingConfig
from danlu.training.dials import batch_tokens


def plan_ladder(target_flops: float, tokens: Path, training: TrainingConfig, ladder: LadderConfig) -> LadderPlan:
    """The ladder for a target of that compute on those tokens.

    Raises:
        DanluError: the budget or the text is too small for a ladder.
    """
    summary = read_tokens_summary(tokens)
    return design_ladder(
        target_flops,
        context=training.context,
        vocab_size=summary.vocab_size,
        config=ladder,
        unique_tokens=summary.train_tokens,
        cooldown=training.cooldown,
        batch_tokens=lambda length: batch_tokens(length, training),
    )


def horizon_tokens(horizon: Duration, model: ModelConfig, tokens: TokensSummary, training: TrainingConfig) -> int:
    """The length of one training run in tokens.

    Raises:
        DanluError: the length is in time, which a run that must repeat exactly cannot be.
    """
    if horizon.unit == "tokens":
        return round(horizon.value)
    if horizon.unit == "epochs":
        return round(horizon.value * tokens.train_tokens)
    if horizon.unit == "steps":
        # Where the dials choose the batch it is about the root of the length: the length is the steps squared.
        steps = round(horizon.value)
        return steps * batch_tokens(steps**2, training)
    if horizon.unit == "flops":
        return round(horizon.value / model.flops_per_token(training.context))
    raise DanluError(
        f"a horizon of {horizon} depends on the machine.",
        "Give it in tokens, epochs, steps or flops: 10Mtokens, 2epochs.",
    )


def model_of_width(width: int, vocab_size: int, context: int) -> ModelConfig:
    """The family's member of a width that a person typed.

    Raises:
        DanluError: there is no such member.
    """
    if width < 24 or width % 4:
        raise DanluError(f"the width is {width}.", "Give a multiple of 4 from 24 on, such as 128.")
    return shape(width, vocab_size, context)
