"""One training run from its parts: steps, journal, checkpoints, evaluations, progress, signals. Called again after an
interruption it continues, to the last bit.

What is trained and on what (model, objective, batches), its caller says: pretraining, SFT, the reward model, DPO and
PPO differ in nothing else.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from danlu.common.duration import format_count
from danlu.common.interrupt import stop_between_steps
from danlu.common.progress import Progress
from danlu.hardware.device import Precision, choose_device, compile_problem, compute_dtype
from danlu.hardware.memory import measured_peak_memory, reset_peak_memory
from danlu.hardware.peak import measured_peak
from danlu.model.kernels import load as load_kernels
from danlu.training.checkpoint import Checkpoints
from danlu.training.distributed import Shardable, World, join_world, local_device, shard
from danlu.training.journal import Journal
from danlu.training.loop import Loss, StepResult, train_steps
from danlu.training.optimizer import Updates
from danlu.training.schedule import LearningRate, between_saves

Batch = TypeVar("Batch")
M = TypeVar("M", bound=nn.Module)
Evaluation = Mapping[str, float]
"""What an evaluation measured, by name; each name begins with `heldout_`, by which the journal knows its lines."""


_COMPILED_PARAMETERS = 30_000_000
"""Smaller models are compiled only if that is asked for: it takes 10 to 20 s, in which most of them are trained."""


class Settings(Protocol):
    """What a run is told about the machine and about faults; every configuration of a training has these."""

    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> Precision: ...
    @property
    def compile(self) -> Literal["auto", "on", "off"]: ...
    @property
    def clip(self) -> float: ...
    @property
    def nonfinite(self) -> Literal["stop", "skip"]: ...
    @property
    def checkpoint_seconds(self) -> float: ...
    @property
    def keep_checkpoints(self) -> int: ...


@dataclass(frozen=True)
class Engine:
    """Where and in which arithmetic a run computes."""

    device: torch.device
    dtype: torch.dtype
    world: World

    @classmethod
    def choose(cls, settings: Settings, report: Progress) -> "Engine":
        """From the configuration and the machine; says once if this machine lacks the fast path."""
        device = local_device(choose_device(settings.device))
        problem = load_kernels()
        if device.type == "cpu" and isinstance(problem, str):
            report(f"Training runs in plain PyTorch, several times slower: {problem}.")
        if device.type != "cpu" and settings.compile == "auto" and (reason := compile_problem(device.type)):
            report(f"Training runs without compilation, about half as fast: {reason}.")
        return cls(device, compute_dtype(device, settings.precision), join_world(device))

    def place(self, model: Shardable, compile: Literal["auto", "on", "off"]) -> Shardable:
        """A model (the same on every process) on the device, compiled and shared out."""
        reset_peak_memory(self.device)
        model.to(self.device)
        large = model.config.num_parameters() >= _COMPILED_PARAMETERS
        if compile == "on" or (compile == "auto" and large and compile_problem(self.device.type) is None):
            model.compile_parts()
        return shard(model, self.world, self.device)

    def agreed(self, wish: bool) -> bool:
        """Whether any process wishes it: clocks and signals differ between processes, what is done must not."""
        if self.world.size == 1:
            return wish
        return bool(self.world.sum(torch.tensor(float(wish), device=self.device)).item())


class Companion(Protocol):
    """What a run carries along beside model and optimizer: averaged weights, a controller, a place in the data."""

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint keeps, by name; filling them in place restores them."""

    def progress(self) -> dict[str, Any]:
        """Small JSON values that a checkpoint keeps."""

    def restore(self, progress: Mapping[str, Any]) -> None:
        """Take up from what `progress` gave; the tensors are filled already."""

    def after_step(self, result: StepResult) -> Mapping[str, float]:
        """Called after every step, before its checkpoint; what it returns is written into the step's line.

        It may raise to end the run.
        """


