"""What the trainings of a run would take on other chips, by the planner. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, find_chip
from danlu.model.config import ModelConfig
from danlu.planner.accelerator import accelerator
from danlu.planner.cases import Job
from danlu.planner.compare import usable_precision
from danlu.planner.layout import Layout
from danlu.planner.money import rent_cost
from danlu.planner.precision import Precision
from danlu.planner.predict import predict_all
from danlu.planner.ranges import Range
from danlu.planner.shape import ModelShape
from danlu.planner.software import software_for

CHIPS = (
    "RTX 4090",
    "A100 SXM 80GB",
    "H100 SXM 80GB",
    "H200 SXM",
    "B200 SXM",
    "MI300X",
    "Gaudi2",
    "TPU v5p",
    "Ascend 910B3",
    "MLU590",
    "MTT S4000",
)
"""One of each kind: a card of one's own, each maker's chips for data centres, and those made in China."""
_MICRO_BATCH_TOKENS = 65536


@dataclass(frozen=True)
class Elsewhere:
    """All trainings of the run on one chip of a kind, one after the other."""

    chip: str
    seconds: float | None
    seconds_low: float | None
    seconds_high: float | None
    """In training steps, with the planner's 80% interval (seconds); None where the catalogue lacks a figure."""
    mfu: float | None
    """Of the target: model FLOPs over the chip's peak."""
    usd_low: float | None
    usd: float | None
    usd_high: float | None
    """Rent on demand on the day of the plan (USD); None without a price."""
    fits: str
    """fits, tight or does not fit: the target's memory on the chip; empty where unknown."""
    why_not: str
    """The figure that is missing."""


def elsewhere(
    trainings: Sequence[tuple[ModelConfig, int, int]],
    context: int,
    on: date | None = None,
    chips: Sequence[str] = CHIPS,
) -> tuple[Elsewhere, ...]:
    """Predict the trainings on other chips, fastest first; those that cannot be predicted last, each with its reason.

    Args:
        trainings: shape, tokens a step and tokens of each, the target last.
        context: tokens a sequence.
        on: day of the prices; today by default.
        chips: names in the catalogue.
    """
    found = [_on(find_chip(name), trainings, context, on or date.today()) for name in chips]
    return tuple(sorted(found, key=lambda each: (each.seconds is None, each.seconds or 0.0)))


def shape_of(model: ModelConfig) -> ModelShape:
    """The model as the planner knows it; its parameters are the same number."""
    return ModelShape(
        name=f"width {model.hidden_size}",
        layers=model.num_hidden_layers,
        hidden=model.hidden_size,
        heads=model.num_attention_heads,
        kv_heads=model.num_key_value_heads,
        head_dim=model.head_dim,
        ffn=model.intermediate_size,
        vocab=model.vocab_size,
        tied=model.tie_word_embeddings,
        qk_norm=model.qk_norm,
        qkv_bias=model.attention_bias,
    )


def _on(chip: Chip, trainings: Sequence[tuple[ModelConfig, int, int]], context: int, on: date) -> Elsewhere:
    precision = usable_precision(chip, Precision("bf16"))
    try:
        machine = accelerator(chip, precision, alone=True, link_out=float("inf"))
    except DanluError as error:
        return Elsewhere(chip.name, None, None, None, None, None, None, None, "", error.cause)
    software = software_for("", chip.vendor, chip.released, precision.name)
    jobs = []
    for model, batch_tokens, _ in trainings:
        batch = max(1, batch_tokens // context)
        micro = max(n for n in range(1, batch + 1) if batch % n == 0 and n <= max(1, _MICRO_BATCH_TOKENS // context))
        layout = Layout(micro_batch=micro)
        jobs.append(Job(shape_of(model), machine, precision, software, layout, context, batch))
    steps = predict_all(jobs, [True] * len(jobs))
    amounts = [tokens / (job.batch * context) for job, (_, _, tokens) in zip(jobs, trainings, strict=True)]
    low, mid, high = (
        sum(getattr(step, end) * amount for step, amount in zip(steps, amounts, strict=True))
        for end in ("low", "seconds", "high")
    )
    try:
        usd: Range | None = rent_cost(chip, Range(low / 3600, mid / 3600, high / 3600), on)
    except DanluError:
        usd = None
    return Elsewhere(
        chip=chip.name,
        seconds=mid,
        seconds_low=low,
        seconds_high=high,
        mfu=steps[-1].mfu,
        usd_low=usd.low if usd else None,
        usd=usd.mid if usd else None,
        usd_high=usd.high if usd else None,
        fits=steps[-1].verdict,
        why_not="",
    )
