"""Pretraining a language model on packed tokens: one run of one length, resumable at any moment."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader
from danlu.training.config import TrainingConfig
from danlu.training.dials import Hyperparameters, hyperparameters
from danlu.training.distributed import World
from danlu.training.loop import Loss
from danlu.training.optimizer import Optimizer
from danlu.training.pieces import tokens_at_once
from danlu.training.run import Engine, Run, evenly, run_training

_IGNORED = -1

Evaluate = Callable[[Transformer], tuple[float, float]]
"""From a model to its held-out loss and the loss's standard error (nats a token)."""
Sample = Callable[[Transformer, World], Iterable[tuple[str, str]]]
"""From a model to some prompts with their continuations (`samples.Sampler`)."""


@dataclass(frozen=True)
class TokenBatch:
    """A micro-batch of sequences."""

    inputs: Tensor
    """Token ids (B, T)."""
    targets: Tensor
    """The token after each (B, T); negative where nothing is to be predicted."""
    count: int
    """Targets that count."""


def next_token_loss(model: Transformer, batch: TokenBatch) -> Loss:
    """The pretraining objective: predict the next token."""
    return Loss(model.loss(batch.inputs, batch.targets), batch.count)


@dataclass(frozen=True)
class PretrainResult:
    """What a run gave; result.json."""

    loss: float
    """Held-out loss at the end (nats a token); the last training loss where there was no evaluation."""
    loss_se: float | None
    """Its standard error; None where there was no evaluation."""
    steps: int
    """Optimizer steps."""
    tokens: int
    """Tokens seen, repeated ones counted each time."""
    flops: float
    """Training FLOPs: model FLOPs a token times tokens."""
    seconds: float
    """Time in training steps, over all resumes."""
    tokens_per_second: float
    """Tokens over seconds."""
    peak_memory_bytes: int
    """Most memory held during training."""
    flops_fraction: float
    """FLOPs a second as a share of this machine's measured matrix-product peak."""
    skipped_steps: int
    """Updates left out because loss or gradient was not finite."""
    model: ModelConfig
    """The shape."""
    hyperparameters: Hyperparameters
    """What it was trained with."""


def pretrain(
    model_config: ModelConfig,
    tokens: Path,
    horizon_tokens: int,
    config: TrainingConfig,
    out: Path,
    report: Progress,
    *,
    evaluate: Evaluate | None = None,
    sample: Sample | None = None,
    start: Path | None = None,
    pins: Sequence[int] = (),
    unique_tokens: int | None = None,
    label: str = "pretrain",
) -> tuple[Transformer, PretrainResult]:
    """Train a model of a shape for a number of tokens. Called again after an interruption, it continues.

    Args:
        tokens: folder that `build_tokens` wrote.
        horizon_tokens: length of the run, rounded to whole steps.
        out: gets metrics.jsonl, timing.jsonl, checkpoints/ and result.json. The caller saves the model.
        evaluate: measures the held-out loss now and then and at the end.
        sample: writes something after each of these evaluations, for samples.jsonl.
        start: a checkpoint of a longer run of the same shape to begin from, instead of step 0.
        pins: steps whose checkpoints are kept, for runs that branch off.
        unique_tokens: train on a random choice of only so many distinct tokens; None: on all.

    Raises:
        DanluError: too few tokens for a batch, a damaged checkpoint, a loss that is not finite, a full disk.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    engine = Engine.choose(config, report)
    hyper = hyperparameters(model_config, horizon_tokens, config)
    schedule, flops_per_token = hyper.schedule, model_config.flops_per_token(config.context)
    loader = Loader(TokenDataset(tokens / "train"), config.context, config.seed, unique_tokens)
    loader.require(hyper.batch_tokens // config.context)
    piece = piece_sequences(model_config, config, engine)

    model = Transformer(model_config, engine.dtype)
    model.initialize(torch.Generator().manual_seed(config.seed), induction=config.induction)
    model = engine.place(model, config.compile)

    loss_se: float | None = None

    def measure(model: Transformer) -> Mapping[str, float]:
        nonlocal loss_se
        assert evaluate
        loss, loss_se = evaluate(model)
        return {"heldout_loss": loss}

    run = Run(
        model=model,
        optimizer=Optimizer(model, hyper.lr, hyper.table_lr, hyper.weight_decay, engine.dtype),
        schedule=schedule,
        objective=next_token_loss,
        micro_batches=lambda s: _micro_batches(loader, s, hyper, piece, config, engine),
        tokens_after=lambda s: s * hyper.batch_tokens,
        label=label,
        flops_per_token=flops_per_token,
        evaluate=measure if evaluate else None,
        evaluation_steps=evenly(config.evaluations, schedule.steps) if evaluate else frozenset(),
        sample=sample,
    )
    went = run_training(run, engine, config, out, report, start=start, pins=pins)
    timed_tokens = (schedule.steps - (int(start.name.removeprefix("step-")) if start else 0)) * hyper.batch_tokens
    speed = timed_tokens / max(went.seconds, 1e-9)
    assert went.peak_flops
    outcome = PretrainResult(
        loss=went.evaluation.get("heldout_loss", went.loss),
        loss_se=loss_se,
        steps=schedule.steps,
        tokens=hyper.tokens,
        flops=flops_per_token * hyper.tokens,
        seconds=went.seconds,
        tokens_per_second=speed,
        peak_memory_bytes=went.peak_memory_bytes,
        flops_fraction=speed * flops_per_token / went.peak_flops,
        skipped_steps=went.skipped,
        model=model_config,
        hyperparameters=hyper,
    )
    if engine.world.is_main:
        write_json(out / "result.json", to_mapping(outcome))
    engine.world.barrier()
    return model, outcome


def piece_sequences(model: ModelConfig, config: TrainingConfig, engine: Engine) -> int:
    """Sequences that go through the model at once."""
    tokens = config.micro_batch_tokens or tokens_at_once(model, engine.device, engine.world.size)
    return max(1, tokens // config.context)


def _micro_batches(
    loader: Loader, step: int, hyper: Hyperparameters, piece: int, config: TrainingConfig, engine: Engine
) -> Iterator[TokenBatch]:
    """This process's part of a step's global batch, in pieces of so many sequences: a pure function of the step."""
    sequences = hyper.batch_tokens // config.context
    mine = engine.world.share(sequences)
    largest = engine.world.largest_share(sequences)
    for offset in range(0, largest, piece):
        first = mine.start + offset
        count = max(0, min(piece, mine.stop - first))
        wanted = min(piece, largest - offset)  # every process runs equally many products: FSDP's are joint
        data = torch.from_numpy(loader.batch(step * sequences + first, count)) if count else None
        if data is None or count < wanted:
            filler = torch.full((wanted - count, config.context + 1), 0, dtype=torch.int64)
            data = filler if data is None else torch.cat([data, filler])
        inputs, targets = data[:, :-1].contiguous(), data[:, 1:].clone()
        targets[count:] = _IGNORED
        yield TokenBatch(inputs.to(engine.device), targets.to(engine.device), count * config.context)
