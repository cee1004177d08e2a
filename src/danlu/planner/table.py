"""A table of runs predicted row by row; a row that cannot be read is named and the rest goes on."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.common.files import write_atomic
from danlu.planner.accelerator import GIB
from danlu.planner.cases import Job
from danlu.planner.coefficients import Calibration
from danlu.planner.flops import printed_flops
from danlu.planner.layout import Sharding
from danlu.planner.predict import Prediction, interleaved, least_recompute, predict
from danlu.planner.schedule import end_to_end
from danlu.planner.search import best_layout
from danlu.planner.table_row import ReadRow, number, read_row


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header.

    Raises:
        DanluError: no such file, no header, or not text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{key: value or "" for key, value in row.items() if isinstance(key, str)} for row in reader]
            names = reader.fieldnames or []
    except FileNotFoundError as error:
        raise DanluError(f"there is no file {path}.", "Check the path.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DanluError(f"cannot read {path}: {error}.", "Give a CSV file in UTF-8 with a header.") from error
    if "chip" not in names:
        raise DanluError(
            f"{path} has no column 'chip'.", "Give a CSV with the columns of a table of runs: model, chip, chip_count."
        )
    return rows


def row_job(row: Mapping[str, str], given: Calibration | None = None) -> tuple[Job, ReadRow, list[str]]:
    """The job of a row, with everything filled in, and what was filled in.

    Raises:
        DanluError: the row does not say enough, or cannot be.
    """
    read = read_row(row)
    assumed = list(read.assumed)
    if read.layout is None:
        found = best_layout(
            read.shape,
            read.accelerator,
            read.precision,
            read.software,
            read.chips,
            read.seq_len,
            read.batch,
            recompute=read.recompute,
            given=given,
        )
        assumed.append(f"layout {found.layout.describe()} by search")
        return found, read, assumed
    job = Job(read.shape, read.accelerator, read.precision, read.software, read.layout, read.seq_len, read.batch)
    if read.vpp_open and job.layout.pp > 1:
        job = interleaved(job, given)
        assumed.append(f"vpp {job.layout.vpp}")
    if read.recompute is None or read.sharding_open:
        stages: tuple[Sharding, ...] = (read.layout.sharding,)
        if read.sharding_open and read.layout.sharding == 1:
            stages = (1, 3)
        chosen = least_recompute(job, stages, given)
        if read.recompute is not None:
            chosen = replace(chosen, recompute=read.recompute, recompute_share=1.0)
        else:
            assumed.append(f"recompute {chosen.recompute} {chosen.recompute_share:g}")
        job = replace(job, layout=chosen)
    return job, read, assumed


def predict_row(row: Mapping[str, str], given: Calibration | None = None) -> dict[str, Any]:
    """The answer for one row, ready for a line of JSON."""
    try:
        job, read, assumed = row_job(row, given)
        prediction = predict(job, read.unsure, given)
    except DanluError as error:
        return {"run_id": row.get("run_id", ""), "error": f"{error.cause} {error.remedy}"}
    return _answer(row, prediction, assumed)


def _answer(row: Mapping[str, str], found: Prediction, assumed: list[str]) -> dict[str, Any]:
    job = found.job
    flops = printed_flops(job.shape, job.seq_len, row.get("tflops_kind", ""), job.layout)
    per_chip = flops.per_token * found.tokens / found.seconds / job.layout.chips
    answer: dict[str, Any] = {
        "run_id": row.get("run_id", ""),
        "step_time_s": found.seconds,
        "low": found.low,
        "high": found.high,
        "tokens_per_s_total": found.tokens_per_second,
        "tokens_per_s_per_chip": found.tokens_per_second / job.layout.chips,
        "tflops_per_chip": per_chip / 1e12,
        "tflops_convention": flops.convention,
        "mem_gib_per_chip": found.memory_bytes / GIB,
        "fits": found.verdict != "does not fit",
        "verdict": found.verdict,
        "terms": found.terms,
        "layout": job.layout.describe(),
        "global_batch_seqs": job.batch,
        "assumed": assumed,
    }
    tokens = number(row, "tokens_b")
    if tokens:
        whole = end_to_end(found, tokens * 1e9)
        answer["gpu_hours"] = whole.chip_hours
        answer["wall_days"] = whole.wall_seconds / 86400
        answer["goodput"] = whole.goodput
    return answer


def predict_table(rows: list[dict[str, str]], given: Calibration | None = None) -> Iterator[dict[str, Any]]:
    """The answers of all rows, in order."""
    for index, row in enumerate(rows, start=1):
        answer = predict_row(row, given)
        if not answer["run_id"]:
            answer["run_id"] = f"row {index}"
        yield answer


def write_answers(path: Path, answers: list[dict[str, Any]]) -> None:
    """Write the answers as JSON lines."""
    write_atomic(path, "".join(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n" for answer in answers))
