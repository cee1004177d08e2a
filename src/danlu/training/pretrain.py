"""Pretraining a language model on packed tokens: one run of one length, resumable at any moment."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from danlu.common.duration import format_count
from danlu.common.files import write_json
from danlu.common.interrupt import stop_between_steps
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.hardware.device import choose_device, compute_dtype
from danlu.hardware.memory import measured_peak_memory, reset_peak_memory
from danlu.hardware.peak import measured_peak
from danlu.model.config import ModelConfig
from danlu.model.kernels import load as load_kernels
from danlu.model.transformer import Transformer
from danlu.tokens.dataset import TokenDataset
from danlu.tokens.loader import Loader
from danlu.training.checkpoint import Checkpoints
from danlu.training.config import TrainingConfig
from danlu.training.dials import Hyperparameters, hyperparameters
from danlu.training.distributed import World, join_world, local_device, shard
from danlu.training.journal import Journal
from danlu.training.loop import Loss, train_steps
from danlu.training.optimizer import Optimizer

_IGNORED = -1
_CPU_MICRO_BATCH = 4096
_ACCELERATOR_MICRO_BATCH = 65536

Evaluate = Callable[[Transformer], tuple[float, float]]
"""From a model to its held-out loss and the loss's standard error (nats a token)."""


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


@dataclass(frozen=True)
class Engine:
    """Where and in which arithmetic a run computes."""

    device: torch.device
    dtype: torch.dtype
    world: World

    @classmethod
    def choose(cls, config: TrainingConfig, report: Progress) -> "Engine":
        """From the configuration and the machine; says once if this machine lacks the fast path."""
        device = local_device(choose_device(config.device))
        problem = load_kernels()
        if device.type == "cpu" and isinstance(problem, str):
            report(f"Training runs in plain PyTorch, several times slower: {problem}.")
        return cls(device, compute_dtype(device, config.precision), join_world(device))


