"""How far the planner's predictions lie from published runs, beside a constant MFU and beside Calculon.

    python benchmarks/planner_accuracy.py --table RUNS.csv [--leave-one-out] [--baseline OTHER.csv] [--json FILE]
    python benchmarks/planner_accuracy.py --speed

A table has the columns of `danlu plan --table`. By default rows are predicted with the committed calibration; with
--leave-one-out each group is predicted by coefficients and intervals of the other groups. The baseline is the median
MFU of the same chip, kind of model and arithmetic, in the other groups of the table or in --baseline. Bias is
predicted over measured step time, less one.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError
from danlu.planner.calibrate import measured_seconds, observe
from danlu.planner.cases import Job
from danlu.planner.coefficients import calibration
from danlu.planner.cross_validation import held_out
from danlu.planner.flops import model_flops
from danlu.planner.table import predict_row, read_table, row_job
from danlu.planner.table_row import number

CALCULON = {
    "narayanan21_t1": (10, 0.103, -0.103),
    "narayanan21_t2": (6, 0.053, -0.029),
    "korthikanti22": (8, 0.0365, None),
    "mt_nlg": (3, 0.297, -0.297),
    "vtrain_multi": (109, 0.154, -0.085),
    "bloom_prequel": (17, 0.319, -0.319),
}
"""Calculon caa4b11 with the A100 file that it ships, run on each source's rows that it can express: rows, mean absolute
error, bias. Not run here: the figures of the reference that came with the table."""


@dataclass(frozen=True)
class Row:
    """One measured run and what was said of it."""

    group: str
    measured: float
    predicted: float
    low: float
    high: float
    baseline: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Seen:
    """What a constant MFU needs of a run."""

    group: str
    keys: tuple[tuple[str, ...], ...]
    """From the nearest likeness to none."""
    peak_seconds: float
    """The step at the 16-bit peak."""
    seconds: float


def seen(row: Mapping[str, str], job: Job, seconds: float) -> Seen:
    """The likeness and ideal time of a run."""
    chip, kind = job.accelerator.name, "moe" if job.shape.moe else "dense"
    flops = model_flops(job.shape, job.seq_len).per_token * job.batch * job.seq_len
    keys = ((chip, kind, str(job.precision.bits)), (chip, kind), (kind,), ())
    return Seen(row.get("group", ""), keys, flops / job.accelerator.wide_peak / job.layout.chips, seconds)


def constant_mfu(one: Seen, others: Sequence[Seen]) -> float:
    """Seconds by the median MFU of the runs that are most alike."""
    for key in one.keys:
        alike = [each.peak_seconds / each.seconds for each in others if key in each.keys]
        if alike:
            return one.peak_seconds / statistics.median(alike)
    return float("nan")


def measured_jobs(rows: Sequence[Mapping[str, str]]) -> list[tuple[Mapping[str, str], Job, float]]:
    """The rows that can be read and measured a pace."""
    found = []
    for row in rows:
        try:
            job, _, _ = row_job(row)
            seconds = measured_seconds(row, job)
        except DanluError:
            continue
        if seconds:
            found.append((row, job, seconds))
    return found


def with_defaults(rows: Sequence[Mapping[str, str]], base: Sequence[Seen]) -> list[Row]:
    """Every measured row by the committed calibration."""
    found = []
    for row, job, seconds in measured_jobs(rows):
        answer, own = predict_row(row), seen(row, job, seconds)
        others = [each for each in base if each.group != own.group]
        found.append(
            Row(own.group, seconds, answer["step_time_s"], answer["low"], answer["high"], constant_mfu(own, others))
        )
    return found


def left_out(rows: Sequence[Mapping[str, str]], base: Sequence[Seen]) -> list[Row]:
    """Every measured row by what the other groups teach."""
    observed = observe(rows, calibration())
    held = held_out(observed, calibration())
    found = []
    for index, (row, job, seconds) in enumerate(measured_jobs(rows)):
        assert observed.ids[index] == row.get("run_id", "")
        own = seen(row, job, seconds)
        others = [each for each in base if each.group != own.group]
        found.append(
            Row(
                own.group,
                seconds,
                float(held.seconds[index]),
                float(held.low[index]),
                float(held.high[index]),
                constant_mfu(own, others),
            )
        )
    return found


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of some rows."""
    errors = [row.error for row in rows]
    return {
        "n": len(rows),
        "mean": statistics.fmean(map(abs, errors)),
        "median": statistics.median(map(abs, errors)),
        "bias": statistics.fmean(errors),
        "coverage": statistics.fmean(row.low <= row.measured <= row.high for row in rows),
        "constant_mfu": statistics.fmean(abs(row.baseline / row.measured - 1) for row in rows),
    }


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures by group, over groups and over rows."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    table = {name: summary(members) for name, members in groups.items()}
    return {
        "groups": table,
        "mean_of_group_means": statistics.fmean(each["mean"] for each in table.values()),
        "constant_mfu_mean_of_group_means": statistics.fmean(each["constant_mfu"] for each in table.values()),
        "rows": summary(rows),
    }


