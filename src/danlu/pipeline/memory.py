"""How much memory the target's training will hold: what the ladder held, and what more the target's size adds."""

from pathlib import Path

from danlu.common.files import read_json
from danlu.model.config import ModelConfig
from danlu.scaling.design import LadderPlan
from danlu.scaling.forecast import Memory
from danlu.training.config import TrainingConfig

# fp32 weight, gradient and momentum, and the optimizer's and the checkpoint's passing copies of the largest tensors.
_BYTES_PER_PARAMETER = 16.0
# Numbers a token that one block keeps for its backward pass, in widths: norms, queries, keys, values, the attention's
# output, the feed-forward's two inner rows (8/3 wide each) and its product, the residual stream: about 20, and half as
# much again while the gradients of one block stand beside them (two targets of 1.5M parameters measured).
_KEPT_WIDTHS = 30.0
_DEFAULT_MICRO_BATCH = 4096
_UNSURE = 0.3
"""How far the share that the size adds may be off."""
_NOISE = 0.08
"""How far the process's own share may be off: allocators round and keep."""
GROWTH = 1.06
"""What a run holds over its rehearsal: nineteen runs 1.02 to 1.11 times as much (NOTES.md, entry 47)."""


def estimate_memory(plan: LadderPlan, target: ModelConfig, training: TrainingConfig, ladder: Path) -> Memory | None:
    """Most bytes held at once while the target trains; None where the ladder left no measurement.

    The process's own share (the libraries, mostly, and what they keep for each new shape) is what the rungs held beyond
    their models' share, counted the same way; so the forecast is measured where it is small and counted only for the
    difference. It grows a little with every size, and the target is one size more.

    Args:
        ladder: the ladder's folder, for the peaks that its rungs measured.
    """
    bases = []
    for rung in plan.rungs:
        result = ladder / rung.name / "trunk" / "result.json"
        if result.exists():
            bases.append(read_json(result)["peak_memory_bytes"] - model_bytes(rung.model, plan.context, training))
    if not bases:
        return None
    growth = max(0.0, bases[-1] - bases[0]) / max(1, len({rung.model for rung in plan.rungs}) - 1)
    base, added = bases[-1] + growth, model_bytes(target, plan.context, training)
    spread = max(2 * growth, _UNSURE * added, _NOISE * base)
    fresh = bases[0] * (1 - _NOISE) + added  # a run that is continued begins in a new process
    return Memory(bytes=base + added, low=min(base + added - spread, fresh), high=base + added + spread)


def rehearsed_memory(peak: float, counted: Memory | None) -> Memory:
    """What a rehearsal of the target held, as an estimate of what its training will hold.

    Args:
        peak: the rehearsal's (bytes).
        counted: `estimate_memory`'s, whose low end allows for a run that is continued in a new process.
    """
    held = GROWTH * peak
    low = (1 - _NOISE) * held
    return Memory(bytes=held, low=min(low, counted.low) if counted else low, high=(1 + _NOISE) * held)


def model_bytes(model: ModelConfig, context: int, training: TrainingConfig) -> float:
    """Bytes that a model's training adds: parameters with their optimizer, and one micro-batch's activations."""
    tokens = max(training.micro_batch_tokens or _DEFAULT_MICRO_BATCH, context)
    block = tokens * (_KEPT_WIDTHS * model.hidden_size + context * model.num_attention_heads)
    return (
        _BYTES_PER_PARAMETER * model.num_parameters("all")
        + 2.0 * model.num_hidden_layers * block
        + 4.0 * tokens * model.vocab_size
    )
