"""The plan of a run: what its trainings will take on this machine, from a few real steps of each, before any starts."""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from danlu.common.duration import format_count, format_seconds
from danlu.common.files import read_json
from danlu.common.strict import from_mapping
from danlu.hardware.speed import Speed
from danlu.model.config import ModelConfig
from danlu.model.family import family
from danlu.pipeline.budget import format_rate
from danlu.pipeline.elsewhere import Elsewhere, elsewhere
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.memory import GROWTH
from danlu.scaling.design import LadderPlan
from danlu.scaling.verdict import Planned
from danlu.tokens.build import TokensSummary
from danlu.training.config import TrainingConfig
from danlu.training.dials import batch_tokens
from danlu.training.schedule import between_saves

if TYPE_CHECKING:
    from danlu.training.rehearsal import Rehearsal

SPREAD = 0.10
"""Half-width that no interval goes below (share): what a machine's speed changes from one hour to the next."""
_UNSURE_SIZE = 0.15
"""Half-width for what the plan cannot know of the target: the ladder's fit chooses its size and tokens."""


@dataclass(frozen=True)
class PlannedTraining:
    """One training of the run: a rung with all its lengths, or the target."""

    name: str
    """The rung's name, or `target`."""
    model: ModelConfig
    params: int
    """Parameters that enter a matrix product."""
    tokens: int
    """Tokens that it trains on, over all its lengths."""
    flops: float
    batch_tokens: int
    """Tokens a step."""
    step_seconds: float
    """Measured here, over a few real steps (seconds)."""
    seconds: float
    """In training steps (seconds)."""
    evaluation_seconds: float
    """Measuring the held-out loss, at the time that a part of it took (seconds)."""
    checkpoint_seconds: float
    """Writing checkpoints, at the time that one took (seconds)."""
    fraction: float
    """Of the measured matrix-product peak."""
    peak_memory_bytes: int
    """Most memory that the rehearsal held (bytes)."""


@dataclass(frozen=True)
class RunPlan:
    """What the run's trainings will take here; `plan.json`."""

    created: str
    """When it was made (ISO 8601, UTC)."""
    device: str
    precision: str
    peak_flops: float
    """Best measured rate of matrix products in the training arithmetic (FLOP/s)."""
    trainings: tuple[PlannedTraining, ...]
    """The rungs, small first, and the target last."""
    at_once: int
    """Rungs that run at the same time."""
    ladder_seconds: float
    ladder_seconds_low: float
    ladder_seconds_high: float
    """In the ladder's training steps, those of rungs that run at the same time added up (seconds)."""
    target_seconds: float
    target_seconds_low: float
    target_seconds_high: float
    """In the target's training steps (seconds)."""
    wall_seconds: float
    wall_seconds_low: float
    wall_seconds_high: float
    """Both trainings from beginning to end, with their evaluations and checkpoints (seconds)."""
    memory_bytes: float
    memory_bytes_low: float
    memory_bytes_high: float
    """Most that training holds at once (bytes)."""
    elsewhere: tuple[Elsewhere, ...]
    """The same trainings on one chip of other kinds, one after the other."""

    @property
    def target(self) -> PlannedTraining:
        """The target."""
        return self.trainings[-1]


Rehearse = Callable[[ModelConfig, int, int | None], "Rehearsal"]
"""From a shape, its tokens a step and its threads (None: all) to what a step takes here."""


def plan_run(
    ladder: LadderPlan,
    tokens: TokensSummary,
    training: TrainingConfig,
    speed: Speed,
    rehearse: Rehearse,
    *,
    at_once: int = 1,
    threads: int | None = None,
) -> RunPlan:
    """Plan the trainings of a run.

    The target is the member of the family nearest the ladder's middle tokens a parameter: the fit, which will choose
    it, is still to come. Intervals are a tenth either way, and for the target's part another 15%.

    Args:
        ladder: the ladder as it will be run.
        speed: this machine's.
        at_once: rungs that run at the same time.
        threads: of each of them.
    """
    planned: list[PlannedTraining] = []
    known: dict[tuple[ModelConfig, int], Rehearsal] = {}
    for name, model, batch, amount, lengths in _trainings(ladder, training):
        if (model, batch) not in known:  # seeds of one size share their rehearsal
            known[model, batch] = rehearse(model, batch, None if name == "target" else threads)
        took = known[model, batch]
        per_token = took.step_seconds / batch
        flops_per_token = model.flops_per_token(ladder.context)
        seconds = amount * per_token
        evaluations = training.evaluations if name == "target" else lengths
        saves = evaluations + lengths + _saves(seconds, training.checkpoint_seconds, took.checkpoint_seconds)
        planned.append(
            PlannedTraining(
                name=name,
                model=model,
                params=model.num_parameters("matmul"),
                tokens=round(amount),
                flops=amount * flops_per_token,
                batch_tokens=batch,
                step_seconds=took.step_seconds,
                seconds=seconds,
                evaluation_seconds=evaluations * tokens.heldout_tokens * took.evaluation_seconds,
                checkpoint_seconds=saves * took.checkpoint_seconds,
                fraction=flops_per_token / per_token / speed.peak,
                peak_memory_bytes=took.peak_memory_bytes,
            )
        )
    *rungs, target = planned
    small = sum(each.seconds for each in rungs)
    whole_times = [each.seconds + each.evaluation_seconds + each.checkpoint_seconds for each in planned]
    wall = _makespan(whole_times[:-1], at_once) + whole_times[-1]
    wide = math.hypot(SPREAD, _UNSURE_SIZE)
    share = target.seconds / (small + target.seconds)
    whole = math.hypot(SPREAD, _UNSURE_SIZE * share)
    memory = GROWTH * max(each.peak_memory_bytes for each in planned)
    return RunPlan(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        device=speed.device,
        precision=speed.precision,
        peak_flops=speed.peak,
        trainings=tuple(planned),
        at_once=at_once,
        ladder_seconds=small,
        ladder_seconds_low=small * (1 - SPREAD),
        ladder_seconds_high=small * (1 + SPREAD),
        target_seconds=target.seconds,
        target_seconds_low=target.seconds * (1 - wide),
        target_seconds_high=target.seconds * (1 + wide),
        wall_seconds=wall,
        wall_seconds_low=wall * (1 - whole),
        wall_seconds_high=wall * (1 + whole),
        memory_bytes=memory,
        memory_bytes_low=memory * (1 - SPREAD),
        memory_bytes_high=memory * (1 + SPREAD),
        elsewhere=elsewhere([(each.model, each.batch_tokens, each.tokens) for each in planned], ladder.context),
    )


