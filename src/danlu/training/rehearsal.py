"""A rehearsal: a few real training steps of a shape, to know what a step takes here before a run is promised."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from danlu.common.progress import Progress
from danlu.hardware.memory import measured_peak_memory
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader
from danlu.training.checkpoint import Checkpoints
from danlu.training.config import TrainingConfig
from danlu.training.dials import hyperparameters
from danlu.training.loop import train_steps
from danlu.training.optimizer import Optimizer
from danlu.training.pretrain import TokenBatch, next_token_loss, piece_sequences
from danlu.training.run import Engine

_WARM_UP = 2
"""Steps that pay for memory pages, compiled code and the optimizer's state, and are not counted."""
_FEWEST, _MOST = 3, 10_000


@dataclass(frozen=True)
class Rehearsal:
    """What a few real steps took."""

    step_seconds: float
    """Mean time of a step (seconds)."""
    spread: float
    """Standard error of the mean (share of it)."""
    steps: int
    """Steps that were timed."""
    peak_memory_bytes: int
    """Most memory held, by the process where the device is the processor."""
    checkpoint_seconds: float
    """Writing one checkpoint (seconds); 0 where none was tried."""
    evaluation_seconds: float
    """Measuring the loss of one held-out token (seconds); 0 where that was not tried."""


def rehearse(
    model_config: ModelConfig,
    batch_tokens: int,
    config: TrainingConfig,
    seconds: float = 2.0,
    tokens: Path | None = None,
    scratch: Path | None = None,
    threads: int | None = None,
    evaluate: Callable[[Transformer], int] | None = None,
) -> Rehearsal:
    """Train a shape for a moment, as `pretrain` would: which tokens it sees changes nothing about the time, but to
    fetch them takes some.

    Args:
        batch_tokens: tokens a step.
        seconds: how long to time; at least three steps are timed however long they take.
        tokens: folder that `build_tokens` wrote, to draw batches from; random tokens without it.
        scratch: a folder on the disk that checkpoints will go to, to try one; it is removed again.
        threads: threads to train with, where they are other than this process's.
        evaluate: measures the model on some held-out tokens and says how many.

    Raises:
        DanluError: the device cannot be used.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        return _rehearse(model_config, batch_tokens, config, seconds, tokens, scratch, evaluate)
    finally:
        torch.set_num_threads(before)


def _rehearse(
    model_config: ModelConfig,
    batch_tokens: int,
    config: TrainingConfig,
    seconds: float,
    tokens: Path | None,
    scratch: Path | None,
    evaluate: Callable[[Transformer], int] | None,
) -> Rehearsal:
    engine = Engine.choose(config, Progress(silent=True))
    hyper = hyperparameters(model_config, _MOST * batch_tokens, replace(config, batch_tokens=batch_tokens))
    sequences, piece = batch_tokens // config.context, piece_sequences(model_config, config, engine)
    draw = _drawer(model_config.vocab_size, tokens, config)
    model = Transformer(model_config, engine.dtype)
    model.initialize(torch.Generator().manual_seed(config.seed), induction=config.induction)
    model = engine.place(model, config.compile)
    optimizer = Optimizer(model, hyper.lr, hyper.table_lr, hyper.weight_decay, engine.dtype)
    steps = train_steps(
        model,
        optimizer,
        hyper.schedule,
        next_token_loss,
        lambda step: _micro_batches(draw, step, sequences, piece, config, engine),
        engine.world,
        first_step=0,
        clip=config.clip,
        nonfinite="skip",
    )
    for _ in range(_WARM_UP):
        next(steps)
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < _FEWEST or (len(times) < _MOST - _WARM_UP and engine.agreed(time.perf_counter() < deadline)):
        began = time.perf_counter()
        next(steps)  # reads the loss back, so the device has finished
        times.append(time.perf_counter() - began)
    mean = float(np.mean(times))
    writing = evaluating = 0.0
    if evaluate is not None:
        began = time.perf_counter()
        read = evaluate(model)
        evaluating = (time.perf_counter() - began) / max(1, read)
    if scratch is not None:
        state = {**{f"model.{name}": p.data for name, p in model.named_parameters()}, **optimizer.state()}
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=scratch) as folder:
            began = time.perf_counter()
            Checkpoints(Path(folder), 1, engine.world).save(1, state, {})
            writing = time.perf_counter() - began
    return Rehearsal(
        step_seconds=mean,
        spread=float(np.std(times, ddof=1)) / mean / len(times) ** 0.5,
        steps=len(times),
        peak_memory_bytes=measured_peak_memory(engine.device),
        checkpoint_seconds=writing,
        evaluation_seconds=evaluating,
    )


def _drawer(vocab_size: int, tokens: Path | None, config: TrainingConfig) -> Callable[[int, int], torch.Tensor]:
    """From the first sequence's number and how many to their token ids (B, T + 1)."""
    if tokens is not None:
        loader = Loader(TokenDataset(tokens / "train"), config.context, config.seed, None)
        return lambda first, count: torch.from_numpy(loader.batch(first, count))

    def random(first: int, count: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(first)
        return torch.randint(vocab_size, (count, config.context + 1), generator=generator)

    return random


def _micro_batches(
    draw: Callable[[int, int], torch.Tensor],
    step: int,
    sequences: int,
    piece: int,
    config: TrainingConfig,
    engine: Engine,
) -> Iterator[TokenBatch]:
    """This process's part of a step's batch, as `pretrain` cuts it."""
    largest = engine.world.largest_share(sequences)
    for offset in range(0, largest, piece):
        count = min(piece, largest - offset)
        data = draw(step * sequences + offset, count)
        inputs, targets = data[:, :-1].contiguous(), data[:, 1:].clone()
        yield TokenBatch(inputs.to(engine.device), targets.to(engine.device), count * config.context)
