"""A ladder's forecast, with everything that goes into it put together."""

from pathlib import Path

from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.common.strict import from_mapping
from danlu.pipeline.memory import estimate_memory, rehearsed_memory
from danlu.scaling.allocation import allocate_target
from danlu.scaling.config import ForecastConfig
from danlu.scaling.design import LadderPlan
from danlu.scaling.forecast import Forecast, make_forecast
from danlu.scaling.health import health
from danlu.scaling.ladder_fit import Fit
from danlu.scaling.points import POINTS, read_points
from danlu.scaling.speed import measured_speed
from danlu.training.config import TrainingConfig
from danlu.training.dials import batch_tokens


def forecast_target(
    fit: Fit,
    ladder: Path,
    training: TrainingConfig,
    config: ForecastConfig,
    bytes_per_token: float | None = None,
    entropy: float | None = None,
    tokens: Path | None = None,
) -> Forecast:
    """Choose the target that a ladder was planned for, and forecast it.

    Time and memory are those of a few real steps of the target's own shape, on this machine, now.

    Args:
        fit: of the ladder's points.
        ladder: the ladder's folder, with its plan.
        training: how the target will be trained.
        bytes_per_token: of the held-out text.
        entropy: the source's entropy (nats a token), exact or a bound, to be shown beside the forecast.
        tokens: the folder that the target will be trained on, to time its batches too.
    """
    from danlu.evaluation.heldout import heldout_rehearsal
    from danlu.training.rehearsal import rehearse

    plan = read_plan(ladder)
    target = allocate_target(fit, plan, lambda tokens: batch_tokens(tokens, training))
    evaluate = heldout_rehearsal(tokens, plan.context) if tokens else None
    took = rehearse(target.model, target.batch_tokens, training, tokens=tokens, evaluate=evaluate)
    return make_forecast(
        fit,
        target,
        config,
        context=plan.context,
        memory=rehearsed_memory(took.peak_memory_bytes, estimate_memory(plan, target.model, training, ladder)),
        speed=measured_speed(took.step_seconds, target.batch_tokens, took.spread),
        bytes_per_token=bytes_per_token,
        entropy=entropy,
        notes=(*plan.warnings, *health(read_points(ladder / POINTS))),
    )


def read_plan(ladder: Path) -> LadderPlan:
    """The plan in a ladder's folder.

    Raises:
        DanluError: there is none, or it is damaged.
    """
    path = ladder / "plan.json"
    if not path.exists():
        raise DanluError(f"{ladder} holds no ladder: there is no {path.name}.", "Make one with `danlu ladder`.")
    return from_mapping(LadderPlan, read_json(path), str(path))