def _saves(seconds: float, wished: float, saving: float) -> int:
    """Checkpoints by the clock."""
    between = between_saves(wished, saving)
    return math.floor(seconds / between) if between else 0


def _makespan(seconds: Sequence[float], at_once: int) -> float:
    """When the last of several jobs ends that are begun in order, each as soon as there is room (seconds)."""
    ends = [0.0] * at_once
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def read_run_plan(path: Path) -> RunPlan:
    """Read `plan.json`.

    Raises:
        DanluError: missing or damaged.
    """
    return from_mapping(RunPlan, read_json(path), str(path))


def judge_plan(folder: RunFolder, forecast_created: str) -> tuple[Planned, ...]:
    """The plan of a finished run beside what was measured; nothing where it was made after the ladder.

    Args:
        forecast_created: when the forecast was made: a later plan would be hindsight.
    """
    if not folder.plan.exists():
        return ()
    plan = read_run_plan(folder.plan)
    if plan.created > forecast_created:
        return ()
    target = read_json(folder.pretrain / "result.json")
    ladder = sum(read_json(path)["seconds"] for path in sorted(folder.ladder.glob("*/*/result.json")))
    every = [
        ("ladder_seconds", ladder),
        ("target_seconds", target["seconds"]),
        ("memory_bytes", target["peak_memory_bytes"]),
    ]
    wall = sum(_stage_seconds(stage / "stage.json") for stage in (folder.ladder, folder.pretrain))
    if wall >= ladder + target["seconds"]:  # a stage that was continued records its last session alone
        every.append(("wall_seconds", wall))
    return tuple(
        Planned.judged(name, getattr(plan, name), getattr(plan, f"{name}_low"), getattr(plan, f"{name}_high"), measured)
        for name, measured in every
    )


def _stage_seconds(record: Path) -> float:
    """What a stage took, by its record; 0 where it has not finished."""
    return float(read_json(record).get("seconds", 0.0)) if record.exists() else 0.0


def plan_lines(plan: RunPlan) -> list[str]:
    """The plan for the terminal."""
    target = plan.target
    together = f" in {plan.at_once} processes" if plan.at_once > 1 else ""
    lines = [
        f"ladder {format_seconds(plan.ladder_seconds)}{together}, target (about {format_count(target.params)}"
        f" parameters, {format_count(target.tokens)} tokens) {format_seconds(plan.target_seconds)}, at"
        f" {target.fraction:.0%} of {format_rate(plan.peak_flops)}",
        f"both, with evaluations and checkpoints, {format_seconds(plan.wall_seconds)}"
        f" ({format_seconds(plan.wall_seconds_low)} to {format_seconds(plan.wall_seconds_high)})",
        f"memory {plan.memory_bytes / 1e9:.2f} GB"
        f" ({plan.memory_bytes_low / 1e9:.2f} to {plan.memory_bytes_high / 1e9:.2f})",
    ]
    able = [each for each in plan.elsewhere if each.seconds is not None]
    if able:
        shown = ", ".join(f"{each.chip} {format_seconds(each.seconds or 0.0)}" for each in able[:4])
        lines.append(f"the same on one chip of another kind: {shown}")
    return lines


def _trainings(ladder: LadderPlan, training: TrainingConfig) -> list[tuple[str, ModelConfig, int, float, int]]:
    """Name, shape, tokens a step, tokens in all, and number of lengths of each training."""
    rows = [
        (
            rung.name,
            rung.model,
            rung.batch_tokens,
            rung.flops / rung.model.flops_per_token(ladder.context),
            len(rung.horizons),
        )
        for rung in ladder.rungs
    ]
    model = nominal_target(ladder.target_flops, ladder.tokens_per_parameter, ladder.vocab_size, ladder.context)
    wished = ladder.target_flops / model.flops_per_token(ladder.context)
    batch = batch_tokens(wished, training)
    return [*rows, ("target", model, batch, max(1, round(wished / batch)) * batch, 1)]


def nominal_target(
    flops: float, tokens_per_parameter: float, vocab_size: int, context: int, most_params: float = math.inf
) -> ModelConfig:
    """The member of the family that spends that compute (FLOPs) nearest those tokens a parameter.

    Args:
        most_params: parameters that it may have, if a smaller member there is.
    """

    def distance(model: ModelConfig) -> float:
        tokens = flops / model.flops_per_token(context)
        return abs(math.log(tokens / model.num_parameters("matmul") / tokens_per_parameter))

    smallest, *others = family(vocab_size, context)
    return min([smallest, *(m for m in others if m.num_parameters("matmul") <= most_params)], key=distance)
