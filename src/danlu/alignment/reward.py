"""Step 2: a reward model learns people's rankings (InstructGPT, Ouyang et al. 2022, section 3.5 and appendix C.2).

All pairs of a prompt's completions are one element of the batch, with one pass for each completion; shuffled as pairs
of their own, they would be learned by heart within one epoch.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from danlu.alignment.maths import ranking_loss
from danlu.alignment.reward_check import RewardCheck, Scores, check, disagreement
from danlu.alignment.reward_scorer import MEMBERS, RewardScorer
from danlu.alignment.texts import (
    Fitted,
    Order,
    RankedTexts,
    TextBatch,
    collate,
    collate_groups,
    fit_demonstrations,
    fit_rankings,
    group_tokens,
    piece_size,
    shares,
)
from danlu.alignment.tuning import Start, begin, optimizer_of, schedule_of
from danlu.alignment.tuning_config import RewardConfig
from danlu.common.errors import DanluError
from danlu.common.files import folder_atomic, write_json
from danlu.common.interrupt import Stopped
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.feedback.records import Demonstration, Ranking
from danlu.hardware.executor import spread
from danlu.model.score import ScoreModel, save_score_model
from danlu.tokens.chat import Text
from danlu.training.loop import Loss
from danlu.training.run import Run, run_training, whole_weights

_PIECE = 16
"""Prompts whose completions are judged at once."""


@dataclass(frozen=True)
class RewardResult:
    """What the step gave; result.json."""

    rankings: int
    """Learned from."""
    comparisons: int
    """Untied pairs in them."""
    dropped: dict[str, int]
    """Left out, by reason."""
    heldout: RewardCheck | None
    """Beside held-out rankings, where all seeds' models are kept their mean score; None without them."""
    demonstrations: int
    """Whose mean score is 0 now; with none, the mean of the preferred completions is."""
    bias: float
    """The head's bias that does that."""
    seed: int
    """Of the model that is kept, or stands first."""
    members: tuple[float, ...]
    """Held-out accuracy of each seed's model."""
    disagreement: float | None
    """Standard deviation of margins between the seeds' models, mean over held-out pairs; None with one seed."""
    steps: int
    loss: float
    """Training loss of the last step (nats a pair; ln 2 knows nothing)."""
    seconds: float
    lr: float


@dataclass(frozen=True)
class RankedBatch:
    """Some prompts' completions."""

    texts: TextBatch
    places: tuple[Tensor, Tensor]
    """(N,) int64 each: prompt and completion of each text."""
    ranks: Tensor
    """(P, K) int64; -1 where a prompt has fewer completions."""

    def table(self, values: Tensor) -> Tensor:
        """Values of the texts (N,) as (P, K), 0 where there is none."""
        return values.new_zeros(self.ranks.shape).index_put(self.places, values)


def rank_batch(
    rankings: Sequence[RankedTexts],
    pad: int,
    device: torch.device,
    width: int | None,
    left_padding: int = 0,
    *,
    share_prompts: bool = False,
) -> RankedBatch:
    """Put the completions of some prompts into rows.

    Args:
        width: see `collate`.
        share_prompts: let the completions of a prompt stand behind it once, in rows of any length (`collate_groups`);
            scores are the same but for rounding, targets are lost.
    """
    texts = [text for ranking in rankings for text in ranking.texts]
    prompts = [number for number, ranking in enumerate(rankings) for _ in ranking.texts]
    columns = [column for ranking in rankings for column in range(len(ranking.texts))]
    ranks = torch.full((len(rankings), max([len(r.ranks) for r in rankings], default=2)), -1)
    places = torch.tensor(prompts, dtype=torch.int64), torch.tensor(columns, dtype=torch.int64)
    ranks[places] = torch.tensor([rank for ranking in rankings for rank in ranking.ranks], dtype=torch.int64)
    if share_prompts:
        groups, packing = [ranking.texts for ranking in rankings], width is not None
        batch = collate_groups(groups, pad, device, packing=packing, left_padding=left_padding)
    else:
        batch = collate(texts, pad, device, width=width, left_padding=left_padding)
    return RankedBatch(batch, (places[0].to(device), places[1].to(device)), ranks.to(device))