def memory_report(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Memory against what rows print, and the verdict on runs that ended for want of it and on those that ran."""
    errors, out_of_memory, refused = [], [], []
    for row in rows:
        answer = predict_row(row)
        if "error" in answer:
            continue
        printed = row.get("mem_gib_per_chip", "").strip()
        if printed.upper() == "OOM":
            out_of_memory.append(not answer["fits"])
            continue
        ran = any(row.get(name) for name in ("step_time_s", "tokens_per_s_per_chip", "tflops_per_chip"))
        if ran and not answer["fits"]:
            refused.append(answer["run_id"])
        if printed:
            size = number(row, "mem_gib_per_chip")
            errors += [abs(answer["mem_gib_per_chip"] / size - 1)] if size else []
    return {
        "n": len(errors),
        "mean": statistics.fmean(errors) if errors else None,
        "median": statistics.median(errors) if errors else None,
        "within_5_percent": statistics.fmean(error <= 0.05 for error in errors) if errors else None,
        "out_of_memory_rows": len(out_of_memory),
        "out_of_memory_judged_right": sum(out_of_memory),
        "ran_but_judged_not_to_fit": refused,
    }


def speed() -> dict[str, float]:
    """Seconds of one prediction, and of the search over all layouts of 1e12 parameters on 10,000 chips."""
    from danlu.hardware.catalogue import find_chip
    from danlu.planner.accelerator import accelerator
    from danlu.planner.layout import Layout
    from danlu.planner.precision import Precision
    from danlu.planner.predict import predict
    from danlu.planner.search import search_layouts
    from danlu.planner.shape import ModelShape
    from danlu.planner.software import MODERN

    shape = ModelShape("GPT 1T", 128, 25600, 160, 160, 160, 102400, 51200, 2)
    precision = Precision("bf16")
    machine = accelerator(find_chip("H100"), precision)
    job = Job(shape, machine, precision, MODERN, Layout(tp=8, pp=25, dp=50), 4096, 4000)
    predict(job)
    took: dict[str, list[float]] = {"prediction": [], "search": []}
    for _ in range(5):
        began = time.perf_counter()
        predict(job)
        between = time.perf_counter()
        found = search_layouts(job, 10_000)
        took["prediction"].append(between - began)
        took["search"].append(time.perf_counter() - between)
    return {name: min(values) for name, values in took.items()} | {"layouts": float(found.tried)}


def show(found: Mapping[str, Any]) -> None:
    """Print a report."""
    heads = f"{'group':<18}{'n':>5}{'mean':>8}{'median':>8}{'bias':>8}{'in 80%':>8}{'const MFU':>11}"
    print(f"{heads}  Calculon (n, mean, bias)")
    for name, each in [*found["groups"].items(), ("all rows", found["rows"])]:
        other = CALCULON.get(name)
        words = f"{other[0]}, {other[1]:.1%}, " + ("-" if other[2] is None else f"{other[2]:+.1%}") if other else ""
        print(
            f"{name:<18}{each['n']:>5}{each['mean']:>8.1%}{each['median']:>8.1%}{each['bias']:>+8.1%}"
            f"{each['coverage']:>8.0%}{each['constant_mfu']:>11.1%}  {words}"
        )
    print(
        f"mean of group means: {found['mean_of_group_means']:.2%}"
        f" (constant MFU: {found['constant_mfu_mean_of_group_means']:.2%})"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="CSV of published runs")
    parser.add_argument("--leave-one-out", action="store_true", help="predict each group by the others")
    parser.add_argument("--baseline", type=Path, help="CSV on which the constant MFU is taken")
    parser.add_argument("--speed", action="store_true", help="time one prediction and one search")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    if not given.table and not given.speed:
        parser.error("give --table FILE, or --speed")
    found: dict[str, Any] = {}
    if given.table:
        rows = read_table(given.table)
        base = [seen(*each) for each in measured_jobs(read_table(given.baseline) if given.baseline else rows)]
        found = report((left_out if given.leave_one_out else with_defaults)(rows, base))
        show(found)
        found["memory"] = memory_report(rows)
        print("memory:", ", ".join(f"{name} {value}" for name, value in found["memory"].items()))
    if given.speed:
        found["speed"] = speed()
        took = found["speed"]
        print(f"one prediction: {took['prediction'] * 1e3:.2f} ms")
        print(f"a search over {took['layouts']:,.0f} layouts: {took['search'] * 1e3:.0f} ms")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except DanluError as error:
        raise SystemExit(f"{error.cause} {error.remedy}") from error
