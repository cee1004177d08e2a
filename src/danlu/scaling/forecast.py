"""The forecast of a training run: made, hashed and written before the run starts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from danlu.common.errors import DanluError
from danlu.common.files import read_json, sha256_json, write_json
from danlu.common.remark import Remark
from danlu.common.strict import from_mapping, to_mapping
from danlu.scaling.allocation import Target
from danlu.scaling.config import ForecastConfig
from danlu.scaling.design import FRESH_EPOCHS
from danlu.scaling.ladder_fit import Fit, fit_points, variables
from danlu.scaling.ladder_interval import Drift, Outlook, measure_drift, outlook, surfaces_of
from danlu.scaling.points import Point
from danlu.scaling.repetition import HALF_LIFE_RANGE
from danlu.scaling.speed import SpeedLaw, fit_speed
from danlu.scaling.surfaces import FORMULA

_BAND_PLACES = 33
_RESTLESS = 1.2
"""Times the expected drift from which a ladder's own is spoken of."""
_FAR = 30.0
"""Times the ladder's compute beyond which published forecasts were seen to fail without a rung on the way."""
_FED = 0.1
"""Share of the parameters that a text leaves unused from which it is said."""


@dataclass(frozen=True)
class Memory:
    """An estimate of the most memory that training holds at once."""

    bytes: float
    low: float
    high: float
    """Ends of its interval (bytes)."""


@dataclass(frozen=True)
class ForecastLaw:
    """The law that the forecast is read off."""

    name: str
    formula: str
    parameters: dict[str, float]
    """Unrounded; nats per token, N in parameters, D in effective tokens."""


@dataclass(frozen=True)
class BandPoint:
    """The law and its interval at one amount of compute."""

    flops: float
    """Training compute (FLOPs), attention included."""
    loss: float
    low: float
    high: float
    """Nats per token."""


@dataclass(frozen=True)
class Extrapolation:
    """How far the target lies beyond the ladder: its value over the ladder's largest."""

    C: float
    """Compute."""
    N: float
    """Parameters."""
    D_over_N: float
    """Tokens a parameter; 1 where the ladder has as many and as few."""


@dataclass(frozen=True)
class Repetition:
    """What passing over the same text again does to the forecast."""

    epochs: float
    """Passes over the text."""
    effective_tokens: float
    """Fresh tokens that the training tokens are worth (Muennighoff et al. 2023)."""
    nats: float
    """How much higher the loss is than with as many fresh tokens (nats per token)."""
    share: float
    """The same as a share of the loss."""
    spread: float
    """How far the forecast moves over the plausible worths of a repeated token (share of the loss, half-width)."""


@dataclass(frozen=True)
class Forecast:
    """What a run will give and cost; `forecast.json`."""

    loss: float
    """Held-out loss at the end (nats per token)."""
    low: float
    high: float
    """Ends of its interval (nats per token)."""
    level: float
    """Probability that each interval is meant to hold what is measured."""
    bits_per_byte: float | None
    bits_per_byte_low: float | None
    bits_per_byte_high: float | None
    """The loss in bits per byte of held-out text; None where its bytes are not known."""
    seconds: float
    seconds_low: float
    seconds_high: float
    """Training time (seconds)."""
    memory_bytes: float | None
    memory_bytes_low: float | None
    memory_bytes_high: float | None
    """Most memory that training holds at once (bytes); None where not estimated."""
    target: Target
    """The run."""
    law: ForecastLaw
    """The likeliest of the laws whose median it is."""
    frontier_loss: float
    """What the frontier over compute alone says instead (nats per token); a cross-check."""
    floor_free_loss: float
    """What a power law without a floor says (nats per token); the baseline."""
    speed: SpeedLaw
    """What the time is read off."""
    method: tuple[Remark, ...] | str
    """How loss and interval were made; files of older versions hold sentences."""
    noise: float
    """Standard deviation of a point about the law (share of the loss)."""
    extrapolation: Extrapolation
    """How far beyond the ladder the target lies."""
    drift: Drift
    """How the ladder's larger runs came out beside what the smaller ones said of them."""
    repetition: Repetition | None
    """What repeated text does; None where none is repeated."""
    band: tuple[BandPoint, ...]
    """The law and its interval from the smallest rung to the target, small compute first."""
    points: tuple[Point, ...]
    """The points it rests on."""
    warnings: tuple[Remark | str, ...]
    """What a reader should know; files of older versions hold sentences."""
    entropy_nats_per_token: float | None
    """The source's entropy, where known."""
    created: str
    """When it was made (ISO 8601, UTC)."""
    hash: str
    """SHA-256 of the canonical JSON of everything else."""


