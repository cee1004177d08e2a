"""`danlu run`: the whole road."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.parse import parse
from danlu.cli.summary import show_summary
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.pipeline.align_stages import what_would_take_it_further
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe, read_recipe, resolve
from danlu.pipeline.run import run
from danlu.pipeline.stage import Job, Stage
from danlu.pipeline.stages import road_to_assistant

_DESCRIPTION = """The whole road: text, tokens, a ladder of small models, a forecast, the target, the verdict.

danlu run                            the quickstart: offline, on this machine, in minutes
danlu run RECIPE.toml                a recipe (recipes/ has examples); flags override it
danlu run RUN                        a run folder: continue it
danlu run --data FILES... --budget 1e14flops|10min --out DIR

danlu run --data FILES... --demonstrations FILE --rankings FILE     on to an assistant

--data, --label, --demonstrations and --rankings are short for --corpus.data, --alignment.label and so on. The same
command again continues an interrupted run.
"""

_SHORT = {"--data": "--corpus.data"} | {
    f"--{name}": f"--alignment.{name}" for name in ("label", "demonstrations", "rankings")
}


@dataclass(frozen=True)
class Arguments:
    """Everything a recipe holds, and how to go about it."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    force: bool = False
    """Redo stages that were made from other settings; never a forecast whose training has begun."""


def main(words: list[str]) -> None:
    """Run the verb."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DanluError(
            "danlu run is one process, and torchrun started several.",
            "Run it without; one model trains on many processes with: torchrun ... -m danlu.cli.main pretrain ...",
        )
    base, name = _base(words[0]) if words and not words[0].startswith("-") else (Recipe(), None)
    flags = words[1:] if name else words
    arguments = parse(Arguments, flags, "run", Arguments(base), _DESCRIPTION, _SHORT)
    recipe = resolve(arguments.recipe, name or _name_of(arguments.recipe.corpus.data))
    folder = RunFolder(Path(recipe.out or f"runs/{recipe.name}"))
    run(road_of(recipe), recipe, folder, shlex.join(["danlu", "run", *words]), Progress(), force=arguments.force)
    show_summary(folder.path)
    if further := what_would_take_it_further(recipe):
        Progress()(further)


def _base(word: str) -> tuple[Recipe, str]:
    """The recipe that a file, or a run folder, holds; and what to call a run of it."""
    path = Path(word)
    if path.is_dir():
        recipe = read_recipe(path / "recipe.toml")
        return replace(recipe, out=str(path)), path.name
    return read_recipe(path), path.stem


def _name_of(data: tuple[str, ...]) -> str:
    """A run without a name is called after its data."""
    if data == ("toy",):
        return "quickstart"
    words = re.findall(r"\w+", Path(data[0].removeprefix("hf:")).name.split(".")[0])
    return "-".join(words) or "run"


def _report(job: Job) -> Mapping[str, object]:
    from danlu.report.page import write_report

    write_report(job.folder.path)
    return {}


def road_of(recipe: Recipe) -> tuple[Stage, ...]:
    """All stages of a recipe. The page is above the pipeline in the house, so its stage joins the road here."""
    stages = road_to_assistant(recipe)
    report = Stage(
        name="report",
        does="the whole run as one page",
        run=_report,
        outputs=("report.html", "forecast.svg"),
        settings=lambda recipe: {},
        needs=tuple(stage.name for stage in stages),
        writes="file",
        rewritable=True,
    )
    return (*stages, report)
