"""The verdict: the forecast beside what was measured."""

from dataclasses import dataclass
from pathlib import Path

from danlu.common.errors import DanluError
from danlu.common.files import read_json, write_json
from danlu.common.strict import from_mapping, to_mapping
from danlu.scaling.forecast import Forecast, check_hash


@dataclass(frozen=True)
class Planned:
    """One quantity of the plan that a run began with, judged."""

    name: str
    """ladder_seconds, target_seconds, wall_seconds or memory_bytes."""
    planned: float
    low: float
    high: float
    """The plan with its interval."""
    measured: float
    relative_error: float
    """measured / planned - 1."""
    inside: bool
    """Whether the measured value lies in the interval."""

    @classmethod
    def judged(cls, name: str, planned: float, low: float, high: float, measured: float) -> "Planned":
        """Compare."""
        return cls(name, planned, low, high, measured, measured / planned - 1, low <= measured <= high)


@dataclass(frozen=True)
class Verdict:
    """A forecast judged; `verdict.json`. An error is measured / forecast - 1."""

    loss: float
    low: float
    high: float
    """The forecast held-out loss with its interval (nats per token)."""
    level: float
    """Probability that the interval was meant to hold the measured loss."""
    measured: float
    """The held-out loss that the run reached (nats per token)."""
    relative_error: float
    """Error of the loss."""
    inside: bool
    """Whether the measured loss lies in the interval."""
    seconds: float
    seconds_low: float
    seconds_high: float
    """The forecast training time with its interval (seconds)."""
    measured_seconds: float | None
    """The training time that the run took (seconds); None where not measured."""
    seconds_relative_error: float | None
    """Error of the time."""
    seconds_inside: bool | None
    """Whether the measured time lies in the interval."""
    memory_bytes: float | None
    memory_bytes_low: float | None
    memory_bytes_high: float | None
    """The forecast memory with its interval (bytes)."""
    measured_memory_bytes: float | None
    """The most memory that the run held (bytes)."""
    memory_relative_error: float | None
    """Error of the memory."""
    memory_inside: bool | None
    """Whether the measured memory lies in the interval."""
    forecast_created: str
    """When the forecast was made (ISO 8601)."""
    forecast_hash: str
    """The forecast's hash."""
    planned: tuple[Planned, ...] = ()
    """What the plan before the ladder had said; empty where there was none."""


def judge(
    forecast: Forecast,
    measured_loss: float,
    measured_seconds: float | None = None,
    measured_memory_bytes: float | None = None,
    planned: tuple[Planned, ...] = (),
) -> Verdict:
    """Compare a forecast with what was measured.

    Raises:
        DanluError: the forecast was changed after it was made.
    """
    if not check_hash(forecast):
        raise DanluError(
            "the forecast was changed after it was made: its hash no longer fits.",
            "Restore forecast.json as it was written; a changed forecast is not judged.",
        )
    return Verdict(
        loss=forecast.loss,
        low=forecast.low,
        high=forecast.high,
        level=forecast.level,
        measured=measured_loss,
        relative_error=measured_loss / forecast.loss - 1,
        inside=forecast.low <= measured_loss <= forecast.high,
        seconds=forecast.seconds,
        seconds_low=forecast.seconds_low,
        seconds_high=forecast.seconds_high,
        measured_seconds=measured_seconds,
        seconds_relative_error=_error(forecast.seconds, measured_seconds),
        seconds_inside=_inside(forecast.seconds_low, measured_seconds, forecast.seconds_high),
        memory_bytes=forecast.memory_bytes,
        memory_bytes_low=forecast.memory_bytes_low,
        memory_bytes_high=forecast.memory_bytes_high,
        measured_memory_bytes=measured_memory_bytes,
        memory_relative_error=_error(forecast.memory_bytes, measured_memory_bytes),
        memory_inside=_inside(forecast.memory_bytes_low, measured_memory_bytes, forecast.memory_bytes_high),
        forecast_created=forecast.created,
        forecast_hash=forecast.hash,
        planned=planned,
    )


def write_verdict(verdict: Verdict, path: Path) -> None:
    """Write `verdict.json`."""
    write_json(path, to_mapping(verdict))


def read_verdict(path: Path) -> Verdict:
    """Read `verdict.json`.

    Raises:
        DanluError: missing or damaged.
    """
    return from_mapping(Verdict, read_json(path), str(path))


def _error(forecast: float | None, measured: float | None) -> float | None:
    return None if forecast is None or measured is None else measured / forecast - 1


def _inside(low: float | None, measured: float | None, high: float | None) -> bool | None:
    return None if low is None or measured is None or high is None else low <= measured <= high
