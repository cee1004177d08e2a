"""Having completions ranked: by simulated labellers at once, or by people at a page, whose work is waited for."""

from collections.abc import Sequence
from pathlib import Path

from danlu.alignment.labeller import PeopleAtADesk
from danlu.alignment.labeller_config import LabellerConfig
from danlu.alignment.rank import simulated_labellers
from danlu.alignment.road_config import Label
from danlu.common.errors import DanluError
from danlu.feedback.desk import Desk
from danlu.feedback.records import Ranking
from danlu.feedback.tasks import Task


def label(tasks: Sequence[Task], by: Label, labeller: LabellerConfig, store: Path, run: Path) -> list[Ranking]:
    """Rankings of all tasks.

    Args:
        by: `simulated` or `page`.
        store: of the annotation page; used where people rank.
        run: the run folder, for what to type next.

    Raises:
        DanluError: people have not ranked everything yet. The tasks wait in the store, and what was ranked stays there.
    """
    if by == "simulated":
        return list(simulated_labellers(labeller, tasks).rankings(tasks))
    desk = Desk(store)
    try:
        rankings = list(PeopleAtADesk(desk).rankings(tasks))
        progress = desk.progress()
    finally:
        desk.close()
    ranked = {(ranking.prompt, ranking.completions) for ranking in rankings}
    open_tasks = sum((task.prompt, task.completions) not in ranked for task in tasks)
    if open_tasks > progress.given_up:
        raise DanluError(
            f"{len(tasks) - open_tasks} of {len(tasks)} prompts are ranked; the others wait for people in {store}.",
            f"Rank them at `danlu serve {run}` (or try simulated labellers with `danlu label {run}`), then run the same"
            " command again.",
        )
    return rankings
