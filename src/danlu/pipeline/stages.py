"""The road: every stage as a small function from earlier files to its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.strict import from_mapping, to_mapping
from danlu.hardware.speed import measure_speed
from danlu.pipeline.budget import EXPECTED_FRACTION, target_flops
from danlu.pipeline.manifest import note_data
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.stage import Job, Stage

Results = Mapping[str, Any]


def _budget(job: Job) -> Results:
    recipe, in_time = job.recipe, job.recipe.duration.unit == "seconds"
    speed = measure_speed(recipe.training.device, recipe.training.precision) if in_time else None
    flops = target_flops(recipe.duration, recipe.ladder, speed)
    if speed:
        job.report(
            f"{recipe.duration} at {EXPECTED_FRACTION:.0%} of {speed.peak:.3g} FLOP/s, shared with the ladder:"
            f" {flops:.3g} FLOPs for the target, from now on fixed"
        )
    write_json(job.folder.budget, {"asked": recipe.budget, "flops": flops})
    return {"peak_flops": speed.peak if speed else None}


def _corpus(job: Job) -> Results:
    from danlu.corpus.build import build_corpus

    summary = build_corpus(job.recipe.corpus, job.out, job.report)
    return {"documents": summary.train_documents, "bytes": summary.train_bytes}


def _tokens(job: Job) -> Results:
    from danlu.tokens.build import build_tokens

    summary = build_tokens(job.folder.corpus, job.recipe.tokens, job.out, job.report)
    return {"vocab_size": summary.vocab_size, "tokens": summary.train_tokens}


def _ladder(job: Job) -> Results:
    from danlu.pipeline.trainings import train_ladder

    flops = read_json(job.folder.budget)["flops"]
    recipe = job.recipe
    points = train_ladder(flops, job.folder.tokens, recipe.training, recipe.ladder, job.out, job.report)
    return {"points": len(points), "flops": sum(point.flops for point in points)}


def _fit(job: Job) -> Results:
    from danlu.scaling.fit import fit_points, write_fit
    from danlu.scaling.points import read_points

    entropy, bound = source_entropy(job.folder)
    points = read_points(job.folder.ladder / "points.jsonl")
    fit = fit_points(points, job.recipe.forecast, entropy=entropy if bound == "exact" else None)
    write_fit(fit, job.out / "fit.json")
    job.report(f"{fit.frontier.formula}: " + ", ".join(f"{k} {v:.4g}" for k, v in fit.frontier.parameters.items()))
    return {"noise": fit.noise}


def _forecast(job: Job) -> Results:
    from danlu.pipeline.memory import estimate_memory
    from danlu.scaling.allocation import allocate_target
    from danlu.scaling.design import LadderPlan
    from danlu.scaling.fit import read_fit
    from danlu.scaling.forecast import make_forecast, write_forecast
    from danlu.tokens.build import read_tokens_summary
    from danlu.training.dials import batch_tokens

    folder, training = job.folder, job.recipe.training
    note_data(folder)
    plan = from_mapping(LadderPlan, read_json(folder.ladder / "plan.json"), str(folder.ladder / "plan.json"))
    fit = read_fit(folder.fit / "fit.json")
    target = allocate_target(fit, plan, lambda model, tokens: batch_tokens(model, training))
    forecast = make_forecast(
        fit,
        target,
        job.recipe.forecast,
        context=training.context,
        memory=estimate_memory(plan, target.model, training, folder.ladder),
        bytes_per_token=read_tokens_summary(folder.tokens).heldout_bytes_per_token,
        entropy=source_entropy(folder)[0],
        notes=plan.warnings,
    )
    write_forecast(forecast, folder.forecast, started=folder.pretrain.exists())
    for line in forecast_lines(forecast):
        job.report(line)
    return {"loss": forecast.loss, "low": forecast.low, "high": forecast.high, "hash": forecast.hash}