@dataclass
class Run(Generic[M, Batch]):
    """The parts of a run."""

    model: M
    """Placed on its device (`Engine.place`)."""
    optimizer: Updates
    schedule: LearningRate
    objective: Callable[[M, Batch], Loss]
    """The loss of a micro-batch, as sums."""
    micro_batches: Callable[[int], Iterable[Batch]]
    """From a step's number to this process's micro-batches: a pure function of it, or of it and the companion."""
    tokens_after: Callable[[int], int]
    """Tokens seen after so many steps."""
    label: str
    """What the moving line calls it."""
    flops_per_token: float | None = None
    """Training FLOPs; None: the share of the machine's peak is not worked out."""
    evaluate: Callable[[M], Evaluation] | None = None
    """Measures the model on held-out data; not called where there is none of it."""
    evaluation_steps: frozenset[int] = frozenset()
    """Steps after which it is called; after the last one it is always."""
    sample: Callable[[M, World], Iterable[tuple[str, str]]] | None = None
    """What the model writes after an evaluation: some prompts with their continuations, for samples.jsonl."""
    best_by: tuple[str, Literal["min", "max"]] | None = None
    """The evaluated quantity that chooses the checkpoint whose weights the model ends with; None: the last one."""
    companion: Companion | None = None
    boundary: int = 1
    """Checkpoints are written only after multiples of so many steps: between them the data cannot be made again."""
    journal_metrics: bool = True
    """Whether the objective's own metrics go into the step's line."""


@dataclass
class Outcome:
    """How a run went."""

    loss: float = float("nan")
    """Mean training loss of the last step."""
    seconds: float = 0.0
    """Time in training steps, over all resumes."""
    skipped: int = 0
    """Updates left out because loss or gradient was not finite."""
    peak_memory_bytes: int = 0
    """Most memory held, since this process began the run."""
    peak_flops: float | None = None
    """FLOPs a second that all processes' devices reach in a matrix product, as measured."""
    evaluation: Evaluation = field(default_factory=dict)
    """Of the weights that the model ends with; empty where nothing was evaluated."""
    best_step: int | None = None
    """The step whose weights the model ends with, where an evaluation chose them."""