def make_forecast(
    fit: Fit,
    target: Target,
    config: ForecastConfig,
    *,
    context: int,
    memory: Memory | None = None,
    speed: SpeedLaw | None = None,
    bytes_per_token: float | None = None,
    entropy: float | None = None,
    notes: Sequence[Remark | str] = (),
    created: str | None = None,
) -> Forecast:
    """Forecast loss, time and memory of the target.

    The loss is the median of all surfaces over parameters and tokens that the points allow. Their constant is the
    source's entropy where that is known exactly.

    Args:
        context: tokens a sequence.
        memory: the caller's estimate.
        speed: of the target's own steps, timed; by default the law of the rungs' speeds.
        bytes_per_token: of the held-out text, for bits per byte.
        entropy: the source's entropy (nats per token) to be shown beside the forecast, exact or a bound.
        notes: what to put before the warnings, such as the plan's.
        created: the time; by default now.
    """
    worth = target.effective_tokens(fit.half_life)
    here = fit_points(
        fit.points,
        config,
        ratio=worth / target.effective_params,
        entropy=fit.entropy or None,
        half_life=fit.half_life,
        bytes_per_token=bytes_per_token,
    )
    drift = measure_drift(here, config)
    places = _places(here, target, worth)
    seen = outlook(here, places[:, 1], config, drift)
    repetition = _repetition(here, target, config)
    if repetition:
        seen = _widened(seen, repetition.spread)
    loss, low, high = (float(side[-1]) for side in (seen.loss, seen.low, seen.high))
    speed = speed or fit_speed(fit.points)
    seconds = speed.seconds(target.model.flops_per_token(context), target.tokens)
    at = {"N": np.array(target.effective_params), "D": np.array(worth), "C": places[-1, 1]}
    floor_free = next(other for other in here.others if other.law == "floor_free")
    per_byte = 1 / math.log(2) / bytes_per_token if bytes_per_token else None
    forecast = Forecast(
        loss=loss,
        low=low,
        high=high,
        level=config.level,
        bits_per_byte=per_byte and loss * per_byte,
        bits_per_byte_low=per_byte and low * per_byte,
        bits_per_byte_high=per_byte and high * per_byte,
        seconds=seconds,
        seconds_low=seconds * math.exp(-speed.spread),
        seconds_high=seconds * math.exp(speed.spread),
        memory_bytes=float(memory.bytes) if memory else None,
        memory_bytes_low=float(memory.low) if memory else None,
        memory_bytes_high=float(memory.high) if memory else None,
        target=target,
        law=ForecastLaw("joint_surface", FORMULA, surfaces_of(here, config).best()),
        frontier_loss=float(here.frontier.predict(at)),
        floor_free_loss=float(floor_free.predict(at)),
        speed=speed,
        method=_method(here, config, drift),
        noise=here.noise,
        extrapolation=_extrapolation(fit.points, target),
        drift=drift,
        repetition=repetition,
        band=tuple(
            BandPoint(*(float(x) for x in row))
            for row in zip(places[:, 0], seen.loss, seen.low, seen.high, strict=True)
        ),
        points=fit.points,
        warnings=(*notes, *here.warnings, *_warnings(fit.points, target, drift, config, repetition)),
        entropy_nats_per_token=entropy,
        created=created or datetime.now(UTC).isoformat(timespec="seconds"),
        hash="",
    )
    return replace(forecast, hash=_hash(forecast))


def write_forecast(forecast: Forecast, path: Path, *, started: bool) -> None:
    """Write `forecast.json`.

    Args:
        started: whether the training it is for has begun; then a forecast is no longer one.

    Raises:
        DanluError: training has begun.
    """
    if started:
        raise DanluError(
            f"the training that {path} forecasts has begun; a forecast made now would be hindsight.",
            "Keep the forecast that is there, or start a new run.",
        )
    write_json(path, to_mapping(forecast))


def read_forecast(path: Path) -> Forecast:
    """Read `forecast.json`.

    Raises:
        DanluError: missing, damaged, or changed since it was made.
    """
    forecast = from_mapping(Forecast, read_json(path), str(path))
    if not check_hash(forecast):
        raise DanluError(
            f"{path} was changed after it was made: its hash no longer fits.",
            "Restore the file as it was written, or start a new run.",
        )
    return forecast


def check_hash(forecast: Forecast) -> bool:
    """Whether the forecast is as it was made."""
    return forecast.hash == _hash(forecast)


def _hash(forecast: Forecast) -> str:
    content = to_mapping(forecast)
    del content["hash"]
    return sha256_json(content)


