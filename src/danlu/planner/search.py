"""The best layout of a model on a cluster: every sensible one is priced at once, and the Pareto front kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from danlu.common.errors import DanluError
from danlu.planner.accelerator import GIB
from danlu.planner.cases import Array, Job, spread_layouts
from danlu.planner.coefficients import Calibration, calibration
from danlu.planner.layout import RECOMPUTE, Layout, Recompute, Sharding, divides
from danlu.planner.memory import fits, memory
from danlu.planner.shape import ModelShape
from danlu.planner.step import step

MICRO_BATCHES = (1, 2, 4, 8, 16)
MOST_CHIPS = 1_000_000
"""Chips of the largest cluster that is looked at."""
LONG_SEQUENCE = 16384
"""From this length on context parallelism is tried."""
BATCH_SLACK = 0.25
"""How far the batch may move from the wished one so that replicas divide it."""


@dataclass(frozen=True)
class Option:
    """One layout that fits, with what it takes."""

    layout: Layout
    batch: int
    """Sequences a step, the nearest to the wished number that the layout divides."""
    seconds: float
    tokens_per_second: float
    memory_bytes: float


@dataclass(frozen=True)
class Search:
    """What a search found."""

    tried: int
    """Layouts priced."""
    fitting: int
    """Of these, how many fit."""
    options: tuple[Option, ...]
    """Those that fit, fastest first; at most as many as were asked for."""
    front: tuple[Option, ...]
    """Those that no faster one undercuts in memory by a twentieth, fastest first."""
    thriftiest: Option
    """The layout that needs the least memory, fitting or not."""


def search_layouts(
    job: Job,
    chips: int,
    *,
    keep: int = 10,
    recompute: Recompute | None = None,
    same_batch: bool = False,
    given: Calibration | None = None,
) -> Search:
    """Price every layout of a job's model on so many chips.

    Args:
        job: model, chip, arithmetic, software, sequence length and the wished batch; its layout is ignored.
        keep: how many of the fastest to return.
        recompute: the only level of recomputation to try; all by default.
        same_batch: allow only layouts that divide the wished batch exactly.

    Raises:
        DanluError: no layout is possible at all (not a matter of memory).
    """
    fitted = given or calibration()
    grid = _grid(job, chips, recompute)
    grid = _with_batch(job, grid, same_batch)
    if not len(grid["tp"]):
        raise DanluError(
            f"no layout of {job.shape.name} on {chips} chips divides a batch of {job.batch} sequences.",
            "Give another number of chips (a multiple of 8) or a larger --batch-tokens.",
        )
    cases = spread_layouts(job, grid)
    need = memory(cases, fitted.memory)
    enough = fits(cases, fitted.memory, need)
    least = int(np.argmin(need.total))
    alone = {name: values[least : least + 1] for name, values in grid.items()}
    pace = step(spread_layouts(job, alone), fitted.coefficients).seconds
    thriftiest = _option(alone, 0, pace, alone["batch"] * job.seq_len / pace, need.total[least : least + 1])
    if not enough.any():
        return Search(len(grid["tp"]), 0, (), (), thriftiest)
    kept = {name: values[enough] for name, values in grid.items()}
    cases = spread_layouts(job, kept)
    seconds = step(cases, fitted.coefficients).seconds
    rate = kept["batch"] * job.seq_len / seconds
    memories = need.total[enough]
    order = np.lexsort((memories, -rate))
    options = [_option(kept, int(index), seconds, rate, memories) for index in order[:keep]]
    front = [_option(kept, index, seconds, rate, memories) for index in _front(rate, memories, order)]
    return Search(len(grid["tp"]), int(enough.sum()), tuple(options), tuple(front), thriftiest)


@dataclass(frozen=True)
class Scaled:
    """The fastest layout on a number of chips."""

    chips: int
    option: Option


def front_over_counts(job: Job, counts: Sequence[int], given: Calibration | None = None) -> tuple[Scaled, ...]:
    """The Pareto front of time, memory and number of chips: of every number's own front, what no other beats.

    One option beats another that takes no fewer chips, no less time and no less memory.
    """
    found = []
    for chips in sorted(set(counts)):
        try:
            search = search_layouts(job, chips, given=given)
        except DanluError:
            continue  # no layout divides the batch on this number
        found += [Scaled(chips, option) for option in search.front]

    def beaten(one: Scaled) -> bool:
        return any(
            other is not one
            and other.chips <= one.chips
            and other.option.tokens_per_second >= one.option.tokens_per_second
            and other.option.memory_bytes <= one.option.memory_bytes
            for other in found
        )

    return tuple(one for one in found if not beaten(one))


def cannot_fit(job: Job, chips: int, found: Search, given: Calibration | None = None) -> DanluError:
    """Why nothing fits, and how many chips would do."""
    most = (given or calibration()).memory.usable * job.accelerator.memory_bytes
    more, enough = chips, 0
    while not enough and 2 * more <= MOST_CHIPS:
        more *= 2
        wider = replace(job, batch=max(job.batch, more))
        enough = more if search_layouts(wider, more, keep=1, given=given).options else 0
    would = f"It fits on {enough:,} of these chips; or take" if enough else "No number of these chips holds it: take"
    return DanluError(
        f"{job.shape.name} does not fit on {chips:,} x {job.accelerator.name}: the thriftiest layout needs"
        f" {found.thriftiest.memory_bytes / GIB:.0f} GiB a chip and {most / GIB:.0f} GiB can be filled.",
        f"{would} chips with more memory, a smaller model, or shorter sequences.",
    )


def _divisors(number: int, most: int) -> list[int]:
    return [each for each in range(1, min(number, most) + 1) if number % each == 0]


def _grid(job: Job, chips: int, only: Recompute | None) -> dict[str, Array]:
    """Every combination of degrees that the model and the number of chips allow, as arrays (n,)."""
    shape, domain = job.shape, job.accelerator.domain
    tensor = [t for t in _divisors(chips, min(max(domain, 1), 16)) if shape.heads % t == 0 and t & (t - 1) == 0]
    context = [c for c in (1, 2, 4, 8, 16) if c == 1 or (job.seq_len >= LONG_SEQUENCE and job.seq_len % c == 0)]
    shardings = (0.0, 1.0, 3.0)
    levels = [float(RECOMPUTE.index(only))] if only else [0.0, 1.0, 1.5, 2.0]
    rows: list[tuple[float, ...]] = []
    for tp in tensor:
        for cp in context:
            if chips % (tp * cp):
                continue
            for pp in _divisors(chips // (tp * cp), min(shape.layers, 128)):
                dp = chips // (tp * cp * pp)
                experts = _expert_degrees(shape, tp * cp * dp)
                for vpp in _chunks(shape.layers, pp):
                    rows.extend((tp, cp, pp, dp, vpp, ep) for ep in experts)
    base = np.array(rows, dtype=float).reshape(-1, 6)
    stage, micro, level = np.meshgrid(shardings, MICRO_BATCHES, levels, indexing="ij")
    inner = np.stack([stage.ravel(), micro.ravel(), level.ravel()], axis=1)
    whole = np.concatenate([np.repeat(base, len(inner), axis=0), np.tile(inner, (len(base), 1))], axis=1)
    names = ("tp", "cp", "pp", "dp", "vpp", "ep", "sharding", "micro_batch", "recompute")
    grid = {name: whole[:, column] for column, name in enumerate(names)}
    # Weights are gathered for each micro-batch with full sharding, which a pipeline would repeat on every stage.
    sensible = (grid["sharding"] < 3) | (grid["pp"] == 1)
    alone = grid["dp"] * grid["cp"] == 1
    sensible &= np.where(alone, grid["sharding"] == 0, (grid["sharding"] > 0) | (shape.params() < 2e9))
    grid = {name: values[sensible] for name, values in grid.items()}
    grid["shard_group"] = grid["dp"]
    grid["expert_cut"] = np.where(grid["ep"] > 1, 1.0, grid["tp"])
    grid["sequence_parallel"] = np.full(len(grid["tp"]), float(job.software.sequence_parallel))
    return grid


def _expert_degrees(shape: ModelShape, ranks: int) -> list[int]:
    if not shape.moe:
        return [1]
    count = shape.moe.count
    return [e for e in (1, 2, 4, 8, 16, 32, 64, 128) if count % e == 0 and e <= ranks and ranks % e == 0]


def _chunks(layers: int, pp: int) -> list[int]:
    return [v for v in range(1, 13) if v == 1 or divides(layers, pp, v)]


def _with_batch(job: Job, grid: dict[str, Array], same: bool) -> dict[str, Array]:
    """The batch of each layout: the multiple of its replicas and micro-batch nearest to the wished one."""
    unit = grid["dp"] * grid["micro_batch"]
    batch = np.maximum(np.rint(job.batch / unit), 1.0) * unit
    slack = 1e-9 if same else BATCH_SLACK
    close = np.abs(batch - job.batch) <= slack * job.batch
    # An interleaved schedule wants the micro-batches in groups of the stages.
    close &= (grid["vpp"] == 1) | (batch / unit >= grid["pp"])
    kept = {name: values[close] for name, values in grid.items()}
    kept["batch"] = batch[close]
    return kept


def _front(rate: Array, memories: Array, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Indices of the options that no faster one undercuts in memory; `order` is fastest first."""
    lowest = np.minimum.accumulate(memories[order])
    better = np.concatenate([[True], lowest[1:] < 0.95 * lowest[:-1]])
    return [int(index) for index in order[better]]


def _option(grid: dict[str, Array], index: int, seconds: Array, rate: Array, memories: Array) -> Option:
    level = float(grid["recompute"][index])
    layout = Layout(
        tp=int(grid["tp"][index]),
        pp=int(grid["pp"][index]),
        vpp=int(grid["vpp"][index]),
        dp=int(grid["dp"][index]),
        cp=int(grid["cp"][index]),
        ep=int(grid["ep"][index]),
        sharding=cast(Sharding, int(grid["sharding"][index])),
        micro_batch=int(grid["micro_batch"][index]),
        recompute=RECOMPUTE[int(np.ceil(level))],
        recompute_share=level - 1 if level > 1 else 1.0,
        sequence_parallel=bool(grid["sequence_parallel"][index]),
    )
    return Option(layout, int(grid["batch"][index]), float(seconds[index]), float(rate[index]), float(memories[index]))
