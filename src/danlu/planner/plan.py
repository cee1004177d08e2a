"""A plan forwards: a model, its tokens and a cluster in; time, memory, money, energy and loss out, with a trace."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

from danlu.common.duration import format_count
from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip
from danlu.planner.accelerator import Accelerator, accelerator
from danlu.planner.cases import Job
from danlu.planner.currency import USD, Currency
from danlu.planner.energy import Site, carbon_tonnes, energy_kwh
from danlu.planner.layout import Layout, Recompute, check_layout
from danlu.planner.ledger import Ledger
from danlu.planner.loss import REPLICATION, LossLaw, Split, at
from danlu.planner.money import OTHER_TIME, owning_cost, rent_cost
from danlu.planner.plan_ledger import plan_ledger
from danlu.planner.precision import Precision
from danlu.planner.predict import Prediction, at_rate, least_recompute, predict
from danlu.planner.ranges import Range
from danlu.planner.schedule import LARGEST_BATCH, EndToEnd, Operations, end_to_end, without_stops
from danlu.planner.search import MOST_CHIPS, Option, Search, cannot_fit, search_layouts
from danlu.planner.shape import ModelShape
from danlu.planner.software import Software, software_for


@dataclass(frozen=True)
class Setting:
    """How a model is trained, apart from the model and the number of chips."""

    seq_len: int = 4096
    precision: Precision = field(default_factory=lambda: Precision("bf16"))
    framework: str = ""
    batch_tokens: float | None = None
    """Tokens a step; by default what `usual_batch` says."""
    layout: Layout | None = None
    """By default the fastest that fits."""
    recompute: Recompute | None = None
    """The only level to search; all by default."""
    on: date = field(default_factory=date.today)
    """Day of prices and rules."""
    site: Site = field(default_factory=Site)
    operations: Operations = field(default_factory=Operations)
    law: LossLaw = REPLICATION
    unique: float | None = None
    """Distinct tokens of text."""
    served: float = 0.0
    """Tokens to be served over the model's life."""
    prompt: int = 1024
    """Tokens of a request that a served model reads."""
    answer: int = 1024
    """Tokens that it then writes."""
    link_out: float | None = None
    """Bytes/s between nodes for one chip, in place of the catalogue's."""
    currency: Currency = USD
    """What money is shown in."""
    tflops: float | None = None
    """Sustained TFLOP/s of one chip over the whole run, 6 FLOPs a parameter and token counted: a measured or quoted
    rate in place of the step-time model and of the stops."""


