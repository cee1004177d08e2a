"""Walking the road: which stages have work to do, which must not be redone, and the walk itself."""

from collections.abc import Sequence

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.stage import Stage, Status, carry_out, read_record, status

# The forecast is made before this stage; once it has begun, nothing that the forecast rests on may change.
_TRAINING = "pretrain"
_FORECAST = "forecast"


def work_to_do(road: Sequence[Stage], recipe: Recipe, folder: RunFolder, *, force: bool = False) -> dict[str, Status]:
    """The stages that are not up to date, by name, in order. Touches nothing.

    A stage before the training whose folder somebody removed (to free the disk) has nothing to do as long as everything
    that read it is done.

    Args:
        force: redo costly stages whose settings changed; quick ones are redone without it.

    Raises:
        DanluError: going on would lose costly work that nobody asked to redo, or rewrite a forecast.
    """
    standing = {stage.name: status(stage, recipe, folder, road) for stage in road}
    _refuse_to_lose(standing, road, folder, force)
    gone = _gone(standing, road)
    begun = _training_has_begun(road, folder)
    return {
        name: one
        for name, one in standing.items()
        if one.condition != "done" and name not in gone and not _kept(one, road, begun)
    }


def walk(road: Sequence[Stage], recipe: Recipe, folder: RunFolder, report: Progress, *, force: bool = False) -> None:
    """Do the work of every stage that has some, in order.

    Raises:
        DanluError: as `work_to_do`, or from a stage.
    """
    for stage in road:
        # Looked at again before each stage, because an earlier one may have come out differently.
        now = work_to_do(road, recipe, folder, force=force).get(stage.name)
        if now is None:
            report(f"{stage.name:<15}done before")
            continue
        for detail in now.details:
            report(f"{stage.name:<15}{detail}; made again")
        report(f"{stage.name:<15}{'continues: ' if now.condition == 'begun' else ''}{stage.does}")
        with report.indented():
            carry_out(stage, recipe, folder, road, report)


def _refuse_to_lose(standing: dict[str, Status], road: Sequence[Stage], folder: RunFolder, force: bool) -> None:
    begun = _training_has_begun(road, folder)
    forecast = standing.get(_FORECAST)
    if begun and forecast and forecast.condition in ("todo", "damaged"):
        raise DanluError(
            f"the forecast of {folder.path} is gone or damaged, and the training it was made for has begun.",
            f"Put {folder.forecast} back as it was, or start anew with another --out: a forecast is never rewritten.",
        )
    for one in standing.values():
        if one.condition == "damaged" and one.stage.costly:
            raise DanluError(
                f"{one.details[0]}.",
                f"Put it back, or delete {folder.path / one.stage.name} and run the same command again:"
                f" '{one.stage.name}' is then redone from its start.",
            )
    changed = [one for one in standing.values() if one.condition == "changed" and _rested_on(one.stage, road)]
    if not changed:
        _refuse_to_redo(standing, road, folder, force)
        return
    what = "; ".join(dict.fromkeys(detail for one in changed for detail in one.details))
    if begun:
        raise DanluError(
            f"the training in {folder.path} has begun under its forecast, and now something else is asked for: {what}.",
            "A forecast is never rewritten after that: choose another --out, or go back to what was asked before.",
        )
    affected = road[road.index(changed[0].stage) :]
    if not force and any(stage.costly and _holds_work(stage, folder) for stage in affected):
        raise DanluError(
            f"{folder.path} holds a run that something else was asked of: {what}.",
            f"Choose another --out, or add --force to redo this one from '{changed[0].stage.name}' on.",
        )


def _refuse_to_redo(standing: dict[str, Status], road: Sequence[Stage], folder: RunFolder, force: bool) -> None:
    """After the training, what is costly is redone only when asked; all that reads something redone is redone too."""
    affected: set[str] = set()
    reasons: list[str] = []
    for stage in road:
        one = standing[stage.name]
        if one.condition == "changed" or affected.intersection(stage.needs):
            affected.add(stage.name)
            reasons += one.details if one.condition == "changed" else ()
            if stage.costly and _holds_work(stage, folder) and not force:
                raise DanluError(
                    f"{folder.path} holds a run that something else was asked of: {'; '.join(dict.fromkeys(reasons))}.",
                    f"Choose another --out, or add --force to redo '{stage.name}' and what comes after it.",
                )


def _training_has_begun(road: Sequence[Stage], folder: RunFolder) -> bool:
    """Whether the target's training, or anything after it, has left a record."""
    return any(read_record(stage, folder) for stage in road[_place(_TRAINING, road) :])


def _holds_work(stage: Stage, folder: RunFolder) -> bool:
    """Whether a stage has left more than the note that it began."""
    path = folder.path / stage.name
    return path.is_dir() and any(file.name != "stage.json" for file in path.iterdir())


def _rested_on(stage: Stage, road: Sequence[Stage]) -> bool:
    """Whether the forecast or the training rests on this stage; what comes later is quickly and harmlessly redone."""
    return road.index(stage) <= _place(_TRAINING, road)


def _kept(one: Status, road: Sequence[Stage], begun: bool) -> bool:
    """Whether a stage made by an older version of the code stays as it is."""
    return one.condition == "outdated" and (one.stage.costly or (begun and _rested_on(one.stage, road)))


def _gone(standing: dict[str, Status], road: Sequence[Stage]) -> set[str]:
    """Stages whose record is gone, between stages that are done: nothing that is left to do reads them."""
    readers = {stage.name: [other.name for other in road if stage.name in other.needs] for stage in road}
    before_training = [stage for stage in road[: _place(_TRAINING, road)] if stage.name != _FORECAST]
    gone = {stage.name for stage in before_training if standing[stage.name].condition == "todo"}
    while True:
        settled = gone | {name for name, one in standing.items() if one.condition in ("done", "outdated")}
        needed = {
            stage.name
            for stage in before_training
            if stage.name in gone and not settled.issuperset((*stage.needs, *readers[stage.name]))
        }
        if not needed:
            return gone
        gone -= needed


def _place(name: str, road: Sequence[Stage]) -> int:
    return next(index for index, stage in enumerate(road) if stage.name == name)
