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
    flops = target_flops(recipe, speed)
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