def run_training(
    run: Run[M, Batch],
    engine: Engine,
    settings: Settings,
    out: Path,
    report: Progress,
    *,
    start: Path | None = None,
    pins: Iterable[int] = (),
) -> Outcome:
    """Train until the schedule ends. Called again after an interruption, it continues.

    Args:
        out: gets metrics.jsonl, timing.jsonl and checkpoints/; samples.jsonl where there is something to sample.
        start: a checkpoint of another run of the same shape to begin from, instead of step 0.
        pins: steps whose checkpoints are kept, for runs that branch off.

    Raises:
        DanluError: a damaged checkpoint, a loss that is not finite, a full disk.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    world, device, model, schedule, companion = engine.world, engine.device, run.model, run.schedule, run.companion
    weights = {f"model.{n}": p.data for n, p in model.named_parameters()}
    state = {**weights, **run.optimizer.state(), **(companion.state() if companion else {})}
    checkpoints = Checkpoints(out / "checkpoints", settings.keep_checkpoints, world)
    checkpoints.pinned.update(pins)

    outcome, step = Outcome(), 0
    done = checkpoints.steps()
    if done or start:
        begun = checkpoints if done else Checkpoints((start or out).parent, 1, world)
        step = done[-1] if done else int((start or out).name.removeprefix("step-"))
        progress = begun.load(step, state)
        if done:
            outcome.seconds, outcome.skipped = progress["seconds"], progress["skipped"]
            outcome.loss = progress["loss"]
            if companion:
                companion.restore(progress["companion"])
            report(f"Continuing {run.label} from step {step} of {schedule.steps}.")

    if run.flops_per_token is not None:
        outcome.peak_flops = measured_peak(device, engine.dtype) * world.size
    place = out if world.is_main else out / f"process-{world.rank}"
    metrics, timing = Journal(place / "metrics.jsonl", step), Journal(place / "timing.jsonl", step)
    samples = Journal(out / "samples.jsonl", step) if run.sample and world.is_main else None
    best = _Best(run.best_by, place / "metrics.jsonl", checkpoints)

    def evaluate() -> None:
        assert run.evaluate
        outcome.evaluation = run.evaluate(model)
        line = {"step": step, "tokens": run.tokens_after(step), **outcome.evaluation}
        metrics.write(line)
        best.note(step, outcome.evaluation)
        for prompt, text in run.sample(model, world) if run.sample else ():
            assert samples
            samples.write({**line, "prompt": prompt, "text": text})

    first_step, seconds_before = step, outcome.seconds
    if done and run.evaluate and step in run.evaluation_steps and step < schedule.steps:
        evaluate()
    steps = train_steps(
        model,
        run.optimizer,
        schedule,
        run.objective,
        run.micro_batches,
        world,
        first_step=step,
        clip=settings.clip,
        nonfinite=settings.nonfinite,
    )
    saved, spoken, saving = time.monotonic(), time.monotonic(), 0.0
    with stop_between_steps() as stop:
        began = time.monotonic()
        for result in steps:
            step, outcome.loss = result.step, result.loss
            outcome.skipped += result.skipped
            line = {"step": step, "tokens": run.tokens_after(step), "loss": result.loss, "lr": result.lr}
            line |= {"grad_norm": result.grad_norm} | (result.metrics if run.journal_metrics else {})
            metrics.write({**line, **(companion.after_step(result) if companion else {})})
            outcome.seconds += time.monotonic() - began
            tokens = run.tokens_after(step) - run.tokens_after(first_step)
            speed = tokens / max(outcome.seconds - seconds_before, 1e-9)
            if time.monotonic() - spoken > 0.5 or step == schedule.steps:
                spoken = time.monotonic()
                entry = {"step": step, "steps": schedule.steps, "seconds": outcome.seconds, "tokens_per_second": speed}
                entry["memory_bytes"] = measured_peak_memory(device)
                note = f"loss {outcome.loss:.3f} · {format_count(speed)} tokens/s"
                if run.flops_per_token is not None and outcome.peak_flops:
                    fraction = speed * run.flops_per_token / outcome.peak_flops
                    entry["flops_fraction"] = fraction
                    note += f" · {fraction:.0%} of peak"
                timing.write(entry)
                if world.is_main:
                    report.show(step, schedule.steps, run.label, note)
            at_end, whole = step == schedule.steps, step % run.boundary == 0
            wanted = time.monotonic() - saved > between_saves(settings.checkpoint_seconds, saving) or bool(stop)
            wanted = wanted or step in run.evaluation_steps or step in checkpoints.pinned
            if engine.agreed((wanted and whole) or at_end):
                progress = {"seconds": outcome.seconds, "skipped": outcome.skipped, "loss": outcome.loss}
                before = time.monotonic()
                checkpoints.save(step, state, progress | ({"companion": companion.progress()} if companion else {}))
                saved = time.monotonic()
                saving = saved - before
            if run.evaluate and step in run.evaluation_steps and not at_end:
                evaluate()
            if engine.agreed(bool(stop)) and whole and not at_end:
                stop.signum = stop.signum or 15
                stop.raise_if_set()
            began = time.monotonic()

    if run.evaluate:
        evaluate()
    metrics.close()
    timing.close()
    if samples:
        samples.close()
    if run.best_by and best.step is not None:
        outcome.best_step = best.step
        if best.step != step:
            checkpoints.load(best.step, weights)
            outcome.evaluation = best.evaluation
    outcome.peak_memory_bytes = measured_peak_memory(device)
    return outcome


def evenly(count: int, steps: int) -> frozenset[int]:
    """`count` of the steps 1 to `steps`, spread evenly, the last one included."""
    return frozenset(max(1, round(steps * (i + 1) / count)) for i in range(count))


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """All weights on the processor, gathered where they are shared out: every process must ask for them."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: dict[str, Any] = get_model_state_dict(model, options=options)
    return weights


class _Best:
    """Which evaluated checkpoint is the best so far; it is kept until a better one comes."""

    def __init__(self, by: tuple[str, Literal["min", "max"]] | None, metrics: Path, checkpoints: Checkpoints) -> None:
        self._by, self._checkpoints = by, checkpoints
        self.step: int | None = None
        self.evaluation: Evaluation = {}
        if by and metrics.exists():
            there = set(checkpoints.steps())
            for entry in map(json.loads, metrics.read_text(encoding="utf-8").splitlines()):
                if by[0] in entry and entry["step"] in there:
                    measured = {name: value for name, value in entry.items() if name.startswith("heldout_")}
                    self.note(entry["step"], measured)

    def note(self, step: int, evaluation: Evaluation) -> None:
        """Take note of an evaluation; of equal ones the first stays."""
        if not self._by:
            return
        name, kind = self._by
        new, old = evaluation[name], self.evaluation.get(name)
        if old is None or (new < old if kind == "min" else new > old):
            self._checkpoints.pinned.discard(-1 if self.step is None else self.step)
            self._checkpoints.pinned.add(step)
            self.step, self.evaluation = step, evaluation