@dataclass(frozen=True)
class Costs:
    """What a run costs; None where the catalogue lacks a figure, which `missing` then names."""

    rent: Range | None
    """USD."""
    owning: Range | None
    """USD: depreciation and electricity of chips of one's own."""
    energy_kwh: Range | None
    carbon_tonnes: Range | None
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything about one run on one kind of chip."""

    shape: ModelShape
    chip: Chip
    step: Prediction
    search: Search | None
    """None where the layout was given."""
    run: EndToEnd
    wall: Range
    """Seconds, with the step time's interval."""
    chip_hours: Range
    costs: Costs
    split: Split
    law: LossLaw
    on: date
    ledger: Ledger
    unique: float | None = None
    """Distinct tokens of text; None for as many as the run reads."""
    currency: Currency = USD
    """What its money is shown in; all figures are in US dollars."""

    @property
    def chips(self) -> int:
        """Chips it runs on."""
        return self.step.job.layout.chips

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know before trusting a figure: a chip or prices of another time, repeated text."""
        found = []
        if self.currency != USD:
            rate = f"{self.currency.per_usd:.6g} {self.currency.code} a US dollar, the rate that was given"
            found.append(f"money at {rate}; the catalogue's prices are in US dollars")
        if self.on.year < self.chip.released:
            found.append(f"{self.chip.name} was released in {self.chip.released}, after {self.on}")
        for name, cost in (("rent", self.costs.rent), ("price", self.costs.owning)):
            found += [f"{name}: {words}" for words in cost.sources if words.startswith(OTHER_TIME)] if cost else []
        if self.unique is not None and self.run.tokens > self.unique * 1.005:
            worth = self.law.worth(self.run.tokens, self.unique)
            found.append(
                f"{format_count(self.unique)} distinct tokens, {self.run.tokens / self.unique:.3g} times over: worth"
                f" {format_count(worth)} fresh ones"
            )
        return tuple(found)

    @property
    def front(self) -> tuple[Option, ...]:
        """The Pareto front of time and memory."""
        return self.search.front if self.search else ()


def usual_batch(flops: float, chips: int, seq_len: int) -> int:
    """Tokens a step for so much compute: 0.2920 C^0.3271 (DeepSeek-AI 2024, DeepSeek LLM, equation 1), at most
    `LARGEST_BATCH`, and at least one sequence a chip in eight."""
    wished = min(0.2920 * flops**0.3271, LARGEST_BATCH)
    return max(round(wished / seq_len), max(1, chips // 8)) * seq_len


def make_plan(shape: ModelShape, chip: Chip, chips: int, tokens: float, setting: Setting) -> Plan:
    """Plan one run.

    Raises:
        DanluError: it cannot be: no layout, no memory, or a figure that the catalogue lacks and the plan needs.
    """
    if chips < 1:
        raise DanluError(f"{chips} chips are none.", "Give --count 1 or more.")
    if chips > MOST_CHIPS:
        raise DanluError(
            f"the plan asks for {chips:,} x {chip.name}; no cluster has more than a million chips.",
            "Give a smaller --count or budget, or more --days.",
        )
    if tokens < setting.seq_len:
        raise DanluError(
            f"{tokens:g} tokens are less than one sequence of {setting.seq_len}.", "Write tokens as in 15T or 300B."
        )
    if shape.positions and setting.seq_len > shape.positions:
        raise DanluError(
            f"{shape.name} has learned positions for {shape.positions} tokens, not {setting.seq_len}.",
            f"Give --seq-len {shape.positions} or less.",
        )
    precision = setting.precision
    machine = accelerator(chip, precision, alone=chips == 1, link_out=setting.link_out or _unneeded(chip, chips))
    experts = shape.moe is not None
    software = software_for(setting.framework, chip.vendor, chip.released, precision.name, experts)
    job, search = _spread(shape, machine, software, chips, tokens, setting)
    step = predict(job)
    if setting.tflops is not None:
        step = at_rate(step, setting.tflops)
        run = without_stops(end_to_end(step, tokens, setting.operations))
    else:
        run = end_to_end(step, tokens, setting.operations)
    scale = Range(step.low / step.seconds, 1.0, step.high / step.seconds, ("80% interval of the step time",))
    wall = scale.times(run.wall_seconds)
    hours = scale.times(run.chip_hours)
    costs = cost_of(chip, hours, setting)
    split = at(setting.law, shape.params("active"), tokens, setting.unique, setting.served)
    ledger = plan_ledger(
        shape,
        chip,
        step,
        run,
        hours,
        {"rent": costs.rent, "owning": costs.owning, "energy": costs.energy_kwh, "carbon": costs.carbon_tonnes},
        split,
        setting.law,
        setting.operations,
        setting.tflops,
    )
    law, on = setting.law, setting.on
    return Plan(
        shape, chip, step, search, run, wall, hours, costs, split, law, on, ledger, setting.unique, setting.currency
    )


def _unneeded(chip: Chip, chips: int) -> float | None:
    """A bandwidth that cannot matter: no chip lies outside the domain."""
    inside = chip.domain_size.value if chip.domain_size else 1
    return float("inf") if chips <= inside and chip.link_out is None else None


def _spread(
    shape: ModelShape, machine: Accelerator, software: Software, chips: int, tokens: float, setting: Setting
) -> tuple[Job, Search | None]:
    seq_len = setting.seq_len
    if setting.batch_tokens is not None:
        batch = max(1, round(setting.batch_tokens / seq_len))
    else:
        batch = usual_batch(6 * shape.params("active") * tokens, chips, seq_len) // seq_len
    layout = setting.layout
    if layout is not None:
        replica = layout.dp * layout.micro_batch
        batch = max(1, round(batch / replica)) * replica if setting.batch_tokens is None else batch
        check_layout(layout, shape, chips, batch, seq_len)
        job = Job(shape, machine, setting.precision, software, layout, seq_len, batch)
        if setting.recompute is None:
            job = replace(job, layout=least_recompute(job))
        return job, None
    job = Job(shape, machine, setting.precision, software, Layout(), seq_len, batch)
    found = search_layouts(job, chips, recompute=setting.recompute)
    if not found.options:
        raise cannot_fit(job, chips, found)
    best = found.options[0]
    return replace(job, layout=best.layout, batch=best.batch), found


def cost_of(chip: Chip, hours: Range, setting: Setting) -> Costs:
    """Money, energy and carbon of chip-hours; what a missing figure prevents is named instead."""
    missing: list[str] = []

    def attempt(make: Callable[[], Range]) -> Range | None:
        try:
            return make()
        except DanluError as error:
            missing.append(f"{error.cause} {error.remedy}")
            return None

    rented = attempt(lambda: rent_cost(chip, hours, setting.on))
    owned = attempt(lambda: owning_cost(chip, hours, setting.on, site=setting.site))
    energy = attempt(lambda: energy_kwh(chip, hours, setting.site))
    carbon = carbon_tonnes(energy, setting.site) if energy else None
    return Costs(rented, owned, energy, carbon, tuple(dict.fromkeys(missing)))
