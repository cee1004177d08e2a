"""The road: every stage as a small function from earlier files to its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from danlu.common.duration import Duration
from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.strict import to_mapping
from danlu.hardware.speed import measure_speed
from danlu.pipeline.align_stages import alignment_stages
from danlu.pipeline.budget import format_rate, pretraining_seconds
from danlu.pipeline.manifest import note_data
from danlu.pipeline.recipe import Recipe, deciding
from danlu.pipeline.stage import Job, Stage

Results = Mapping[str, Any]


def _budget(job: Job) -> Results:
    from danlu.pipeline.pace import affordable_flops

    recipe = job.recipe
    flops, rate = affordable_flops(recipe.limits, recipe.ladder, recipe.training, recipe.tokens.vocab_size)
    took = Duration(pretraining_seconds(flops, recipe.ladder, rate), "seconds")
    job.report(
        f"{' or '.join(map(str, recipe.limits))}: {flops:.3g} FLOPs for the target, from now on fixed; such a model"
        f" trains at {format_rate(rate)} here: about {took} with its ladder"
    )
    write_json(job.folder.budget, {"asked": recipe.budget, "flops": flops})
    return {"training_flops": rate}


def _corpus(job: Job) -> Results:
    from danlu.corpus.build import build_corpus

    summary = build_corpus(job.recipe.corpus, job.out, job.report)
    return {"documents": summary.train_documents, "bytes": summary.train_bytes}


def _tokens(job: Job) -> Results:
    from danlu.tokens.build import build_tokens

    summary = build_tokens(job.folder.corpus, job.recipe.tokens, job.out, job.report)
    return {"vocab_size": summary.vocab_size, "tokens": summary.train_tokens}


def _plan(job: Job) -> Results:
    from danlu.evaluation.heldout import heldout_rehearsal
    from danlu.pipeline.plan import plan_ladder
    from danlu.pipeline.run_plan import plan_lines, plan_run
    from danlu.scaling.executor import choose_executor
    from danlu.tokens.build import read_tokens_summary
    from danlu.training.rehearsal import rehearse

    folder, training = job.folder, job.recipe.training
    flops = read_json(folder.budget)["flops"]
    ladder = plan_ladder(flops, folder.tokens, training, job.recipe.ladder)
    speed = measure_speed(training.device, training.precision)
    evaluate = heldout_rehearsal(folder.tokens, training.context)
    executor = choose_executor(job.recipe.ladder, ladder.flops, len(ladder.rungs), speed.device)
    plan = plan_run(
        ladder,
        read_tokens_summary(folder.tokens),
        training,
        speed,
        lambda model, batch, threads: rehearse(
            model, batch, training, 1.0, folder.tokens, folder.path, threads, evaluate
        ),
        at_once=executor.at_once,
        threads=executor.threads,
    )
    write_json(folder.plan, to_mapping(plan))
    for line in plan_lines(plan):
        job.report(line)
    return {"wall_seconds": plan.wall_seconds, "memory_bytes": plan.memory_bytes}


def _ladder(job: Job) -> Results:
    from danlu.pipeline.trainings import train_ladder

    flops = read_json(job.folder.budget)["flops"]
    recipe = job.recipe
    points = train_ladder(flops, job.folder.tokens, recipe.training, recipe.ladder, job.out, job.report)
    return {"points": len(points), "flops": sum(point.flops for point in points)}


def _fit(job: Job) -> Results:
    from danlu.pipeline.entropy import source_entropy
    from danlu.scaling.ladder_fit import fit_points, write_fit
    from danlu.scaling.points import read_points

    entropy = source_entropy(job.folder.corpus, job.folder.tokens)
    points = read_points(job.folder.ladder / "points.jsonl")
    fit = fit_points(points, job.recipe.forecast, entropy=entropy[0] if entropy and entropy[1] == "exact" else None)
    write_fit(fit, job.out / "fit.json")
    job.report(f"{fit.frontier.formula}: " + ", ".join(f"{k} {v:.4g}" for k, v in fit.frontier.parameters.items()))
    return {"noise": fit.noise}


def _forecast(job: Job) -> Results:
    from danlu.pipeline.entropy import source_entropy
    from danlu.pipeline.forecasting import forecast_target
    from danlu.pipeline.words import forecast_lines
    from danlu.scaling.forecast import write_forecast
    from danlu.scaling.ladder_fit import read_fit
    from danlu.tokens.build import read_tokens_summary

    folder, recipe = job.folder, job.recipe
    note_data(folder)
    entropy = source_entropy(folder.corpus, folder.tokens)
    forecast = forecast_target(
        read_fit(folder.fit / "fit.json"),
        folder.ladder,
        recipe.training,
        recipe.forecast,
        bytes_per_token=read_tokens_summary(folder.tokens).heldout_bytes_per_token,
        entropy=entropy[0] if entropy else None,
        tokens=folder.tokens,
    )
    write_forecast(forecast, folder.forecast, started=folder.pretrain.exists())
    for line in forecast_lines(forecast):
        job.report(line)
    return {"loss": forecast.loss, "low": forecast.low, "high": forecast.high, "hash": forecast.hash}


def _pretrain(job: Job) -> Results:
    from danlu.pipeline.trainings import train_target
    from danlu.scaling.forecast import read_forecast

    target = read_forecast(job.folder.forecast).target
    training = replace(job.recipe.training, batch_tokens=target.batch_tokens)
    result = train_target(target.model, job.folder.tokens, target.tokens, training, job.out, job.report)
    return {"loss": result.loss, "tokens": result.tokens, "training_seconds": result.seconds}


def _verdict(job: Job) -> Results:
    from danlu.pipeline.run_plan import judge_plan
    from danlu.pipeline.words import verdict_lines
    from danlu.scaling.forecast import read_forecast
    from danlu.scaling.verdict import judge, write_verdict

    measured = read_json(job.folder.pretrain / "result.json")
    forecast = read_forecast(job.folder.forecast)
    planned = judge_plan(job.folder, forecast.created)
    verdict = judge(forecast, measured["loss"], measured["seconds"], measured["peak_memory_bytes"], planned)
    write_verdict(verdict, job.folder.verdict)
    for line in verdict_lines(verdict):
        job.report(line)
    return {"measured": verdict.measured, "relative_error": verdict.relative_error, "inside": verdict.inside}


def _evaluation(job: Job) -> Results:
    from danlu.pipeline.judging import evaluate_heldout, make_samples

    folder, training = job.folder, job.recipe.training
    result = evaluate_heldout(folder.model, folder.tokens, training.device, training.precision)
    write_json(job.out / "evaluation.json", to_mapping(result))
    samples = make_samples(folder.model, folder.tokens, job.recipe.sampling, training.device, training.precision)
    write_json(job.out / "samples.json", samples)
    job.report(f"{result.bits_per_byte:.4f} bits a byte of held-out text; {len(samples)} samples")
    return {"loss": result.loss, "bits_per_byte": result.bits_per_byte}


def _data_files(recipe: Recipe) -> Mapping[str, Sequence[Path]]:
    """The user's own files, by the items of `data`. What is gone is not listed: reading it says so, if it comes to it.

    The library of this machine is left out, because a patch of Python must not disown a run.
    """
    from danlu.corpus.sources import resolve

    found = {}
    for item in recipe.corpus.data:
        if item in ("toy", "stdlib") or item.startswith("hf:"):
            continue
        try:
            (source,) = resolve(replace(recipe.corpus, data=(item,)))
        except DanluError:
            continue
        found[item] = [path for path, _ in source.files]
    return found


def _find_data(recipe: Recipe) -> None:
    from danlu.corpus.sources import resolve

    resolve(recipe.corpus)


ROAD: tuple[Stage, ...] = (
    Stage(
        name="budget",
        does="the budget in FLOPs",
        run=_budget,
        outputs=("budget.json",),
        settings=lambda recipe: {"budget": recipe.budget},
        writes="file",
    ),
    Stage(
        name="corpus",
        does="text, cleaned and held out",
        run=_corpus,
        outputs=(),
        settings=lambda recipe: {"corpus": recipe.corpus},
        sources=_data_files,
        check=_find_data,
    ),
    Stage(
        name="tokens",
        does="a vocabulary, and the text in its tokens",
        run=_tokens,
        outputs=(),
        settings=lambda recipe: {"tokens": recipe.tokens},
        needs=("corpus",),
    ),
    Stage(
        name="plan",
        does="what the trainings will take on this machine, from a few real steps of each",
        run=_plan,
        outputs=("plan.json",),
        settings=lambda recipe: {"training": deciding(recipe.training), "ladder": deciding(recipe.ladder)},
        needs=("budget", "tokens"),
        writes="file",
    ),
    Stage(
        name="ladder",
        does="small models, each trained to several lengths",
        run=_ladder,
        outputs=("ladder/plan.json", "ladder/points.jsonl"),
        settings=lambda recipe: {"training": deciding(recipe.training), "ladder": deciding(recipe.ladder)},
        needs=("budget", "tokens"),
        writes="resumable",
        costly=True,
    ),
    Stage(
        name="fit",
        version=2,
        does="the laws through their points",
        run=_fit,
        outputs=(),
        settings=lambda recipe: {"forecast": recipe.forecast},
        needs=("corpus", "tokens", "ladder"),
    ),
    Stage(
        name="forecast",
        does="what the target will give and cost, written before it is trained",
        run=_forecast,
        outputs=("forecast.json",),
        settings=lambda recipe: {"forecast": recipe.forecast},
        needs=("corpus", "tokens", "ladder", "fit"),
        writes="file",
    ),
    Stage(
        name="pretrain",
        does="the target",
        run=_pretrain,
        outputs=("pretrain/model/*", "pretrain/metrics.jsonl", "pretrain/result.json"),
        settings=lambda recipe: {"training": deciding(recipe.training)},
        needs=("tokens", "forecast"),
        writes="resumable",
        costly=True,
    ),
    Stage(
        name="verdict",
        does="the forecast beside what was measured",
        run=_verdict,
        outputs=("verdict.json",),
        settings=lambda recipe: {},
        needs=("plan", "forecast", "pretrain"),
        writes="file",
    ),
    Stage(
        name="evaluation",
        does="the trained target on held-out text, and samples",
        run=_evaluation,
        outputs=(),
        settings=lambda recipe: {"sampling": recipe.sampling},
        needs=("tokens", "pretrain"),
    ),
)


def road_to_assistant(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages of a recipe: to the base model always, and on to an assistant where it has what that takes."""
    return (*ROAD, *alignment_stages(recipe))
