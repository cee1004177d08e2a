"""Runs a ladder: each rung's trunk, the cooldowns that branch off it, and a point for each."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from danlu.common.duration import format_count
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.common.interrupt import Stopped
from danlu.common.progress import Progress
from danlu.hardware.executor import Executor, Here
from danlu.scaling.design import LadderPlan, Rung
from danlu.scaling.points import POINTS, Point, read_points, write_points
from danlu.training.config import TrainingConfig
from danlu.training.dials import hyperparameters, warmup_steps
from danlu.training.pretrain import Evaluate, PretrainResult, pretrain

FAILED = "failed.json"


def run_ladder(
    plan: LadderPlan,
    tokens: Path,
    config: TrainingConfig,
    out: Path,
    report: Progress,
    evaluator: Callable[[], Evaluate],
    executor: Executor | None = None,
) -> list[Point]:
    """Train every rung of a ladder. Called again after an interruption, it continues; finished points are kept.

    Each rung is one run at constant rate to its longest horizon (the trunk), cooled down at the end. The shorter
    horizons branch off the trunk where their own cooldown begins: each is to the last bit the run of that length
    (Hägele et al. 2024; Hu et al. 2024).

    A rung that fails, its loss no longer finite or its process killed for one, is noted in its folder and left out, and
    the ladder goes on.

    Args:
        tokens: folder that `build_tokens` wrote.
        out: gets points.jsonl and a folder for each rung.
        evaluator: makes the function that measures the held-out loss; it is called where the rung is trained.
        executor: where the rungs run; by default here, one after the other.

    Raises:
        DanluError: the disk is full, or every rung failed; as `pretrain`.
        Stopped: SIGINT or SIGTERM came; checkpoints were written.
    """
    path = out / POINTS
    points: dict[str, list[Point]] = {rung.name: [] for rung in plan.rungs}
    for point in read_points(path) if path.exists() else ():
        points[point.rung].append(point)
    open_rungs = [
        rung
        for rung in plan.rungs
        if len(points[rung.name]) < len(rung.horizons) and not (out / rung.name / FAILED).exists()
    ]
    jobs = [RungJob(rung, tokens, config, out / rung.name, evaluator) for rung in open_rungs]
    failed = None
    for place, outcome in (executor or Here())(jobs, report):
        rung = open_rungs[place]
        if outcome.stopped is not None:
            raise Stopped(outcome.stopped)
        if outcome.cause:
            failed = DanluError(outcome.cause, outcome.remedy)
            if outcome.full_disk:
                raise failed
            write_json(out / rung.name / FAILED, {"cause": outcome.cause, "remedy": outcome.remedy})
            report(f"Rung {rung.name} failed: {outcome.cause} The ladder goes on without it.")
            continue
        points[rung.name] = list(outcome.result)
        write_points(path, [point for each in plan.rungs for point in points[each.name]])
        if os.environ.get("RANK", "0") == "0":  # of torchrun's processes one
            for checkpoints in (out / rung.name).glob("*/checkpoints"):
                shutil.rmtree(checkpoints)
    found = [point for rung in plan.rungs for point in points[rung.name]]
    if failed and not found:
        raise failed
    return found


@dataclass(frozen=True)
class RungJob:
    """The training of one rung to all its lengths."""

    rung: Rung
    tokens: Path
    """Folder that `build_tokens` wrote."""
    config: TrainingConfig
    out: Path
    """Gets a folder for the trunk and for each shorter length."""
    evaluator: Callable[[], Evaluate]
    """Makes the function that measures the held-out loss."""

    @property
    def name(self) -> str:
        """The rung's."""
        return self.rung.name

    kind = "Rung", "ladder"

    def __str__(self) -> str:
        rung = self.rung
        lengths = ", ".join(format_count(horizon) for horizon in rung.horizons)
        return f"{rung.name}, {format_count(rung.model.num_parameters('matmul'))} parameters, {lengths} tokens"

    @property
    def legs(self) -> list[tuple[str, float]]:
        """The trainings in order, each with its compute (FLOPs): the trunk, and the shorter lengths' cooldowns."""
        *shorter, longest = zip(self.rung.horizons, self.rung.horizon_flops, strict=True)
        branches = [(self._label(tokens), self.config.cooldown * flops) for tokens, flops in reversed(shorter)]
        return [(self._label(longest[0]), longest[1]), *branches]

    def _label(self, horizon: int) -> str:
        return f"{self.rung.name} {format_count(horizon)}"

    def __call__(self, report: Progress) -> tuple[Point, ...]:
        """Train: all annealed points of the rung, short first.

        Raises:
            DanluError: as `pretrain`.
            Stopped: a checkpoint was written.
        """
        rung = self.rung
        config = replace(
            self.config,
            batch_tokens=rung.batch_tokens,
            # The shortest run's, for all: a branch is then the run of its length to the last bit.
            warmup_steps=self.config.warmup_steps or warmup_steps(rung.horizons[0] // rung.batch_tokens),
            evaluations=1,
            seed=self.config.seed + rung.seed,
        )
        if rung.lr_factor != 1.0:
            dials = hyperparameters(rung.model, rung.horizons[-1], config)
            config = replace(config, lr=dials.lr * rung.lr_factor, table_lr=dials.table_lr * rung.lr_factor)
        *shorter, longest = rung.horizons
        branch_steps = {h: hyperparameters(rung.model, h, config).schedule.cooldown_start for h in shorter}
        evaluate = self.evaluator()

        def train(horizon: int, folder: Path, start: Path | None, pins: tuple[int, ...]) -> PretrainResult:
            return pretrain(
                rung.model,
                self.tokens,
                horizon,
                config,
                folder,
                report,
                evaluate=evaluate,
                start=start,
                pins=pins,
                label=self._label(horizon),
            )[1]

        trunk = self.out / "trunk"
        results = [train(longest, trunk, None, tuple(branch_steps.values()))]
        for horizon in reversed(shorter):
            start = trunk / "checkpoints" / f"step-{branch_steps[horizon]:09d}"
            results.append(train(horizon, self.out / format_count(horizon), start, ()))
        trunk_speed = results[0].tokens_per_second
        return tuple(_point(rung, config, self.tokens, each, trunk_speed) for each in reversed(results))


def _point(rung: Rung, config: TrainingConfig, tokens: Path, result: PretrainResult, tokens_per_second: float) -> Point:
    from danlu.tokens.shards import read_index

    model = rung.model
    return Point(
        rung=rung.name,
        params=model.num_parameters("matmul"),
        params_all=model.num_parameters("all"),
        params_non_embedding=model.num_parameters("non_embedding"),
        tokens=result.tokens,
        flops=result.flops,
        loss=result.loss,
        loss_se=result.loss_se,
        unique_tokens=read_index(tokens / "train").tokens,
        batch_tokens=rung.batch_tokens,
        lr=result.hyperparameters.lr,
        seed=config.seed,
        seconds=result.seconds,
        tokens_per_second=tokens_per_second,
        lr_factor=rung.lr_factor,
    )
