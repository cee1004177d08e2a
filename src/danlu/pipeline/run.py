"""A run, read from top to bottom: look at what is there, say what will be done, do it."""

from collections.abc import Mapping, Sequence

from danlu.common.duration import format_count
from danlu.common.files import read_json
from danlu.common.progress import Progress
from danlu.hardware.machine import describe_machine
from danlu.hardware.speed import Speed, measure_speed
from danlu.pipeline.budget import format_rate
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.manifest import note_session
from danlu.pipeline.recipe import Recipe, write_recipe
from danlu.pipeline.road import walk, work_to_do
from danlu.pipeline.stage import Stage, Status


def run(
    road: Sequence[Stage], recipe: Recipe, folder: RunFolder, command: str, report: Progress, *, force: bool = False
) -> None:
    """Bring the run in `folder` to where the recipe wants it; calling it again continues after any interruption.

    Args:
        recipe: resolved.
        command: the command line, for the manifest.
        force: redo stages that were made from other settings.

    Raises:
        DanluError: another process is at work there; going on would lose work or rewrite a forecast; a file that a
            stage will read is not there; a stage failed.
    """
    with folder.locked():
        work = work_to_do(road, recipe, folder, force=force)
        if not work:
            report(f"{folder.path}: nothing to do, every stage is done and unchanged")
            return
        for status in work.values():
            status.stage.check(recipe)
        report(f"{recipe.name}: {', '.join(work)}")
        report(f"writes to {folder.path}")
        costly = any(status.stage.costly for status in work.values())
        speed = measure_speed(recipe.training.device, recipe.training.precision) if costly else None
        write_recipe(recipe, folder.recipe)
        note_session(folder, command, recipe.seeds, speed)
        if speed:
            report(expectation(recipe, folder, work, speed))
        walk(road, recipe, folder, report, force=force)


def expectation(recipe: Recipe, folder: RunFolder, work: Mapping[str, Status], speed: Speed) -> str:
    """What the work will cost, in a sentence; how long that takes here, the stages `budget` and `plan` say."""
    machine = describe_machine()
    chips = ", ".join(str(chip["name"]) for chip in speed.accelerators) or f"{machine.processor}, {machine.cores} cores"
    words = "no pretraining is left"
    if "budget" in work or not folder.budget.exists():
        words = f"pretraining of at most {' or '.join(map(str, recipe.limits))}, and its ladder"
    elif flops := read_json(folder.budget)["flops"] * (("pretrain" in work) + recipe.ladder.share * ("ladder" in work)):
        words = f"{format_count(flops)} FLOPs of pretraining"
    return f"{words}: {chips}, {speed.precision} matrix products at {format_rate(speed.peak)} (measured)"
