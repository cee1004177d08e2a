"""A run, read from top to bottom: look at what is there, say what will be done, do it."""

from collections.abc import Mapping, Sequence

from danlu.common.duration import format_count
from danlu.common.files import read_json
from danlu.common.progress import Progress
from danlu.hardware.machine import describe_machine
from danlu.hardware.speed import Speed, measure_speed
from danlu.pipeline.budget import EXPECTED_FRACTION, expected_seconds, format_rate, target_flops
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
        DanluError: another process is at work there; going on would lose work or rewrite a forecast; a stage failed.
    """
    with folder.locked():
        work = work_to_do(road, recipe, folder, force=force)
        if not work:
            report(f"{folder.path}: nothing to do, every stage is done and unchanged")
            return
        speed = (
            measure_speed(recipe.training.device, recipe.training.precision)
            if any(status.stage.costly for status in work.values())
            else None
        )
        write_recipe(recipe, folder.recipe)
        note_session(folder, command, recipe.seeds, speed)
        for line in announcement(recipe, folder, work, speed):
            report(line)
        walk(road, recipe, folder, report, force=force)


def announcement(recipe: Recipe, folder: RunFolder, work: Mapping[str, Status], speed: Speed | None) -> list[str]:
    """What will be done, what it will cost, how long it will take and where it is written."""
    lines = [f"{recipe.name}: {', '.join(work)}", f"writes to {folder.path}"]
    if speed is None:
        return lines
    target = (
        read_json(folder.budget)["flops"]
        if "budget" not in work
        else target_flops(recipe.duration, recipe.ladder, speed)
    )
    flops = target if "pretrain" in work else 0.0
    flops += target * recipe.ladder.share if "ladder" in work else 0.0
    machine = describe_machine()
    chips = ", ".join(str(chip["name"]) for chip in speed.accelerators) or f"{machine.processor}, {machine.cores} cores"
    return [
        *lines,
        f"{chips}: {speed.precision} matrix products at {format_rate(speed.peak)} (measured)",
        f"{format_count(flops)} FLOPs of training, ladder and target: about {expected_seconds(flops, speed)},"
        f" if {EXPECTED_FRACTION:.0%} of that speed is reached",
    ]
