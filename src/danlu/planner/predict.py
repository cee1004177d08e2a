"""What one training step takes: time with its interval, memory with its verdict, rates, and every part of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from danlu.planner.cases import Job, stack
from danlu.planner.coefficients import Calibration, calibration
from danlu.planner.flops import hardware_flops, model_flops
from danlu.planner.layout import Layout, Recompute, Sharding, divides
from danlu.planner.memory import TIGHT, Memory, fits, memory
from danlu.planner.step import Step, step
from danlu.planner.uncertainty import Interval, intervals_of

Verdict = Literal["fits", "tight", "does not fit"]


@dataclass(frozen=True)
class Prediction:
    """One training step of one job."""

    job: Job
    seconds: float
    low: float
    high: float
    """Ends of the 80% interval of the step's seconds."""
    terms: dict[str, float]
    """Seconds by part."""
    memory_bytes: float
    """Of the fullest chip."""
    memory_parts: dict[str, float]
    verdict: Verdict
    model_flops: float
    """FLOPs of the model in a step, causal attention counted."""
    hardware_flops: float
    """The same with what is computed again."""

    @property
    def tokens(self) -> int:
        """Tokens a step."""
        return self.job.batch * self.job.seq_len

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second on all chips."""
        return self.tokens / self.seconds

    @property
    def flops_per_chip(self) -> float:
        """Model FLOP/s of one chip."""
        return self.model_flops / self.seconds / self.job.layout.chips

    @property
    def mfu(self) -> float:
        """Model FLOPs over the dense peak of the linear layers' arithmetic."""
        return self.flops_per_chip / self.job.accelerator.narrow_peak


def predict(job: Job, assumed: bool = False, given: Calibration | None = None) -> Prediction:
    """Predict one job.

    Args:
        assumed: its layout, batch or shape was filled in, which widens the interval.
        given: another calibration than the committed one.
    """
    return predict_all([job], [assumed], given)[0]


def predict_all(
    jobs: Sequence[Job], assumed: Sequence[bool] | None = None, given: Calibration | None = None
) -> list[Prediction]:
    """Predict many jobs in one pass."""
    fitted = given or calibration()
    cases = stack(jobs)
    time, need = step(cases, fitted.coefficients), memory(cases, fitted.memory)
    enough = fits(cases, fitted.memory, need)
    around = intervals_of(jobs, assumed or [False] * len(jobs), cases, fitted)
    return [_prediction(job, index, time, need, bool(enough[index]), around[index]) for index, job in enumerate(jobs)]


def _prediction(job: Job, index: int, time: Step, need: Memory, enough: bool, interval: Interval) -> Prediction:
    seconds = float(time.seconds[index])
    total = float(need.total[index])
    verdict: Verdict = "does not fit"
    if enough:
        verdict = "tight" if total > TIGHT * job.accelerator.memory_bytes else "fits"
    tokens = job.batch * job.seq_len
    return Prediction(
        job=job,
        seconds=seconds,
        low=seconds * interval.low,
        high=seconds * interval.high,
        terms={name: float(part[index]) for name, part in time.terms.items()},
        memory_bytes=total,
        memory_parts={name: float(part[index]) for name, part in need.parts.items()},
        verdict=verdict,
        model_flops=model_flops(job.shape, job.seq_len).per_token * tokens,
        hardware_flops=hardware_flops(job.shape, job.seq_len, job.layout).per_token * tokens,
    )


def at_rate(found: Prediction, tflops: float) -> Prediction:
    """The prediction with its step time and parts scaled to a given rate of one chip (6 N FLOPs a token)."""
    flops = 6 * found.job.shape.params("active") * found.tokens
    seconds = flops / (tflops * 1e12 * found.job.layout.chips)
    terms = {name: part * seconds / found.seconds for name, part in found.terms.items()}
    return replace(found, seconds=seconds, low=seconds, high=seconds, terms=terms)


RECOMPUTE_LADDER: tuple[tuple[Recompute, float], ...] = (
    ("none", 1.0),
    ("selective", 1.0),
    *(("full", eighth / 8) for eighth in range(1, 9)),
)
"""Levels of recomputation from the cheapest to the thriftiest."""


def least_recompute(job: Job, shardings: Sequence[Sharding] | None = None, given: Calibration | None = None) -> Layout:
    """The layout with the least sharding, then the least recomputation, that fits; the thriftiest where none does.

    Args:
        shardings: ZeRO stages to try, in order; the job's own by default.
    """
    stages = shardings or (job.layout.sharding,)
    layouts = [
        replace(job.layout, sharding=stage, recompute=level, recompute_share=share)
        for stage in stages
        for level, share in RECOMPUTE_LADDER
    ]
    return first_that_fits(job, layouts, given)


def first_that_fits(job: Job, layouts: Sequence[Layout], given: Calibration | None = None) -> Layout:
    """The first of the layouts that fits the memory; the last where none does."""
    fitted = given or calibration()
    cases = stack([replace(job, layout=layout) for layout in layouts])
    enough = fits(cases, fitted.memory, memory(cases, fitted.memory))
    return layouts[int(np.argmax(enough))] if enough.any() else layouts[-1]


def interleaved(job: Job, given: Calibration | None = None) -> Job:
    """The job with as many chunks a stage as make it fastest, among those that divide its layers (or nearly: two
    layers' room for the tables)."""
    fitted = given or calibration()
    layers, pp = job.shape.layers, job.layout.pp
    micro = job.batch // (job.layout.dp * job.layout.micro_batch)
    chunks = [v for v in range(1, 13) if v == 1 or (divides(layers, pp, v) and micro >= pp)]
    jobs = [replace(job, layout=replace(job.layout, vpp=v)) for v in chunks]
    seconds = step(stack(jobs), fitted.coefficients).seconds
    return jobs[int(np.argmin(seconds))]
