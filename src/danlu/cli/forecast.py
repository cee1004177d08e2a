"""`danlu forecast`: what a ladder's target will give and cost."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.common.progress import Progress
from danlu.common.strict import from_mapping
from danlu.scaling.config import ForecastConfig
from danlu.training.config import TrainingConfig


@dataclass(frozen=True)
class Arguments:
    """Forecast the target of a ladder, and write forecast.json beside it; one that is there already is only shown.

    With --history, list every past verdict instead.
    """

    ladder: tyro.conf.Positional[Path | None] = None
    """The folder of a ladder (`danlu ladder`) or of a run; with --history, a folder of runs (by default runs)."""
    history: bool = False
    """List the verdicts of past runs, and how well their forecasts were calibrated."""
    tokens: Path | None = None
    """The folder of tokens that it was trained on, for bits per byte; a run has its own."""
    forecast: Annotated[ForecastConfig, tyro.conf.arg(name="")] = field(default_factory=ForecastConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "forecast")
    if arguments.history:
        _print_history(arguments.ladder or Path("runs"))
        return
    if arguments.ladder is None:
        raise DanluError("no ladder is named.", "Give its folder: danlu forecast RUN; or --history for past verdicts.")
    from danlu.pipeline.forecasting import forecast_target
    from danlu.pipeline.recipe import read_recipe
    from danlu.pipeline.words import forecast_lines
    from danlu.scaling.forecast import read_forecast, write_forecast
    from danlu.scaling.ladder_fit import fit_points
    from danlu.scaling.points import read_points
    from danlu.tokens.build import read_tokens_summary

    report, given = Progress(), arguments.ladder
    if not given.exists():
        raise DanluError(f"there is no folder {given}.", "`danlu run` and `danlu ladder` make one; check the path.")
    if not given.is_dir():
        raise DanluError(
            f"{given} is a file, not the folder of a ladder or a run.",
            f"What a table of runs promises says: danlu fit {given} --compute 1e21.",
        )
    path = given / "forecast.json"
    if path.exists():
        forecast = read_forecast(path)
        report(f"{path}, made {forecast.created}")
    else:
        in_run = (given / "recipe.toml").exists()
        ladder = given / "ladder" if in_run else given
        tokens = given / "tokens" if in_run else arguments.tokens
        fit = fit_points(read_points(ladder / "points.jsonl"), arguments.forecast)
        training = read_recipe(given / "recipe.toml").training if in_run else _training(ladder)
        size = read_tokens_summary(tokens).heldout_bytes_per_token if tokens else None
        forecast = forecast_target(fit, ladder, training, arguments.forecast, size, tokens=tokens)
        write_forecast(forecast, path, started=(given / "pretrain").exists())
        report(f"wrote {path}")
    for line in forecast_lines(forecast):
        report(f"  {line}")


def _print_history(folder: Path) -> None:
    """Past verdicts, one a line, and the calibration so far."""
    from danlu.pipeline.words import history_lines
    from danlu.scaling.history import find_verdicts

    refused: list[str] = []
    for line in history_lines(find_verdicts([folder], refused)):
        print(line)
    for cause in refused:
        print(f"left out: {cause}")


def _training(ladder: Path) -> TrainingConfig:
    """How a ladder was trained, as `danlu ladder` noted it."""
    path = ladder / "ladder.json"
    return from_mapping(TrainingConfig, read_json(path)["training"], str(path))
