"""What the step-time model needs to know of a chip, taken from its catalogue entry; what is inferred is named."""

import math
from dataclasses import dataclass
from functools import cache

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, all_chips
from danlu.planner.precision import Precision
from danlu.planner.ranges import quantile

GIB = 2.0**30


@dataclass(frozen=True)
class Accelerator:
    """One chip in one arithmetic, in SI units."""

    name: str
    vendor: str
    released: int
    wide_peak: float
    """Dense peak of 16-bit matrix products (FLOP/s); of 32-bit ones where the arithmetic is fp32."""
    wide_rate: float
    """The best rate that large 16-bit products reach (FLOP/s)."""
    narrow_peak: float
    """Dense peak of the linear layers' arithmetic (FLOP/s): the 16-bit one, or that of fp8 or fp4."""
    narrow_rate: float
    """The best rate that the linear layers' products reach (FLOP/s)."""
    memory_bytes: float
    bandwidth: float
    """Bytes/s between the chip and its memory."""
    link_in: float
    """Bytes/s in one direction inside a domain."""
    domain: int
    """Chips in one domain of fast links."""
    link_out: float
    """Bytes/s in one direction between domains, for one chip."""
    power_watts: float | None
    assumed: tuple[str, ...] = ()
    """Figures that no source gives and that were inferred, with how."""


def accelerator(
    chip: Chip,
    precision: Precision,
    *,
    alone: bool = False,
    link_out: float | None = None,
    memory_bytes: float | None = None,
    power_watts: float | None = None,
    infer: bool = False,
) -> Accelerator:
    """The figures of a chip in an arithmetic.

    Args:
        alone: the plan stays inside one chip, so that no link matters.
        link_out: bytes/s between domains for one chip, where the user knows them.
        memory_bytes: device memory, where the user's variant differs.
        power_watts: the variant's power limit, where it is below the catalogue's: clocks, and so the rates, go with the
            square root of power (dynamic power is clock times voltage squared, and voltage follows the clock).
        infer: put the median of the catalogue where a link is unknown, and say so, instead of an error.

    Raises:
        DanluError: the catalogue lacks a figure that the plan needs; the error says how to give it.
    """
    assumed: list[str] = []
    wide_name = _wide(chip, precision)
    wide_peak = chip.peak(wide_name)
    wide_rate = _rate(chip, wide_name, wide_peak, assumed)
    narrow_peak, narrow_rate = wide_peak, wide_rate
    if precision.bits < 16:
        name = "fp8" if precision.bits == 8 else "fp4"
        narrow_peak = chip.peak(name)
        narrow_rate = _rate(chip, name, narrow_peak, assumed)
    if power_watts and chip.power_watts and power_watts < chip.power_watts.value:
        slower = math.sqrt(power_watts / chip.power_watts.value)
        wide_rate, narrow_rate = wide_rate * slower, narrow_rate * slower
        assumed.append(f"rates times {slower:.2f} for {power_watts:g} of {chip.power_watts.value:g} W")
    domain = int(chip.domain_size.value) if chip.domain_size else 1
    link_in = _link(chip, "link_in", needed=not alone and domain > 1, infer=infer, assumed=assumed)
    if link_out is None:
        link_out = _link(chip, "link_out", needed=not alone, infer=infer, assumed=assumed)
    return Accelerator(
        name=chip.name,
        vendor=chip.vendor,
        released=chip.released,
        wide_peak=wide_peak,
        wide_rate=wide_rate,
        narrow_peak=narrow_peak,
        narrow_rate=narrow_rate,
        memory_bytes=memory_bytes or chip.require("memory_bytes"),
        bandwidth=chip.require("bandwidth"),
        link_in=link_in,
        domain=domain,
        link_out=link_out,
        power_watts=chip.power_watts.value if chip.power_watts else None,
        assumed=tuple(assumed),
    )


def _wide(chip: Chip, precision: Precision) -> str:
    if precision.bits == 32:
        return "fp32"
    if precision.name == "fp16" and "fp16" in chip.peaks:
        return "fp16"
    return "bf16" if "bf16" in chip.peaks or "fp16" not in chip.peaks else "fp16"


def _rate(chip: Chip, name: str, peak: float, assumed: list[str]) -> float:
    """The measured rate of large products, or the peak times the share that the vendor's measured chips reach."""
    for measured in (name, {"bf16": "fp16", "fp16": "bf16"}.get(name, name)):
        if measured in chip.measured:
            return min(chip.measured[measured].value, peak)
    share, who = _share(chip.vendor, chip.released, name)
    assumed.append(f"large {name} products reach {share:.0%} of the peak on {chip.name}: {who}")
    return share * peak


_MATRIX_ENGINES = ("Google", "Huawei", "Intel", "AWS")
"""Vendors whose chips multiply in few large systolic arrays at a fixed clock, which come nearer to their peak than
chips of many small units under a power limit."""


@cache
def _share(vendor: str, released: int, name: str) -> tuple[float, str]:
    """Measured rate over peak: of the vendor's chips nearest in time, of the vendor's, or of all."""
    names = ("bf16", "fp16") if name in ("bf16", "fp16") else (name,)
    shares = [
        (chip.vendor, abs(chip.released - released), chip.measured[each].value / chip.peaks[each].value)
        for chip in all_chips()
        for each in names
        if each in chip.measured and each in chip.peaks
    ]
    own = sorted((distance, share) for maker, distance, share in shares if maker == vendor)
    if own:
        nearest = [share for distance, share in own if distance == own[0][0]]
        return quantile(nearest, 0.5), f"median of {vendor}'s measured chips nearest in time"
    if vendor in _MATRIX_ENGINES:
        kin = [share for maker, _, share in shares if maker in _MATRIX_ENGINES]
        if kin:
            return quantile(kin, 0.5), "median of the measured chips with large matrix engines"
    if shares:
        return quantile([share for *_, share in shares], 0.5), "median of all measured chips"
    return 0.75, "nothing measured"


def _link(chip: Chip, name: str, *, needed: bool, infer: bool, assumed: list[str]) -> float:
    figure = chip.link_in if name == "link_in" else chip.link_out
    if figure is not None:
        return figure.value
    if not needed:
        return float("inf")
    if not infer:
        return chip.require(name)
    if name == "link_out" and chip.link_in is not None and chip.domain_size is None:
        return chip.link_in.value
    known = [getattr(each, name).value for each in all_chips() if getattr(each, name) is not None]
    if not known:
        raise DanluError(f"no chip of the catalogue has {name}.", "Give it in a TOML file.")
    value = quantile(known, 0.5)
    assumed.append(f"{name} of {chip.name} is unpublished: {value / 1e9:.3g} GB/s, the median of the catalogue")
    return value
