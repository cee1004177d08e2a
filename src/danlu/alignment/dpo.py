"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290): from rankings without a reward model.

A response's implicit reward is beta times how much likelier it has become than under the start model; rankings of it
are learned as the reward model's are, all pairs of a prompt together. With two completions that is DPO's own loss.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from danlu.alignment.maths import ranking_loss
from danlu.alignment.reward import RankedBatch, rank_batch
from danlu.alignment.texts import Order, RankedTexts, fit_rankings, piece_size, shares
from danlu.alignment.tuning import begin, optimizer_of, schedule_of
from danlu.alignment.tuning_config import DPOConfig
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.feedback.records import Ranking
from danlu.model.transformer import Transformer
from danlu.training.loop import Loss
from danlu.training.run import Run, evenly, run_training

_EVALUATIONS = 4


@dataclass(frozen=True)
class DPOResult:
    """What the step gave; result.json."""

    rankings: int
    """Learned from."""
    dropped: Mapping[str, int]
    """Left out, by reason."""
    heldout_loss: float | None
    """nats a pair (ln 2 before learning); None without held-out rankings."""
    heldout_accuracy: float | None
    """Share of held-out pairs whose implicit rewards are in the right order."""
    steps: int
    loss: float
    """Training loss of the last step (nats a pair)."""
    seconds: float
    lr: float


@dataclass(frozen=True)
class DPOBatch:
    """Some prompts' completions, and how likely they were at the start."""

    ranked: RankedBatch
    reference: Tensor
    """(N,) fp32: log-probability (nats) of each response under the start model."""


def response_logprobs(model: Transformer, batch: RankedBatch) -> Tensor:
    """Log-probability (nats) of each response with its end, (N,)."""
    texts = batch.texts
    logprobs, _ = model.token_logprobs(texts.tokens, texts.targets, texts.positions, texts.segments)
    return texts.per_text(logprobs)


def dpo_loss(model: Transformer, batch: DPOBatch, beta: float) -> Loss:
    """The loss of all pairs of some prompts, in units of prompts. Metrics have TRL's names."""
    rewards = beta * (response_logprobs(model, batch.ranked) - batch.reference)
    table, ranks = batch.ranked.table(rewards), batch.ranked.ranks
    loss = ranking_loss(table, ranks)
    with torch.no_grad():
        best = torch.where(ranks >= 0, ranks, ranks.max() + 1).min(dim=1, keepdim=True).values if len(ranks) else ranks
        chosen = ranks == best
        rejected = (ranks >= 0) & ~chosen
        means = [(table * mask).sum(1) / mask.sum(1).clamp_min(1) for mask in (chosen, rejected)]
        # Each prompt in the unit of the count, so that the loop's quotient is a mean over prompts.
        weight = loss.count / max(1, len(ranks))
        high, low = (mean.sum() * weight for mean in means)
        metrics = {
            "rewards/chosen": high,
            "rewards/rejected": low,
            "rewards/margins": high - low,
            "rewards/accuracies": loss.metrics["accuracy"],
        }
    return Loss(loss.total, loss.count, metrics)


def run_dpo(
    start: Path,
    rankings: Sequence[Ranking],
    heldout: Sequence[Ranking],
    config: DPOConfig,
    out: Path,
    report: Progress,
    *,
    left_padding: int = 0,
) -> DPOResult:
    """Train a policy on rankings. Called again after an interruption, it continues.

    Args:
        start: a language model's folder; best one that was taught to chat. It is the reference too.
        heldout: rankings of other prompts.
        out: gets model/, metrics.jsonl, checkpoints/ and result.json.
        left_padding: padding tokens before every row; changes nothing but rounding.

    Raises:
        DanluError: nothing to learn from, or as `run_training`.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    begun = begin(start, config, report)
    engine, pad = begun.engine, begun.chat.pad
    fitted = fit_rankings(rankings, begun.chat, begun.limits)
    fitted.require("rankings", "Give some that prefer one completion to another, or a longer --context.")
    units, judged = fitted.units, fit_rankings(heldout, begun.chat, begun.limits).units
    report(fitted.summary("rankings") + f"; {len(judged)} held out")
    order = Order(len(units), config.batch_size, config.epochs, config.seed)
    lengths = [sum(len(text.tokens) for text in unit.texts) for unit in units]
    piece = piece_size(config.micro_batch_size, sum(lengths) / len(lengths), begun.config, engine)
    width = begun.limits.context if config.packing else None

    def ranked(some: Sequence[RankedTexts]) -> RankedBatch:
        return rank_batch(some, pad, engine.device, width, left_padding)

    @torch.no_grad()
    def start_logprobs(model: Transformer, some: Sequence[RankedTexts]) -> list[Tensor]:
        """(K,) for each ranking; every process works all of them out, as the joint products of FSDP want it."""
        found: list[Tensor] = []
        for first in range(0, len(some), piece):
            part = some[first : first + piece]
            found += response_logprobs(model, ranked(part)).split([len(one.texts) for one in part])
        return found

    model = begun.language_model(config.compile)
    reference, judged_reference = start_logprobs(model, units), start_logprobs(model, judged)

    def batch(some: Sequence[RankedTexts], before: Sequence[Tensor]) -> DPOBatch:
        return DPOBatch(ranked(some), torch.cat([*before, torch.zeros(0, device=engine.device)]))

    def micro_batches(step: int) -> Iterator[DPOBatch]:
        for some in shares(order.units(step), engine.world, piece):
            yield batch([units[i] for i in some], [reference[i] for i in some])

    @torch.no_grad()
    def evaluate(model: Transformer) -> dict[str, float]:
        total = right = count = 0.0
        for first in range(0, len(judged), piece):
            rows = slice(first, first + piece)
            loss = dpo_loss(model, batch(judged[rows], judged_reference[rows]), config.beta)
            total, count = total + float(loss.sum), count + float(loss.count)
            right += float(loss.metrics["rewards/accuracies"])
        return {"heldout_loss": total / count, "heldout_accuracy": right / count}

    seen = [0]
    for step in range(order.steps):
        seen.append(seen[-1] + sum(lengths[i] for i in order.units(step)))
    run: Run[Transformer, DPOBatch] = Run(
        model=model,
        optimizer=optimizer_of(model, config),
        schedule=schedule_of(order.steps, config),
        objective=lambda model, batch: dpo_loss(model, batch, config.beta),
        micro_batches=micro_batches,
        tokens_after=lambda step: seen[step],
        label="dpo",
        evaluate=evaluate if judged else None,
        evaluation_steps=evenly(_EVALUATIONS, order.steps) if judged else frozenset(),
    )
    went = run_training(run, engine, config, out, report)
    begun.save(model, out / "model")
    result = DPOResult(
        rankings=len(units),
        dropped=fitted.dropped,
        heldout_loss=went.evaluation.get("heldout_loss"),
        heldout_accuracy=went.evaluation.get("heldout_accuracy"),
        steps=order.steps,
        loss=went.loss,
        seconds=went.seconds,
        lr=run.optimizer.lr,
    )
    if engine.world.is_main:
        write_json(out / "result.json", to_mapping(result))
    engine.world.barrier()
    return result
