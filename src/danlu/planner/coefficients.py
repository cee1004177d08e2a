"""The few numbers that published runs teach the step-time model; each has a physical meaning and global reach."""

import json
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

from danlu.common.strict import from_mapping
from danlu.planner.memory_model import MemoryModel


def _number(start: float, low: float, high: float, words: str) -> float:
    return field(metadata={"start": start, "low": low, "high": high, "words": words})


@dataclass(frozen=True)
class Coefficients:
    """Global parameters of the step-time model. Bounds are physical; values come from `calibration.json`."""

    sustained: float = _number(
        0.85, 0.6, 1.0, "rate of products in training over the best measured rate: power, clocks"
    )
    traffic: float = _number(0.5, 0.05, 3.0, "share of a product's operand traffic that arithmetic does not hide")
    flash: float = _number(0.75, 0.3, 1.2, "rate of fused attention over the best rate of products, for wide heads")
    early: float = _number(0.6, 0.2, 1.0, "first-generation fused attention beside the chip's own kernel")
    portable: float = _number(0.6, 0.2, 1.0, "fused attention written for an older chip beside the chip's own kernel")
    flash_dim: float = _number(20.0, 1.0, 100.0, "head width at which fused attention loses half its rate")
    flash_len: float = _number(300.0, 10.0, 4000.0, "sequence length at which fused attention loses half its rate")
    softmax: float = _number(5.0, 3.0, 20.0, "passes over the score matrix where attention is not fused, forward")
    misaligned: float = _number(16.0, 1.0, 40.0, "cost of unfused attention whose heads are no multiple of 8 wide")
    elementwise: float = _number(1.5, 0.3, 4.0, "memory passes of norms, residuals, activations over a fused minimum")
    cast: float = _number(1.0, 0.05, 6.0, "passes that scale and cast the factors of 8-bit products")
    loss: float = _number(7.0, 1.0, 20.0, "32-bit passes over the logits, forward and backward")
    grouped: float = _number(0.8, 0.3, 1.0, "rate of the experts' grouped products over that of one product")
    permute: float = _number(8.0, 1.0, 40.0, "passes over routed tokens to sort and gather them, forward")
    launch: float = _number(1.0e-4, 1e-6, 2e-3, "seconds to launch one layer's kernels, forward")
    launch_moe: float = _number(3.0e-4, 1e-6, 3e-3, "further seconds for one layer with experts, forward")
    fused: float = _number(
        0.5, 0.2, 1.0, "memory passes, casts and launches of a tuned stack over those of a common one"
    )
    link_in: float = _number(0.6, 0.3, 1.0, "rate of collectives over the links inside a domain, of their nominal one")
    link_out: float = _number(0.6, 0.15, 1.0, "rate of collectives between domains, of the nominal one")
    latency_in: float = _number(1.5e-5, 1e-6, 1e-4, "seconds a collective inside a domain takes at least")
    latency_out: float = _number(3e-5, 1e-6, 4e-4, "seconds a hop of a collective between domains takes at least")
    tp_exposed: float = _number(0.8, 0.1, 1.0, "share of tensor parallel traffic that modern software leaves exposed")
    tp_tuned: float = _number(0.4, 0.05, 1.0, "the same where a tuned stack cuts products to overlap them")
    dp_exposed: float = _number(0.1, 0.01, 1.0, "share of gradient traffic that overlap never hides")
    fsdp_exposed: float = _number(0.2, 0.01, 1.0, "share of the traffic of sharded weights that overlap never hides")
    ep_exposed: float = _number(0.7, 0.1, 1.0, "share of expert parallel traffic that is exposed")
    ep_hidden: float = _number(0.25, 0.05, 1.0, "the same where another micro-batch hides it (DualPipe)")
    pp_exposed: float = _number(1.0, 0.1, 4.0, "cost of passing activations between stages over their bare transfer")
    accumulate: float = _number(0.7, 0.1, 3.0, "passes over a micro-batch's gradients to sum them, over the fewest")
    accumulate_deepspeed: float = _number(2.0, 1.0, 4.0, "the same with DeepSpeed of 2021-22 over others")
    optimizer: float = _number(1.0, 0.5, 6.0, "memory passes of the optimizer over its minimum")
    jitter: float = _number(0.005, 0.0005, 0.05, "share by which a doubling of the domains slows a step")
    fixed: float = _number(0.01, 0.001, 0.2, "seconds a step takes besides (data, norms, logs)")


def starts() -> Coefficients:
    """The values from which a fit begins."""
    return Coefficients(**{item.name: item.metadata["start"] for item in fields(Coefficients)})


@dataclass(frozen=True)
class Spread:
    """How far measured step times lie from predicted ones; standard deviations of the logarithm of their ratio."""

    source: float
    """Of a run whose time hangs on well-known coefficients alone: sources differ in software, clocks and care."""
    experts: float
    """What a mixture of experts adds beyond its coefficients' own uncertainty: software for it changes yearly."""
    hidden_layout: float
    """What a layout adds that is not told."""
    unfamiliar: float
    """What a chip adds that no fitted run used, and as much an arithmetic of 4 bits."""
    reach: float
    """Deviations to either end of the middle 80% of sources that no fit saw (for a normal distribution 1.28)."""
    covariance: tuple[tuple[float, ...], ...]
    """Of the coefficients' logarithms, in the order of `Coefficients`: small where many sources inform one, as wide as
    its bounds where none does."""


@dataclass(frozen=True)
class Calibration:
    """Fitted coefficients, how far the model errs with them, and where they come from."""

    coefficients: Coefficients
    memory: MemoryModel
    spread: Spread
    familiar: tuple[str, ...]
    """Chips whose runs the coefficients were fitted on."""
    provenance: dict[str, Any]
    """What was fitted on what, and the errors of the cross-validation."""


def calibration_from(data: dict[str, Any]) -> Calibration:
    """A calibration from its JSON form."""
    return from_mapping(Calibration, data, "calibration.json")


@cache
def calibration() -> Calibration:
    """The committed calibration."""
    return calibration_from(json.loads(files("danlu.planner").joinpath("calibration.json").read_text(encoding="utf-8")))
