"""What the forecast picture shows, gathered from the run's files."""

from dataclasses import dataclass

from danlu.report.outcome import Outcome, outcome
from danlu.report.reading import Record, RunFiles

_SHADES = 9
"""Colours of the scale from small to large models, `s0` to `s8` in figure.css."""


@dataclass(frozen=True)
class Dot:
    """An annealed point of a rung."""

    flops: float
    loss: float
    """Held-out (nats a token)."""
    tokens: float | None


@dataclass(frozen=True)
class Rung:
    """A model size of the ladder and its annealed points."""

    name: str
    params: float
    dots: tuple[Dot, ...]
    """Small compute first."""


@dataclass(frozen=True)
class BandPoint:
    """The law and its interval at one compute."""

    flops: float
    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Scene:
    """What the picture shows."""

    rungs: tuple[Rung, ...]
    """Small models first."""
    band: tuple[BandPoint, ...]
    """Small compute first; empty where the forecast brings none."""
    outcome: Outcome
    target_flops: float | None
    target_params: float | None
    target_tokens: float | None
    entropy: float | None
    """The source's true entropy (nats a token), where known."""
    entropy_is_bound: bool
    """Whether `entropy` is an upper bound only."""

    def __bool__(self) -> bool:
        return bool(self.rungs) or self.has_forecast

    @property
    def has_forecast(self) -> bool:
        """Whether there is a forecast and its place on the compute axis."""
        return self.target_flops is not None and bool(self.outcome.loss.forecast)

    @property
    def largest_flops(self) -> float | None:
        """The largest compute of the ladder."""
        return max((dot.flops for rung in self.rungs for dot in rung.dots), default=None)


def shade(index: int, total: int) -> str:
    """The colour class of the index-th smallest of `total` sizes."""
    return f"s{round(index * (_SHADES - 1) / max(total - 1, 1))}"


def scene(files: RunFiles) -> Scene:
    """Gather the picture. Points without a positive size, compute and loss have no place on it."""
    target = files.forecast.record("target")
    return Scene(
        rungs=_rungs(files.points),
        band=_band(files.forecast.records("band")),
        outcome=outcome(files),
        target_flops=_positive(target, "flops"),
        target_params=_positive(target, "params"),
        target_tokens=_positive(target, "tokens"),
        entropy=_positive(files.forecast, "entropy_nats_per_token"),
        entropy_is_bound=_entropy_is_bound(files),
    )


def _positive(record: Record, key: str) -> float | None:
    value = record.number(key)
    return value if value is not None and value > 0 else None


def _rungs(points: tuple[Record, ...]) -> tuple[Rung, ...]:
    dots: dict[str, list[Dot]] = {}
    params: dict[str, float] = {}
    for point in points:
        name = point.text("rung")
        size, flops, loss = (_positive(point, key) for key in ("params", "flops", "loss"))
        if name is not None and size is not None and flops is not None and loss is not None:
            dots.setdefault(name, []).append(Dot(flops, loss, _positive(point, "tokens")))
            params[name] = size
    names = sorted(dots, key=lambda name: params[name])
    return tuple(Rung(name, params[name], tuple(sorted(dots[name], key=lambda dot: dot.flops))) for name in names)


def _band(items: tuple[Record, ...]) -> tuple[BandPoint, ...]:
    band = []
    for item in items:
        flops, loss, low, high = (_positive(item, key) for key in ("flops", "loss", "low", "high"))
        if flops is not None and loss is not None and low is not None and high is not None:
            band.append(BandPoint(flops, loss, low, high))
    return tuple(sorted(band, key=lambda point: point.flops))


def _entropy_is_bound(files: RunFiles) -> bool:
    """Exact only where every source of the held-out text says so."""
    heldout = files.corpus.record("heldout")
    bounds = {heldout.text(name, "entropy_bound") for name, _ in heldout.items()}
    return bounds != {"exact"}
