"""How the target's compute is divided between parameters and tokens."""

import math
from dataclasses import dataclass

import numpy as np

from danlu.common.errors import DanluError
from danlu.model.config import ModelConfig
from danlu.model.family import family
from danlu.scaling.design import REACH, BatchRule, LadderPlan
from danlu.scaling.ladder_fit import Fit
from danlu.scaling.repetition import effective_params, effective_tokens

_FLAT = 0.02
"""Allocations this near to the best (share of the loss) count as equal, and the most usual of them is taken."""
_FREEDOM = 2.0
"""The factor by which a target's tokens a parameter may differ from the plan's."""


@dataclass(frozen=True)
class Target:
    """The run that is forecast."""

    model: ModelConfig
    """The model."""
    params: int
    """Parameters that enter a matrix product, the head included."""
    tokens: int
    """Training tokens, repeated ones counted each time; whole batches."""
    flops: float
    """Training compute (FLOPs)."""
    batch_tokens: int
    """Tokens a step."""
    unique_tokens: int | None
    """Distinct training tokens; None: no fewer than `tokens`."""
    epochs: float
    """Passes over the text; below 1 where not all of it is used."""

    @property
    def effective_params(self) -> float:
        """Parameters that its text can feed."""
        if self.unique_tokens is None:
            return float(self.params)
        return effective_params(float(self.params), float(self.unique_tokens))

    def effective_tokens(self, half_life: float) -> float:
        """Fresh tokens that the training tokens are worth."""
        if self.unique_tokens is None:
            return float(self.tokens)
        return effective_tokens(float(self.tokens), float(self.unique_tokens), half_life)


def allocate_target(fit: Fit, plan: LadderPlan, batch_tokens: BatchRule | None = None) -> Target:
    """Choose the target's size and length: the member of the family for which the surface predicts the lowest loss.

    Tokens a parameter stay within a factor of the plan's: the rungs of a small ladder are all far shorter than the
    target, and what their surface says of a better ratio is not to be trusted far. The optimum is flat, so of the
    allocations near the best the one nearest the plan's ratio is taken.

    Args:
        batch_tokens: tokens a step; by default one sequence.

    Raises:
        DanluError: no member of the family can spend the compute on the text.
    """
    needed = REACH * max(rung.flops for rung in plan.rungs)
    middle = math.log(plan.tokens_per_parameter)
    candidates = []
    for model in family(plan.vocab_size, plan.context):
        target = _target(model, plan, batch_tokens)
        if target is None or target.flops < needed:
            continue
        ratio = target.tokens / target.params
        outside = max(abs(math.log(ratio) - middle) - math.log(_FREEDOM), 0.0)
        worth = target.effective_tokens(fit.half_life)
        loss = float(fit.surface.predict({"N": np.array(target.effective_params), "D": np.array(worth)}))
        candidates.append((outside, loss, abs(math.log(ratio) - middle), target))
    if not candidates:
        raise DanluError(
            "the text is too short for a target of ten times the largest rung.",
            "Add text, or raise ladder.max_epochs.",
        )
    # Within that factor where any is; otherwise as near to it as the family's steps allow.
    inside = min(candidate[0] for candidate in candidates) + 0.02
    allowed = [candidate for candidate in candidates if candidate[0] <= inside]
    best = min(loss for _, loss, _, _ in allowed)
    return min((c for c in allowed if c[1] <= best * (1 + _FLAT)), key=lambda c: c[2])[3]


def _target(model: ModelConfig, plan: LadderPlan, batch_tokens: BatchRule | None) -> Target | None:
    """The longest run of a model that compute and text allow; None where that is less than a batch."""
    per_token = model.flops_per_token(plan.context)
    wished = plan.target_flops / per_token
    batch = batch_tokens(wished) if batch_tokens else plan.context
    batches = math.ceil(wished / batch)
    if plan.unique_tokens is not None:
        batches = min(batches, math.floor(plan.max_epochs * plan.unique_tokens / batch))
    if batches < 1:
        return None
    tokens = batches * batch
    return Target(
        model=model,
        params=model.num_parameters("matmul"),
        tokens=tokens,
        flops=per_token * tokens,
        batch_tokens=batch,
        unique_tokens=plan.unique_tokens,
        epochs=tokens / plan.unique_tokens if plan.unique_tokens else 1.0,
    )