def reward_loss(model: ScoreModel, batch: RankedBatch, margin: float = 0.0) -> Loss:
    """The loss of all pairs of some prompts, in units of prompts."""
    texts = batch.texts
    scores = model(texts.tokens, texts.positions, texts.segments, texts.shared).flatten()[texts.ends]
    loss = ranking_loss(batch.table(scores), batch.ranks, margin=margin)
    return Loss(loss.total, loss.count, {"accuracy": loss.metrics["accuracy"]})


def run_reward(
    start: Path,
    rankings: Sequence[Ranking],
    heldout: Sequence[Ranking],
    demonstrations: Sequence[Demonstration],
    config: RewardConfig,
    out: Path,
    report: Progress,
    *,
    left_padding: int = 0,
) -> RewardResult:
    """Train a reward model. Called again after an interruption, it continues.

    Args:
        start: a language model's folder; best one that was taught to chat.
        heldout: rankings of other prompts.
        demonstrations: whose mean score becomes 0.
        out: gets model/, metrics.jsonl, checkpoints/ and result.json; with several seeds a folder for each.
        left_padding: padding tokens before every row; changes nothing but rounding.

    Raises:
        DanluError: nothing to learn from, or as `run_training`.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    begun = begin(start, config, report)
    units = _units(begun, rankings, heldout, demonstrations)
    judged = units.judged
    report(units.fitted.summary("rankings") + f"; {len(judged)} held out")

    if config.seeds == 1:
        result, _ = _train(begun, units, config, out, report, left_padding)
        _write_result(begun, result, out)
        return result
    trained = _members(begun, units, config, out, report, left_padding)
    scores = [scores for _, scores in trained]
    accuracies = tuple(one.heldout.accuracy.value if one.heldout else float("nan") for one, _ in trained)
    best = max(range(len(trained)), key=lambda i: (accuracies[i], -i)) if judged else 0
    every = config.keep == "all"
    result = replace(
        trained[best][0],
        heldout=check(judged, _mean(scores)) if judged and every else trained[best][0].heldout,
        members=accuracies if judged else (),
        disagreement=disagreement(scores) if judged else None,
    )
    if begun.engine.world.is_main:
        folders = {one.seed: out / f"seed-{one.seed}" / "model" for one, _ in trained}
        kept = folders.pop(result.seed)
        with folder_atomic(out / "model") as folder:
            shutil.copytree(kept, folder, dirs_exist_ok=True)
            for seed, member in folders.items() if every else ():
                shutil.copytree(member, folder / MEMBERS / f"seed-{seed}")
    _write_result(begun, result, out)
    return result


def _write_result(begun: Start, result: RewardResult, out: Path) -> None:
    if begun.engine.world.is_main:
        write_json(out / "result.json", to_mapping(result))
    begun.engine.world.barrier()


def _mean(members: Sequence[Scores]) -> list[list[float]]:
    """The mean of several models' scores."""
    return [[sum(each) / len(each) for each in zip(*groups, strict=True)] for groups in zip(*members, strict=True)]


@dataclass(frozen=True)
class _Units:
    """What a reward model is trained with, as tokens."""

    fitted: Fitted[RankedTexts]
    """Learned from."""
    judged: tuple[RankedTexts, ...]
    """Held out."""
    zero: tuple[Text, ...]
    """Whose mean score becomes 0."""
    demonstrations: int
    """How many of these are demonstrations: all or none."""


def _units(
    begun: Start, rankings: Sequence[Ranking], heldout: Sequence[Ranking], demonstrations: Sequence[Demonstration]
) -> _Units:
    fitted = fit_rankings(rankings, begun.chat, begun.limits)
    fitted.require("rankings", "Give some that prefer one completion to another, or a longer --context.")
    shown = fit_demonstrations(demonstrations, begun.chat, begun.limits).units
    best = (text for r in fitted.units for text, rank in zip(r.texts, r.ranks, strict=True) if rank == 0)
    return _Units(fitted, fit_rankings(heldout, begun.chat, begun.limits).units, shown or tuple(best), len(shown))


