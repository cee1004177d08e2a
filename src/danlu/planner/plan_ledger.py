"""The trace of a plan: every figure it prints, from its inputs up."""

from dataclasses import fields

from danlu.hardware.catalogue import Chip, Figure
from danlu.planner.accelerator import GIB
from danlu.planner.coefficients import calibration
from danlu.planner.ledger import Ledger
from danlu.planner.loss import LossLaw, Split
from danlu.planner.predict import Prediction
from danlu.planner.ranges import Range
from danlu.planner.schedule import EndToEnd, Operations
from danlu.planner.shape import ModelShape


def plan_ledger(
    shape: ModelShape,
    chip: Chip,
    step: Prediction,
    run: EndToEnd,
    hours: Range,
    money: dict[str, Range | None],
    split: Split,
    law: LossLaw,
    operations: Operations,
    tflops: float | None = None,
) -> Ledger:
    """Note every figure of a plan.

    Args:
        money: ranges by name (rent, owning, energy, carbon); None where unknown.
        tflops: the rate of one chip, where it was given.
    """
    book = Ledger()
    _inputs(book, shape, chip, step, run)
    _model(book, shape, step)
    _step(book, step, tflops)
    _memory(book, step)
    _run(book, run, operations)
    _money(book, hours, money)
    _loss(book, split, law)
    return book


def _inputs(book: Ledger, shape: ModelShape, chip: Chip, step: Prediction, run: EndToEnd) -> None:
    job, layout, machine = step.job, step.job.layout, step.job.accelerator
    book.leaf("tokens", run.tokens, "tokens", "given", "--tokens, or from the budget")
    book.leaf("chips", layout.chips, "chips", "given", "--count, or from the budget")
    book.leaf("sequence length", job.seq_len, "tokens", "given", "--seq-len")
    book.leaf("batch", job.batch, "sequences", "given", "--batch-tokens, or the usual batch of this compute")
    for name in ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab"):
        book.leaf(name, getattr(shape, name), "", "published", f"shape of {shape.name}")
    for name in ("tp", "pp", "vpp", "dp", "cp", "ep", "micro_batch", "sharding"):
        value = getattr(layout, name)
        book.leaf(name, value, "", "given", f"layout {layout.describe()} (given, or the fastest that fits)")
    for name, figure, scale, unit in (
        ("memory of the chip", chip.memory_bytes, GIB, "GiB"),
        ("memory bandwidth", chip.bandwidth, 1e9, "GB/s"),
        ("links inside a domain", chip.link_in, 1e9, "GB/s"),
        ("links between domains", chip.link_out, 1e9, "GB/s"),
        ("power of the chip", chip.power_watts, 1.0, "W"),
    ):
        if figure is not None:
            book.leaf(name, figure.value / scale, unit, "catalogue", _cited(figure))
    for name, peak, rate in (
        ("16-bit products", machine.wide_peak, machine.wide_rate),
        ("products of the linear layers", machine.narrow_peak, machine.narrow_rate),
    ):
        book.leaf(f"peak of {name}", peak / 1e12, "TFLOP/s", "catalogue", _peak_source(chip))
        inferred = [words for words in machine.assumed if "large" in words]
        how = "; ".join(inferred) or "measured, as the catalogue cites"
        book.leaf(f"rate of {name}", rate / 1e12, "TFLOP/s", "assumed" if inferred else "catalogue", how)
    fitted = calibration()
    for item in fields(fitted.coefficients):
        how = f"{item.metadata['words']}; fitted on published runs (calibration.json)"
        book.leaf(f"coefficient {item.name}", getattr(fitted.coefficients, item.name), "", "calibrated", how)
    for key, value in vars(fitted.memory).items():
        book.leaf(f"memory {key}", value, "", "calibrated", "fitted on published memory figures (calibration.json)")


def _model(book: Ledger, shape: ModelShape, step: Prediction) -> None:
    sizes = ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab")
    book.computed("parameters", shape.params(), "", "exact count of the shape", *sizes)
    book.computed("active parameters", shape.params("active"), "", "with the experts of one token only", *sizes)
    flops = step.model_flops / step.tokens
    book.computed(
        "FLOPs a token",
        flops,
        "FLOPs",
        "6 x parameters in products (active, head included) + causal attention",
        *sizes,
        "sequence length",
    )
    book.computed(
        "FLOPs of the run", flops * book["tokens"].value, "FLOPs", "FLOPs a token x tokens", "FLOPs a token", "tokens"
    )


