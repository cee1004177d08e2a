"""`danlu align`: a run's alignment alone, in as many rounds as asked."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from danlu.alignment.road_config import AlignmentConfig
from danlu.cli.parse import parse
from danlu.cli.summary import show_summary
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe, read_recipe
from danlu.pipeline.run import run

_DESCRIPTION = """From a run's base model to an assistant: demonstrations, SFT, rankings, reward model, PPO, in rounds.

danlu align RUN --rounds 3           two more rounds for a run that had one: rank what it says now, learn from that
danlu align RUN --demonstrations FILE --rankings FILE

Every setting of the recipe's [alignment] is a flag here. The same command again continues.
"""


@dataclass(frozen=True)
class Arguments:
    """What is aligned, and how."""

    run: tyro.conf.Positional[Path]
    """A run folder whose base model is trained."""
    alignment: Annotated[AlignmentConfig, tyro.conf.arg(name="")]
    force: bool = False
    """Redo steps that were made from other settings."""


def main(words: list[str]) -> None:
    """Run the verb."""
    from danlu.cli.run import road_of

    recipe = _recipe_of(words)
    missing: Any = tyro.MISSING
    default = Arguments(missing, recipe.alignment)
    arguments = parse(Arguments, words, "align", default, _DESCRIPTION)
    recipe = replace(recipe, alignment=arguments.alignment)
    if not recipe.fine_tunes:
        raise DanluError(
            "there are no demonstrations of how an assistant answers.",
            "Give --demonstrations FILE, and --rankings FILE or --label page for the steps after SFT.",
        )
    folder = RunFolder(arguments.run)
    command = shlex.join(["danlu", "align", *words])
    run(road_of(recipe), recipe, folder, command, Progress(), force=arguments.force)
    show_summary(folder.path)


def _recipe_of(words: list[str]) -> Recipe:
    """The recipe of the run that is named first, whose settings are the flags' defaults."""
    if not words or any(word in ("-h", "--help") for word in words):
        return Recipe()  # tyro says what is missing, or shows the help
    if words[0].startswith("-"):
        raise DanluError("the run is named first.", f"danlu align RUN {shlex.join(words)}")
    path = Path(words[0])
    if not (path / "recipe.toml").is_file() or not (path / "pretrain" / "model" / "config.json").is_file():
        raise DanluError(
            f"{path} is no run with a trained base model.",
            "Make one with `danlu run`; on other model folders the steps work alone: danlu sft, reward, ppo.",
        )
    return read_recipe(path / "recipe.toml")