@dataclass(frozen=True)
class _Member:
    """The training of one of several reward models."""

    start: Path
    units: _Units
    config: RewardConfig
    """With the member's own seed."""
    out: Path
    left_padding: int

    @property
    def name(self) -> str:
        return f"seed {self.config.seed}"

    kind = "Reward model", "reward models"

    def __str__(self) -> str:
        return self.name

    @property
    def legs(self) -> list[tuple[str, float]]:
        return [(self.name, 1.0)]

    def __call__(self, report: Progress) -> "tuple[RewardResult, Scores]":
        begun = begin(self.start, self.config, Progress(silent=True))
        return _train(begun, self.units, self.config, self.out, report, self.left_padding, self.name)


def _members(
    begun: Start, units: _Units, config: RewardConfig, out: Path, report: Progress, left_padding: int
) -> "list[tuple[RewardResult, Scores]]":
    """All seeds' models, several at once where there are cores or accelerators for it."""
    jobs = [
        _Member(begun.folder, units, replace(config, seed=seed), out / f"seed-{seed}", left_padding)
        for seed in range(config.seed, config.seed + config.seeds)
    ]
    trained: dict[int, tuple[RewardResult, Scores]] = {}
    executor = spread(len(jobs), str(begun.engine.device))
    for place, outcome in executor(jobs, report):
        if outcome.stopped is not None:
            raise Stopped(outcome.stopped)
        if outcome.cause:
            raise DanluError(outcome.cause, outcome.remedy)
        trained[place] = outcome.result
    return [trained[place] for place in range(len(jobs))]


def _train(
    begun: Start,
    material: _Units,
    config: RewardConfig,
    out: Path,
    report: Progress,
    left_padding: int,
    label: str = "reward model",
) -> tuple[RewardResult, Scores]:
    """One seed's model, written to out/model, and its scores of the held-out completions."""
    engine, units, pad = begun.engine, material.fitted.units, begun.chat.pad
    order = Order(len(units), config.batch_size, config.epochs, config.seed)
    lengths = [group_tokens(unit.texts) for unit in units]
    piece = piece_size(config.micro_batch_size, sum(lengths) / len(lengths), begun.config, engine)
    width = begun.limits.context if config.packing else None
    seen = [0]
    for step in range(order.steps):
        seen.append(seen[-1] + sum(lengths[i] for i in order.units(step)))

    def micro_batches(step: int) -> Iterator[RankedBatch]:
        for some in shares(order.units(step), engine.world, piece):
            yield rank_batch([units[i] for i in some], pad, engine.device, width, left_padding, share_prompts=True)

    model = begun.score_model(config.seed, config.compile)
    run: Run[ScoreModel, RankedBatch] = Run(
        model=model,
        optimizer=optimizer_of(model, config),
        schedule=schedule_of(order.steps, config),
        objective=lambda model, batch: reward_loss(model, batch, config.margin),
        micro_batches=micro_batches,
        tokens_after=lambda step: seen[step],
        label=label,
    )
    went = run_training(run, engine, config, out, report)
    scorer = RewardScorer([model], begun.chat)
    mean = sum(scores := scorer.score_texts(material.zero)) / len(scores)
    heldout = _scores(scorer, material.judged)
    weights, bias = whole_weights(model), model.score.bias.detach()
    shifted = (bias.full_tensor() if isinstance(bias, DTensor) else bias).cpu() - mean
    if engine.world.is_main:
        weights["score.bias"] = shifted
        save_score_model(begun.config, weights, begun.folder, out / "model", template=begun.chat.template, pad=pad)
    engine.world.barrier()
    result = RewardResult(
        rankings=len(units),
        comparisons=sum(a < b for unit in units for a in unit.ranks for b in unit.ranks),
        dropped=dict(material.fitted.dropped),
        heldout=check(material.judged, heldout) if material.judged else None,
        demonstrations=material.demonstrations,
        bias=float(shifted.item()),
        seed=config.seed,
        members=(),
        disagreement=None,
        steps=order.steps,
        loss=went.loss,
        seconds=went.seconds,
        lr=run.optimizer.lr,
    )
    return result, heldout


def _scores(scorer: RewardScorer, rankings: Sequence[RankedTexts]) -> list[list[float]]:
    flat = scorer.score_texts([text for ranking in rankings for text in ranking.texts])
    found, at = [], 0
    for ranking in rankings:
        found.append(flat[at : at + len(ranking.texts)])
        at += len(ranking.texts)
    return found
