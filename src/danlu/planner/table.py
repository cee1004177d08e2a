"""A table of runs predicted row by row; a row that cannot be read is named and the rest goes on."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from danlu.common.cells import read_columns
from danlu.common.errors import DanluError
from danlu.common.files import write_atomic
from danlu.common.table_files import LEFT_OVER, read_sheet
from danlu.hardware.catalogue import Chip
from danlu.planner.accelerator import GIB
from danlu.planner.cases import Job
from danlu.planner.coefficients import Calibration
from danlu.planner.flops import printed_flops
from danlu.planner.layout import Layout, Sharding
from danlu.planner.predict import RECOMPUTE_LADDER, Prediction, first_that_fits, interleaved, predict, predict_all
from danlu.planner.schedule import end_to_end
from danlu.planner.search import MICRO_BATCHES, search_layouts
from danlu.planner.table_row import ReadRow, number, read_row

BEHIND_BEST = 1.13
"""Step time of the layouts that people run over that of the best one found here: with their layouts hidden, the
geometric mean of measured over predicted step time of eight sources from 2023 on (mbridge 1.20, maxtext_v5e 1.06,
torchtitan 1.26, internevo 1.30, flagperf 1.03, mindspeed_910b 1.29, tinyllama 1.03, nanochat 0.96)."""


def read_table(path: Path, report: Callable[[str], None] = lambda line: None) -> list[dict[str, str]]:
    """The rows of a table with a header, in any writing (`danlu.common.table_files`), each cell as a text; a row with
    more cells than the header keeps them under `LEFT_OVER`.

    Args:
        report: is told what was made of a file that is not plain CSV in UTF-8.

    Raises:
        DanluError: no such file, no table, or a column that is there twice.
    """
    sheet = read_sheet(path, lenient=True)
    for note in sheet.notes:
        report(note)
    records = sheet.records
    if isinstance(records, dict):
        records = [dict(zip(records, cells, strict=False)) for cells in zip_longest(*records.values())]
    rows = [{_name(key): _text(value) for key, value in record.items()} for record in records]
    for record, row in zip(records, rows, strict=True):
        if len(row) < len(record):
            twice = next(name for name in row if sum(_name(key) == name for key in record) > 1)
            raise DanluError(f"{path} has the column '{twice}' twice.", "Remove or rename one of them.")
    if rows and not any("chip" in row for row in rows):
        raise DanluError(
            f"{path} has no column 'chip'.", "Give a table with the columns of runs: model, chip, chip_count."
        )
    return rows if sheet.delimiter == "," else _with_points(rows)


def _name(key: str) -> str:
    return key if key == LEFT_OVER else key.strip().lower()


def _text(value: Any) -> str:
    """A cell as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.15g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with_points(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows with decimal commas as points: where commas do not part the cells, they may begin fractions."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    numbers = read_columns({name: [row.get(name) for row in rows] for name in names})

    def plain(name: str, index: int, cell: str) -> str:
        number = numbers[name][index] if re.search(r"\d[.,]\d", cell) else None
        return cell if number is None or math.isnan(number) else f"{number:.15g}"

    return [{name: plain(name, index, cell) for name, cell in row.items()} for index, row in enumerate(rows)]


def row_job(
    row: Mapping[str, str], given: Calibration | None = None, known: tuple[Chip, ...] | None = None
) -> tuple[Job, ReadRow, list[str]]:
    """The job of a row, with everything filled in, and what was filled in.

    Args:
        known: the chips that there are; the catalogue's by default.

    Raises:
        DanluError: the row does not say enough, or cannot be.
    """
    if not any(row.values()):
        raise DanluError("the row is empty.", "Remove it.")
    if row.get(LEFT_OVER):
        raise DanluError(
            f"the row has more fields than the header: '{row[LEFT_OVER]}' is left over.",
            "Put a value that holds a comma into quotes.",
        )
    read = read_row(row, known)
    assumed = list(read.assumed)
    if read.layout is None:
        start = Job(read.shape, read.accelerator, read.precision, read.software, Layout(), read.seq_len, read.batch)
        search = search_layouts(start, read.chips, keep=1, recompute=read.recompute, given=given)
        best = search.options[0] if search.options else search.thriftiest
        words = "by search" if search.options else "the thriftiest, as none fits"
        assumed.append(f"layout {best.layout.describe()}: {words}")
        return replace(start, layout=best.layout, batch=best.batch), read, assumed
    job = _completed(read, given)
    layout = job.layout
    if read.micro_open:
        assumed.append(f"micro-batch {layout.micro_batch}")
    if read.vpp_open and layout.pp > 1:
        assumed.append(f"vpp {layout.vpp}")
    if read.sharding_open and layout.sharding != read.layout.sharding:
        assumed.append(f"ZeRO stage {layout.sharding}, as less does not fit")
    if layout.ep != read.layout.ep:
        assumed.append(f"experts spread over {layout.ep} ranks, as ep {read.layout.ep} does not fit")
    elif layout.expert_cut != read.layout.expert_cut:
        assumed.append(f"each expert cut among {layout.expert_cut} ranks, as whole ones do not fit")
    if read.recompute is None:
        assumed.append(f"recompute {layout.recompute} {layout.recompute_share:g}")
    return job, read, assumed


def _completed(read: ReadRow, given: Calibration | None) -> Job:
    """The job of a row that gives degrees of parallelism: the fastest choice that fits of what it leaves open."""
    assert read.layout is not None
    start = Job(read.shape, read.accelerator, read.precision, read.software, read.layout, read.seq_len, read.batch)
    replica = max(1, round(read.batch / read.layout.dp))
    micros = [m for m in MICRO_BATCHES if m == 1 or replica % m == 0] if read.micro_open else [read.layout.micro_batch]
    found = [_fitted(replace(start, layout=replace(read.layout, micro_batch=m)), read, given) for m in micros]
    predictions = predict_all(found, given=given)
    able = [one for one in predictions if one.verdict != "does not fit"]
    if not able:
        return min(predictions, key=lambda one: one.memory_bytes).job
    return max(able, key=lambda one: one.tokens_per_second).job


def _fitted(job: Job, read: ReadRow, given: Calibration | None) -> Job:
    """The job with its pipeline's chunks, its sharding and its recomputation chosen where the row leaves them open."""
    layout = job.layout
    if read.vpp_open and layout.pp > 1:
        job = interleaved(job, given)
        layout = job.layout
    if read.recompute is not None and not read.sharding_open and len(set(_expert_homes(job))) == 1:
        return job
    stages: tuple[Sharding, ...] = (layout.sharding,)
    if read.sharding_open:
        last: tuple[Sharding, ...] = (3,) if layout.pp == 1 else ()
        stages = (*((0, 1) if layout.sharding == 0 else (1,)), *last)
    levels = RECOMPUTE_LADDER if read.recompute is None else ((read.recompute, 1.0),)
    choices = [
        replace(layout, ep=ep, expert_tp=cut, sharding=stage, recompute=level, recompute_share=share)
        for ep, cut in dict.fromkeys(_expert_homes(job))
        for stage in stages
        for level, share in levels
    ]
    return replace(job, layout=first_that_fits(job, choices, given))


def _expert_homes(job: Job) -> list[tuple[int, int]]:
    """Expert parallel degrees and ranks an expert, as the row has them and, where that does not fit, as frameworks
    then have it: the experts spread over the tensor parallel ranks too (MindSpeed's extension of expert parallelism,
    Megatron's folding), or each of them cut among those."""
    layout = job.layout
    homes = [(layout.ep, layout.expert_cut)]
    if job.shape.moe and layout.ep > 1:
        spread = layout.ep * layout.tp
        homes += [(spread, 1)] * (job.shape.moe.count % spread == 0 and spread <= layout.tp * layout.cp * layout.dp)
        homes.append((layout.ep, layout.tp))
    return homes


def predict_row(
    row: Mapping[str, str], given: Calibration | None = None, known: tuple[Chip, ...] | None = None
) -> dict[str, Any]:
    """The answer for one row, ready for a line of JSON."""
    try:
        job, read, assumed = row_job(row, given, known)
        prediction = predict(job, read.unsure, given)
    except DanluError as error:
        return {"run_id": row.get("run_id", ""), "error": f"{error.cause} {error.remedy}"}
    return _answer(row, prediction if read.layout else behind_best(prediction), assumed)


def behind_best(found: Prediction) -> Prediction:
    """The prediction of a run whose layout was searched here and is not told: its owner's lies behind the best."""
    lost = found.seconds * (BEHIND_BEST - 1)
    return replace(
        found,
        seconds=found.seconds * BEHIND_BEST,
        low=found.low * BEHIND_BEST,
        high=found.high * BEHIND_BEST,
        terms={**found.terms, "layout in practice": lost},
    )


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


def predict_table(
    rows: list[dict[str, str]], given: Calibration | None = None, known: tuple[Chip, ...] | None = None
) -> Iterator[dict[str, Any]]:
    """The answers of all rows, in order."""
    for index, row in enumerate(rows, start=1):
        answer = predict_row(row, given, known)
        if not answer["run_id"]:
            answer["run_id"] = f"row {index}"
        yield answer


def write_answers(path: Path, answers: list[dict[str, Any]]) -> None:
    """Write the answers as JSON lines."""
    write_atomic(path, "".join(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n" for answer in answers))
