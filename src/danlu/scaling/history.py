"""Every past verdict under some folders, and how well the forecasts were calibrated so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from danlu.common.errors import DanluError
from danlu.scaling.verdict import Verdict, read_verdict

_RECORDS = "stages"
"""The folder of a run in which every stage notes what it did, the verdict's too, under the stage's name."""


@dataclass(frozen=True)
class PastVerdict:
    """A run that was forecast and judged."""

    run: Path
    """The run's folder."""
    verdict: Verdict


@dataclass(frozen=True)
class Calibration:
    """How forecasts of the loss did, over several runs."""

    runs: int
    inside: int
    """Runs whose measured loss lay in its interval."""
    expected: float
    """How many should have, by the intervals' own levels."""
    mean_absolute_error: float
    """Mean size of measured / forecast - 1."""
    bias: float
    """Mean of measured / forecast - 1: above 0 where forecasts were too low."""

    @property
    def surprise(self) -> float:
        """Probability of so few inside, or fewer, were the intervals what they say (binomial)."""
        share = self.expected / self.runs
        terms = (math.comb(self.runs, k) * share**k * (1 - share) ** (self.runs - k) for k in range(self.inside + 1))
        return min(1.0, math.fsum(terms))


def find_verdicts(folders: Sequence[Path], refused: list[str] | None = None) -> list[PastVerdict]:
    """The verdicts of the runs in some folders, first made first. A folder may be a run, or hold runs at any depth.

    Args:
        refused: grows by a sentence for each verdict that cannot be read (damaged, or of another version of danlu);
            where it is not given, one such is an error.

    Raises:
        DanluError: a folder does not exist, or there is no verdict, or one cannot be read.
    """
    paths: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise DanluError(f"there is no folder {folder}.", "Name a run, or a folder of runs such as runs/.")
        paths.update(path.resolve() for path in folder.rglob("verdict.json") if path.parent.name != _RECORDS)
    if not paths:
        where = ", ".join(str(folder) for folder in folders)
        raise DanluError(f"{where} holds no verdict yet.", "Finish a run first: danlu run.")
    found = []
    for path in sorted(paths):
        try:
            found.append(PastVerdict(path.parent, read_verdict(path)))
        except DanluError as error:
            if refused is None:
                raise
            refused.append(error.cause)
    if not found:
        raise DanluError(f"no verdict can be read: {(refused or [''])[0]}", "Run it again: danlu run with its folder.")
    return sorted(found, key=lambda past: past.verdict.forecast_created)


def calibration(verdicts: Sequence[Verdict]) -> Calibration:
    """How the forecasts of these runs did; at least one."""
    errors = [verdict.relative_error for verdict in verdicts]
    return Calibration(
        runs=len(verdicts),
        inside=sum(verdict.inside for verdict in verdicts),
        expected=math.fsum(verdict.level for verdict in verdicts),
        mean_absolute_error=math.fsum(map(abs, errors)) / len(errors),
        bias=math.fsum(errors) / len(errors),
    )
