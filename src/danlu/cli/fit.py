"""`danlu fit`: a scaling law through a table of points."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.parse import parse
from danlu.common.progress import Progress
from danlu.scaling.config import ForecastConfig


@dataclass(frozen=True)
class Arguments:
    """Fit the laws of the loss to the points of a ladder."""

    points: tyro.conf.Positional[Path]
    """points.jsonl, or the folder of a ladder or a run that holds it."""
    entropy: float | None = None
    """Exact entropy of the source (nats a token), where it is known: no law goes below it."""
    json: Path | None = None
    """Write the fit to this file, as fit.json of a run."""
    forecast: Annotated[ForecastConfig, tyro.conf.arg(name="")] = field(default_factory=ForecastConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "fit")
    from danlu.scaling.ladder_fit import fit_points, write_fit
    from danlu.scaling.points import read_points

    report = Progress()
    points = read_points(points_file(arguments.points))
    fit = fit_points(points, arguments.forecast, entropy=arguments.entropy)
    report(f"{len(points)} points of {len({point.params for point in points})} sizes")
    for law in (fit.frontier, fit.surface, *fit.others):
        numbers = ", ".join(f"{name} = {value:.4g}" for name, value in law.parameters.items())
        worst = max(abs(residual) for residual in law.residuals)
        report(f"{law.law}: {law.formula}")
        report(f"  {numbers}; largest residual {worst:.2%}")
    report(f"one point's noise about the law: {fit.noise:.2%} of the loss")
    for warning in fit.warnings:
        report(warning)
    if arguments.json:
        write_fit(fit, arguments.json)
        report(f"wrote {arguments.json}")


def points_file(path: Path) -> Path:
    """The points that a path means: the file itself, or that of a ladder's or a run's folder."""
    for candidate in (path / "ladder" / "points.jsonl", path / "points.jsonl"):
        if candidate.exists():
            return candidate
    return path