def _step(book: Ledger, step: Prediction, tflops: float | None) -> None:
    layout = ("tp", "pp", "vpp", "dp", "cp", "ep", "micro_batch", "sharding")
    shape = ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "sequence length", "batch")
    machine = [name for name in ("memory bandwidth", "links inside a domain", "links between domains") if name in book]
    rates = ("rate of 16-bit products", "rate of products of the linear layers")
    fitted = [entry.name for entry in book.entries if entry.name.startswith("coefficient ")]
    how, by = "step-time model (planner/step.py)", []
    if tflops is not None:
        book.leaf("rate of a chip over the run", tflops, "TFLOP/s", "given", "--tflops, 6 x active parameters a token")
        how, by = "step-time model, scaled to the given rate", ["rate of a chip over the run"]
    for name, seconds in step.terms.items():
        book.computed(
            f"step: {name}",
            seconds,
            "s",
            how,
            *by,
            *shape,
            *layout,
            *rates,
            *machine,
            *fitted,
        )
    parts = [f"step: {name}" for name in step.terms]
    book.computed("step time", step.seconds, "s", "sum of its parts", *parts)
    for name, value in (("step time, low", step.low), ("step time, high", step.high)):
        book.computed(
            name, value, "s", "80% interval of measured over predicted, sources left out in turn", "step time"
        )
    rate = step.tokens_per_second
    book.computed(
        "tokens a second",
        rate,
        "tokens/s",
        "batch x sequence length / step time",
        "batch",
        "sequence length",
        "step time",
    )
    book.computed(
        "model FLOP/s a chip",
        step.flops_per_chip / 1e12,
        "TFLOP/s",
        "FLOPs a token x tokens a second / chips",
        "FLOPs a token",
        "tokens a second",
        "chips",
    )
    book.computed("MFU", step.mfu, "", "over the peak", "model FLOP/s a chip", "peak of products of the linear layers")


def _memory(book: Ledger, step: Prediction) -> None:
    inputs = (
        "layers",
        "hidden",
        "heads",
        "ffn",
        "vocab",
        "sequence length",
        "tp",
        "pp",
        "dp",
        "micro_batch",
        "sharding",
    )
    fitted = [entry.name for entry in book.entries if entry.name.startswith("memory ") and entry.origin == "calibrated"]
    for name, size in step.memory_parts.items():
        book.computed(f"memory: {name}", size / GIB, "GiB", "planner/memory.py", *inputs, *fitted)
    parts = [f"memory: {name}" for name in step.memory_parts]
    book.computed("memory a chip", step.memory_bytes / GIB, "GiB", "sum of its parts", *parts)


def _run(book: Ledger, run: EndToEnd, operations: Operations) -> None:
    for key, value in vars(operations).items():
        origin = "published" if key == "chip_hours_between_failures" else "assumed"
        how = (
            "Llama 3: 419 interruptions of 16,384 chips in 54 days" if origin == "published" else "planner/schedule.py"
        )
        book.leaf(f"operations {key}", value, "", "published" if origin == "published" else "assumed", how)
    given = [f"operations {key}" for key in vars(operations)]
    book.computed(
        "steady time", run.steady_seconds / 86400, "days", "tokens / tokens a second", "tokens", "tokens a second"
    )
    for name, seconds in (
        ("ramp-up", run.ramp_seconds),
        ("checkpoints", run.checkpoint_seconds),
        ("failures", run.failure_seconds),
        ("evaluation", run.evaluation_seconds),
    ):
        how = (
            "Young 1974: checkpoints every sqrt(2 d M)" if name in ("checkpoints", "failures") else "share of the time"
        )
        book.computed(name, seconds / 86400, "days", how, "steady time", "parameters", "chips", *given)
    book.computed(
        "wall time",
        run.wall_seconds / 86400,
        "days",
        "sum",
        "steady time",
        "ramp-up",
        "checkpoints",
        "failures",
        "evaluation",
    )
    book.computed("goodput", run.goodput, "", "steady time / wall time", "steady time", "wall time")
    book.computed("chip-hours", run.chip_hours, "h", "chips x wall time", "chips", "wall time")


def _money(book: Ledger, hours: Range, money: dict[str, Range | None]) -> None:
    book.computed("chip-hours, low", hours.low, "h", "with the step time's interval", "chip-hours", "step time, low")
    book.computed("chip-hours, high", hours.high, "h", "with the step time's interval", "chip-hours", "step time, high")
    for name, found in money.items():
        if found is None:
            continue
        unit = {"energy": "kWh", "carbon": "t CO2e"}.get(name, "USD")
        how = "; ".join(found.sources)
        under = ["chip-hours"] + [extra for extra in ("power of the chip",) if extra in book and name != "rent"]
        for end in ("low", "mid", "high"):
            label = name if end == "mid" else f"{name}, {end}"
            book.computed(label, getattr(found, end), unit, how, *under)


def _loss(book: Ledger, split: Split, law: LossLaw) -> None:
    for name in ("E", "A", "B", "alpha", "beta"):
        book.leaf(f"law {name}", getattr(law, name), "", "published", law.source)
    inputs = ("active parameters", "tokens", *(f"law {name}" for name in ("E", "A", "B", "alpha", "beta")))
    book.computed("expected loss", split.loss, "nats/token", "E + A/N^alpha + B/D^beta", *inputs)
    for end, value in (("low", split.low), ("high", split.high)):
        book.computed(
            f"expected loss, {end}", value, "nats/token", "80% interval of the law's forecasts", "expected loss"
        )


def _cited(figure: Figure) -> str:
    return f"{figure.source} (grade {figure.grade})"


def _peak_source(chip: Chip) -> str:
    return "; ".join(dict.fromkeys(_cited(figure) for figure in chip.peaks.values()))
