"""What buyers can count on, for training and for inference apart: by the date of the rules, and by region."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from danlu.hardware.catalogue import Chip, all_chips
from danlu.planner.market import REGIONS, USES, Availability, Use, check_region, market
from danlu.planner.rules import all_rules

_RATES = ("bf16", "fp16")


@dataclass(frozen=True)
class Access:
    """What a region's buyers could count on, on one day, for one use."""

    open: int
    """Chips for sale without a licence that can do the work."""
    released: int
    """Chips released by that day, wherever they are sold."""
    foreign: int
    """Of the open ones, those of makers abroad."""
    fastest: str
    """The open chip with the highest dense 16-bit peak; empty where no open chip's peak is known."""
    flops: float
    """That peak (FLOP/s); 0 where unknown."""
    share: float
    """That peak over the fastest of all released chips."""
    proven: str
    """The open chip with the highest peak among those with a published run of that use; empty where there is none.

    Published runs are of training."""


@dataclass(frozen=True)
class DatedAccess:
    """One day, with what changed on it."""

    on: str
    """The day, ISO 8601."""
    rules: tuple[str, ...]
    """Keys of the rules that took effect that day; empty on the day before the first and on the day asked for."""
    by_use: dict[Use, Access]


def access_by_date(region: str, until: date) -> tuple[DatedAccess, ...]:
    """What a region could count on before the first rule, on the day each took effect, and on the last day asked for.

    Raises:
        DanluError: no such region.
    """
    region = check_region(region)
    changes: dict[date, list[str]] = {}
    for rule in all_rules():
        day = date.fromisoformat(rule.effective)
        if day <= until:
            changes.setdefault(day, []).append(rule.key)
    before = {min(changes) - timedelta(days=1)} if changes else set()
    days = sorted({*before, *changes, until})
    return tuple(DatedAccess(day.isoformat(), tuple(changes.get(day, ())), _by_use(region, day)) for day in days)


def access_by_region(on: date) -> dict[str, dict[Use, Access]]:
    """The same for every region, on one day."""
    return {region: _by_use(region, on) for region in REGIONS}


def _by_use(region: str, on: date) -> dict[Use, Access]:
    return {use: _access(region, on, market(region, on, use)) for use in USES}


def _access(region: str, on: date, found: Sequence[Availability]) -> Access:
    out = [chip for chip in all_chips() if not chip.announced_only and chip.released <= on.year]
    able = [each.chip for each in found if each.open]
    best = max(able, key=_peak, default=None)
    shown = max((each.chip for each in found if each.open and each.ability == "shown"), key=_peak, default=None)
    flops = _peak(best) if best else 0.0
    return Access(
        open=len(able),
        released=len(out),
        foreign=sum(chip.country.lower() != region for chip in able),
        fastest=best.name if best and flops else "",
        flops=flops,
        share=flops / max((_peak(chip) for chip in out), default=1.0),
        proven=shown.name if shown else "",
    )


def _peak(chip: Chip) -> float:
    return max((chip.peaks[name].value for name in _RATES if name in chip.peaks), default=0.0)
