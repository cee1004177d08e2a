"""The forecast and the verdict in a few lines for the terminal."""

from danlu.common.duration import format_count, format_seconds
from danlu.scaling.forecast import Forecast
from danlu.scaling.history import PastVerdict, calibration
from danlu.scaling.verdict import Verdict


def forecast_lines(forecast: Forecast) -> list[str]:
    """What the target will give and cost, and what to know about that."""
    target = forecast.target
    lines = [
        f"target: {format_count(target.params)} parameters, {format_count(target.tokens)} tokens"
        f" ({target.epochs:.2g} epochs), {format_count(target.flops)} FLOPs,"
        f" {forecast.extrapolation.C:.3g} times the largest rung's",
        f"loss {forecast.loss:.4f} nats a token, {forecast.level:.0%}: {forecast.low:.4f} to {forecast.high:.4f}",
        f"time {format_seconds(forecast.seconds)}, {format_seconds(forecast.seconds_low)}"
        f" to {format_seconds(forecast.seconds_high)}",
    ]
    if forecast.memory_bytes and forecast.memory_bytes_low and forecast.memory_bytes_high:
        low, middle, high = (
            f"{size / 1e9:.2f}"
            for size in (forecast.memory_bytes_low, forecast.memory_bytes, forecast.memory_bytes_high)
        )
        lines.append(f"memory {middle} GB, {low} to {high}")
    return [*lines, *map(str, forecast.warnings)]


def verdict_lines(verdict: Verdict) -> list[str]:
    """How right the forecast was."""
    inside = "inside" if verdict.inside else "outside"
    error = f"{verdict.relative_error:+.2%}, {inside} the interval"
    lines = [f"loss {verdict.measured:.4f} nats a token, forecast {verdict.loss:.4f}: {error}"]
    seconds, memory = verdict.measured_seconds, verdict.measured_memory_bytes
    if seconds is not None and verdict.seconds_relative_error is not None:
        took = f"{format_seconds(seconds)}, forecast {format_seconds(verdict.seconds)}"
        lines.append(f"time {took}: {verdict.seconds_relative_error:+.1%}")
    if memory is not None and verdict.memory_bytes is not None and verdict.memory_relative_error is not None:
        held = f"{memory / 1e9:.2f} GB, forecast {verdict.memory_bytes / 1e9:.2f}"
        lines.append(f"memory {held}: {verdict.memory_relative_error:+.1%}")
    if verdict.planned:
        judged = ", ".join(f"{each.name.replace('_', ' ')} {each.relative_error:+.1%}" for each in verdict.planned)
        lines.append(f"against the plan: {judged}")
    return lines


def history_lines(past: list[PastVerdict]) -> list[str]:
    """Every verdict in a line, and the running calibration."""
    width = max(len(each.run.name) for each in past)
    lines = [f"{'forecast made':<16}  {'run':<{width}}  forecast (interval)           measured    error"]
    for each in past:
        verdict = each.verdict
        told = f"{verdict.loss:.4f} ({verdict.low:.4f} to {verdict.high:.4f})"
        lines.append(
            f"{verdict.forecast_created[:16]:<16}  {each.run.name:<{width}}  {told:<28}  {verdict.measured:.4f}"
            f"  {verdict.relative_error:+8.2%}{'' if verdict.inside else '  outside'}"
        )
    found = calibration([each.verdict for each in past])
    lines.append(
        f"{found.inside} of {found.runs} inside, where {found.expected:.3g} were to be expected; mean error"
        f" {found.mean_absolute_error:.2%}, bias {found.bias:+.2%}"
    )
    if found.surprise < 0.05:
        lines.append(
            f"So few inside would happen by chance with a probability of {found.surprise:.2g}: the intervals are too"
            " narrow for runs like these; raise forecast.drift."
        )
    return lines