def _places(fit: Fit, target: Target, worth: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rows of training FLOPs and 6 N D from the smallest point to the target, evenly spaced in logs.

    FLOPs exceed 6 N D by attention's share, which is larger the smaller the model; between sizes it is interpolated.
    """
    points, used = variables(fit.points, fit.half_life), target.effective_params
    sizes = {n: point.flops / point.tokens / (6.0 * n) for n, point in zip(points["N"], fit.points, strict=True)}
    sizes[used] = target.flops / target.tokens / (6.0 * used)
    known = np.array(sorted(sizes.items()))
    compute = np.geomspace(points["C"].min(), 6.0 * used * worth, _BAND_PLACES)
    factor = np.interp(np.log(np.sqrt(compute / 6.0 / fit.ratio)), np.log(known[:, 0]), known[:, 1])
    flops = compute * factor
    flops[-1] = target.flops
    return np.stack([flops, compute], axis=1)


def _widened(seen: Outlook, spread: float) -> Outlook:
    """The interval with one more independent source of error in it."""
    low = seen.loss * np.exp(-np.hypot(np.log(seen.loss / seen.low), spread))
    return Outlook(seen.loss, low, seen.loss * np.exp(np.hypot(np.log(seen.high / seen.loss), spread)))


def _repetition(fit: Fit, target: Target, config: ForecastConfig) -> Repetition | None:
    if target.unique_tokens is None or target.tokens <= target.unique_tokens:
        return None
    worth = target.effective_tokens(fit.half_life)
    params = np.array(target.effective_params)
    repeated = float(fit.surface.predict({"N": params, "D": np.array(worth)}))
    fresh = float(fit.surface.predict({"N": params, "D": np.array(float(target.tokens))}))
    # Rungs that repeat their text as the target does bring the effect with them; then these hardly differ.
    logs = []
    for half_life in (fit.half_life, *HALF_LIFE_RANGE):
        tokens = target.effective_tokens(half_life)
        other = fit_points(
            fit.points,
            config,
            ratio=tokens / target.effective_params,
            entropy=fit.entropy or None,
            half_life=half_life,
        )
        logs.append(math.log(float(other.surface.predict({"N": params, "D": np.array(tokens)}))))
    return Repetition(
        epochs=target.epochs,
        effective_tokens=worth,
        nats=repeated - fresh,
        share=repeated / fresh - 1,
        spread=max(abs(value - logs[0]) for value in logs),
    )


def _extrapolation(points: Sequence[Point], target: Target) -> Extrapolation:
    ratios = [point.tokens / point.params for point in points]
    ratio = target.tokens / target.params
    return Extrapolation(
        C=target.flops / max(point.flops for point in points),
        N=target.params / max(point.params for point in points),
        D_over_N=max(1.0, ratio / max(ratios), min(ratios) / ratio),
    )


def _method(fit: Fit, config: ForecastConfig, drift: Drift) -> tuple[Remark, ...]:
    sizes = len({point.params for point in fit.points})
    floor, low, high = (float(x) for x in surfaces_of(fit, config, free=True).floors((0.5, 0.05, 0.95)))
    interval = {"level": config.level, "noise": fit.noise, "drift": 100 * drift.half_width(config.level)}
    return (
        Remark.of("method.surfaces", formula=FORMULA, points=len(fit.points), sizes=sizes),
        Remark.of("method.floor_known", entropy=fit.entropy, floor=floor, low=low, high=high)
        if fit.entropy
        else Remark.of("method.floor", floor=floor, low=low, high=high),
        Remark.of("method.interval_tested", **interval, tests=len(drift.tests))
        if drift.tests
        else Remark.of("method.interval", **interval),
    )


def _warnings(
    points: Sequence[Point], target: Target, drift: Drift, config: ForecastConfig, repetition: Repetition | None
) -> list[Remark]:
    found = []
    reach = _extrapolation(points, target)
    if reach.C > _FAR:
        found.append(Remark.of("forecast.far", reach=reach.C, far=_FAR))
    if reach.D_over_N > 1.02:
        found.append(Remark.of("forecast.ratio", ratio=target.tokens / target.params))
    used = target.effective_params
    if used < target.params * (1 - _FED):
        assert target.unique_tokens is not None
        found.append(Remark.of("forecast.fed", unique=target.unique_tokens, params=target.params, used=used))
    if drift.rate > _RESTLESS * config.drift:
        worst = max(drift.tests, key=lambda test: abs(test.error))
        found.append(
            Remark.of(
                "forecast.restless",
                rate=drift.rate,
                rung=worst.rung,
                tokens=worst.tokens,
                forecast=worst.forecast,
                measured=worst.measured,
            )
        )
    if repetition:
        found.append(
            Remark.of(
                "forecast.repeated" if repetition.epochs <= FRESH_EPOCHS else "forecast.repeated_often",
                epochs=repetition.epochs,
                tokens=target.tokens,
                fresh=repetition.effective_tokens,
                nats=repetition.nats,
                share=repetition.share,
            )
        )
    return found
