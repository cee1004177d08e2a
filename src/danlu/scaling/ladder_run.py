"""Runs a ladder: each rung's trunk, the cooldowns that branch off it, and a point for each."""

import shutil
from dataclasses import replace
from pathlib import Path

from danlu.common.duration import format_count
from danlu.common.errors import DanluError
from danlu.common.files import is_full_disk, write_json
from danlu.common.progress import Progress
from danlu.scaling.design import LadderPlan, Rung
from danlu.scaling.points import POINTS, Point, append_point, read_points
from danlu.training.config import TrainingConfig
from danlu.training.dials import hyperparameters, warmup_steps
from danlu.training.pretrain import Evaluate, PretrainResult, pretrain

FAILED = "failed.json"


def run_ladder(
    plan: LadderPlan, tokens: Path, config: TrainingConfig, out: Path, report: Progress, evaluate: Evaluate
) -> list[Point]:
    """Train every rung of a ladder. Called again after an interruption, it continues; finished points are kept.

    A rung is one run at constant rate to its longest horizon (the trunk), cooled down at the end. The shorter horizons
    branch off the trunk where their own cooldown begins: each is to the last bit the run of that length (Hägele et al.
    2024; Hu et al. 2024).

    A rung that fails, its loss no longer finite for one, is noted in its folder and left out, and the ladder goes on.

    Args:
        tokens: folder that `build_tokens` wrote.
        out: gets points.jsonl and a folder for each rung.
        evaluate: measures the held-out loss.

    Raises:
        DanluError: the disk is full, or every rung failed; as `pretrain`.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    path = out / POINTS
    points = read_points(path) if path.exists() else []
    for number, rung in enumerate(plan.rungs, start=1):
        done = {point.tokens for point in points if point.rung == rung.name}
        failed = out / rung.name / FAILED
        if len(done) == len(rung.horizons) or failed.exists():
            continue
        report(
            f"Rung {number} of {len(plan.rungs)}, {rung.name}: {format_count(rung.model.num_parameters('matmul'))} "
            f"parameters, lengths {', '.join(format_count(h) for h in rung.horizons)} tokens"
        )
        try:
            found = _run_rung(rung, tokens, config, out / rung.name, report, evaluate)
        except DanluError as error:
            if is_full_disk(error.__cause__) or not (points or number < len(plan.rungs)):
                raise
            write_json(failed, {"cause": error.cause, "remedy": error.remedy})
            report(f"Rung {rung.name} failed: {error.cause} The ladder goes on without it.")
            continue
        for point in found:
            if point.tokens not in done:
                append_point(path, point)
                points.append(point)
        for checkpoints in (out / rung.name).glob("*/checkpoints"):
            shutil.rmtree(checkpoints)
    return points


def _run_rung(
    rung: Rung, tokens: Path, config: TrainingConfig, out: Path, report: Progress, evaluate: Evaluate
) -> list[Point]:
    """All annealed points of one rung, short first."""
    config = replace(
        config,
        batch_tokens=rung.batch_tokens,
        # The shortest run's, for all: a branch is then the run of its length to the last bit.
        warmup_steps=config.warmup_steps or warmup_steps(rung.horizons[0] // rung.batch_tokens),
        evaluations=1,
        seed=config.seed + rung.seed,
    )
    if rung.lr_factor != 1.0:
        dials = hyperparameters(rung.model, rung.horizons[-1], config)
        config = replace(config, lr=dials.lr * rung.lr_factor, table_lr=dials.table_lr * rung.lr_factor)
    *shorter, longest = rung.horizons
    branch_steps = {h: hyperparameters(rung.model, h, config).schedule.cooldown_start for h in shorter}

    def train(horizon: int, folder: Path, start: Path | None, pins: tuple[int, ...]) -> PretrainResult:
        label = f"{rung.name} {format_count(horizon)}"
        options = {"start": start, "pins": pins, "label": label}
        return pretrain(rung.model, tokens, horizon, config, folder, report, evaluate=evaluate, **options)[1]  # type: ignore[arg-type]

    trunk = out / "trunk"
    results = [train(longest, trunk, None, tuple(branch_steps.values()))]
    for horizon in reversed(shorter):
        start = trunk / "checkpoints" / f"step-{branch_steps[horizon]:09d}"
        results.append(train(horizon, out / format_count(horizon), start, ()))
    trunk_speed = results[0].tokens_per_second
    return [_point(rung, config, tokens, result, trunk_speed) for result in reversed(results)]


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
