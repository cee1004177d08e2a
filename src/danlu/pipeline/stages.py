"""The road: every stage as a small function from earlier files to its own."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from danlu.common.files import read_json, sha256_file, write_json
from danlu.hardware.speed import measure_speed
from danlu.pipeline.budget import EXPECTED_FRACTION, target_flops
from danlu.pipeline.manifest import note_data
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.stage import Job, Stage

Results = Mapping[str, Any]


def _budget(job: Job) -> Results:
    in_time = job.recipe.duration.unit == "seconds"
    speed = measure_speed() if in_time else None
    flops = target_flops(job.recipe, speed)
    write_json(job.folder.budget, {"asked": job.recipe.budget, "flops": flops})
    if speed:
        job.report(
            f"{job.recipe.duration} at {EXPECTED_FRACTION:.0%} of {speed.peak:.3g} FLOP/s, ladder and target:"
            f" {flops:.3g} FLOPs for the target, from now on fixed"
        )
    return {"flops": flops, "peak_flops": speed.peak if speed else None}


def _corpus(job: Job) -> Results:
    from danlu.corpus.build import build_corpus

    summary = build_corpus(job.recipe.corpus, job.out, job.report)
    return {"documents": summary.train_documents, "bytes": summary.train_bytes}


def _tokens(job: Job) -> Results:
    from danlu.tokens.build import build_tokens

    summary = build_tokens(job.folder.corpus, job.recipe.tokens, job.out, job.report)
    return {
        "vocab_size": summary.vocab_size,
        "tokens": summary.train_tokens,
        "bytes_per_token": summary.bytes_per_token,
    }