def pretrain(
    model_config: ModelConfig,
    tokens: Path,
    horizon_tokens: int,
    config: TrainingConfig,
    out: Path,
    report: Progress,
    *,
    evaluate: Evaluate | None = None,
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
        start: a checkpoint of a longer run of the same shape to begin from, instead of step 0.
        pins: steps whose checkpoints are kept, for runs that branch off.
        unique_tokens: train on a random choice of only so many distinct tokens; None: on all.

    Raises:
        DanluError: too few tokens for a batch, a damaged checkpoint, a loss that is not finite, a full disk.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    engine = Engine.choose(config, report)
    world, device = engine.world, engine.device
    hyper = hyperparameters(model_config, horizon_tokens, config)
    schedule = hyper.schedule
    loader = Loader(TokenDataset(tokens / "train"), config.context, config.seed, unique_tokens)
    loader.require(hyper.batch_tokens // config.context)

    reset_peak_memory(device)
    model = _build(model_config, engine, config)
    optimizer = Optimizer(model, hyper.lr, hyper.table_lr, hyper.weight_decay, engine.dtype)
    state = {**{f"model.{n}": p.data for n, p in model.named_parameters()}, **optimizer.state()}
    checkpoints = Checkpoints(out / "checkpoints", config.keep_checkpoints, world)
    checkpoints.pinned.update(pins)

    step, seconds, skipped = 0, 0.0, 0
    loss, loss_se = float("nan"), None
    done = checkpoints.steps()
    if done or start:
        begun = checkpoints if done else Checkpoints((start or out).parent, 1, world)
        step = done[-1] if done else int((start or out).name.removeprefix("step-"))
        progress = begun.load(step, state)
        if done:
            seconds, skipped, loss = progress["seconds"], progress["skipped"], progress["loss"]
            report(f"Continuing {label} from step {step} of {schedule.steps}.")

    flops_per_token = model_config.flops_per_token(config.context)
    peak = measured_peak(device, engine.dtype) * world.size
    first_step, seconds_before = step, seconds
    evaluation_steps = _evenly(config.evaluations, schedule.steps) if evaluate else set()
    metrics, timing = _journals(out, step, world)
    if done and evaluate and step in evaluation_steps and step < schedule.steps:
        metrics.write({"step": step, "tokens": step * hyper.batch_tokens, "heldout_loss": evaluate(model)[0]})
    steps = train_steps(
        model,
        optimizer,
        schedule,
        next_token_loss,
        lambda s: _micro_batches(loader, s, hyper, config, engine),
        world,
        first_step=step,
        clip=config.clip,
        nonfinite=config.nonfinite,
    )
    saved, spoken = time.monotonic(), time.monotonic()
    with stop_between_steps() as stop:
        began = time.monotonic()
        for result in steps:
            step, loss = result.step, result.loss
            skipped += result.skipped
            tokens_seen = step * hyper.batch_tokens
            metrics.write(
                {"step": step, "tokens": tokens_seen, "loss": loss, "lr": result.lr, "grad_norm": result.grad_norm}
            )
            seconds += time.monotonic() - began
            speed = (step - first_step) * hyper.batch_tokens / max(seconds - seconds_before, 1e-9)
            if time.monotonic() - spoken > 0.5 or step == schedule.steps:
                spoken = time.monotonic()
                fraction = speed * flops_per_token / peak
                timing.write({"step": step, "seconds": seconds, "tokens_per_second": speed, "flops_fraction": fraction})
                note = f"loss {loss:.3f} · {format_count(speed)} tokens/s · {fraction:.0%} of peak"
                if world.is_main:
                    report.show(step, schedule.steps, label, note)
            due = time.monotonic() - saved > config.checkpoint_seconds or bool(stop) or step in checkpoints.pinned
            at_end = step == schedule.steps
            if _agreed(due or at_end or step in evaluation_steps, world, device):
                checkpoints.save(step, state, {"seconds": seconds, "skipped": skipped, "loss": loss})
                saved = time.monotonic()
            if step in evaluation_steps and not at_end:
                assert evaluate
                metrics.write({"step": step, "tokens": tokens_seen, "heldout_loss": evaluate(model)[0]})
            if _agreed(bool(stop), world, device) and not at_end:
                stop.signum = stop.signum or 15
                stop.raise_if_set()
            began = time.monotonic()

    if evaluate:
        loss, loss_se = evaluate(model)
        metrics.write({"step": step, "tokens": step * hyper.batch_tokens, "heldout_loss": loss})
    metrics.close()
    timing.close()
    tokens_seen = schedule.steps * hyper.batch_tokens
    timed_tokens = (schedule.steps - (int(start.name.removeprefix("step-")) if start else 0)) * hyper.batch_tokens
    speed = timed_tokens / max(seconds, 1e-9)
    outcome = PretrainResult(
        loss=loss,
        loss_se=loss_se,
        steps=schedule.steps,
        tokens=tokens_seen,
        flops=flops_per_token * tokens_seen,
        seconds=seconds,
        tokens_per_second=speed,
        peak_memory_bytes=measured_peak_memory(device),
        flops_fraction=speed * flops_per_token / peak,
        skipped_steps=skipped,
        model=model_config,
        hyperparameters=hyper,
    )
    if world.is_main:
        write_json(out / "result.json", to_mapping(outcome))
    world.barrier()
    return model, outcome


def _build(model_config: ModelConfig, engine: Engine, config: TrainingConfig) -> Transformer:
    """The model with its seeded weights, the same on any number of processes, compiled and shared out."""
    model = Transformer(model_config, engine.dtype)
    model.initialize(torch.Generator().manual_seed(config.seed))
    model.to(engine.device)
    if config.compile == "on" or (config.compile == "auto" and engine.device.type == "cuda"):
        for layer in model.model.layers:
            layer.compile()  # one block's code serves all
    return shard(model, engine.world, engine.device)


def _micro_batches(
    loader: Loader, step: int, hyper: Hyperparameters, config: TrainingConfig, engine: Engine
) -> Iterator[TokenBatch]:
    """This process's part of a step's global batch, in pieces. A pure function of the step."""
    sequences = hyper.batch_tokens // config.context
    default = _CPU_MICRO_BATCH if engine.device.type == "cpu" else _ACCELERATOR_MICRO_BATCH
    piece = max(1, (config.micro_batch_tokens or default) // config.context)
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


def _journals(out: Path, step: int, world: World) -> tuple[Journal, Journal]:
    place = out if world.is_main else out / f"process-{world.rank}"
    return Journal(place / "metrics.jsonl", step), Journal(place / "timing.jsonl", step)


def _evenly(count: int, steps: int) -> set[int]:
    """`count` steps spread evenly, the last one included."""
    return {max(1, round(steps * (i + 1) / count)) for i in range(count)}


def _agreed(wish: bool, world: World, device: torch.device) -> bool:
    """Whether any process wishes it: clocks and signals differ between processes, what is done must not."""
    if world.size == 1:
        return wish
    return bool(world.sum(torch.tensor(float(wish), device=device)).item())
