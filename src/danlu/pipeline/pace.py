"""How fast a model trains on this machine, tried for a moment: what every promise of time before a plan rests on."""

from collections.abc import Sequence

from danlu.common.duration import Duration
from danlu.hardware.speed import measure_speed
from danlu.model.config import ModelConfig
from danlu.pipeline.budget import target_flops
from danlu.pipeline.run_plan import nominal_target
from danlu.scaling.config import LadderConfig
from danlu.training.config import TrainingConfig
from danlu.training.dials import batch_tokens

_VOCABULARY = 1024
"""Rows of the table where the vocabulary is yet to be learned."""
_LARGEST = {"cpu": 3e7}
_LARGEST_ELSEWHERE = 1e9
"""Parameters of the largest model that is tried for a promise, by device; a larger one trains at about its rate."""
_MOST_TOKENS = {"cpu": 16_384}
"""Tokens of a step that is tried, by device: on a processor more change nothing about the rate."""


def affordable_flops(
    limits: Sequence[Duration], ladder: LadderConfig, training: TrainingConfig, vocab_size: int | None
) -> tuple[float, float]:
    """The training compute (FLOPs) of the target that a budget allows on this machine, and the rate (FLOP/s) at which
    it trains.

    Args:
        vocab_size: of the text, where it is known.

    Raises:
        DanluError: the device cannot be used.
    """
    from danlu.hardware.device import choose_device

    speed = measure_speed(training.device, training.precision)
    largest = _LARGEST.get(choose_device(training.device).type, _LARGEST_ELSEWHERE)
    ratio, vocabulary, context = ladder.tokens_per_parameter, vocab_size or _VOCABULARY, training.context

    def pace(flops: float) -> float:
        model = nominal_target(flops, ratio, vocabulary, context, largest)
        return training_rate(model, flops / model.flops_per_token(context), training)

    return target_flops(limits, ladder, pace, speed.peak)


def training_rate(model: ModelConfig, length: float, training: TrainingConfig) -> float:
    """The rate (FLOP/s) at which a model trains here in a run of so many tokens.

    Raises:
        DanluError: the device cannot be used.
    """
    from danlu.hardware.device import choose_device
    from danlu.training.rehearsal import rehearse

    kind = choose_device(training.device).type
    batch = min(batch_tokens(length, training), _MOST_TOKENS.get(kind, batch_tokens(length, training)))
    batch = max(1, batch // training.context) * training.context
    took = rehearse(model, batch, training, 0.7)
    return batch * model.flops_per_token(training.context) / took.step_seconds
