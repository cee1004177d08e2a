"""`danlu label`: simulated labellers answer what waits for people in a store."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from danlu.alignment.labeller_config import LabellerConfig
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.common.progress import Progress


@dataclass(frozen=True)
class Arguments:
    """Rank what waits in a store of feedback, as people at its page would: a few simulated labellers who know the toy
    language's gold score and err. People rank at `danlu serve RUN`."""

    store: tyro.conf.Positional[Path]
    """A run folder whose --label is page, or a store itself (an SQLite file)."""
    export: Path | None = None
    """Write all rankings of the store to this file (.jsonl or .parquet)."""
    labeller: Annotated[LabellerConfig, tyro.conf.arg(name="")] = field(default_factory=LabellerConfig)


def main(words: list[str]) -> None:
    """Run the verb."""
    arguments = parse(Arguments, words, "label")
    path = arguments.store / "feedback.sqlite" if arguments.store.is_dir() else arguments.store
    if not path.is_file():
        raise DanluError(
            f"there is no store of feedback {path}.",
            "Run `danlu run RUN --alignment.label page` until it asks for rankings, or give the store's file.",
        )
    from danlu.alignment.labeller import SimulatedLabellers
    from danlu.feedback.desk import Desk
    from danlu.feedback.exchange import export_rankings

    report, desk = Progress(), Desk(path)
    try:
        labellers = SimulatedLabellers(arguments.labeller)
        before = desk.progress()
        report(f"{before.answers_wanted - before.answers:,} answers are wanted in {path}")
        for annotator in labellers.annotators:
            report(f"{annotator}: {labellers.work(desk, annotator):,} rankings")
        if arguments.export:
            written = export_rankings(desk.rankings(), arguments.export)
            report(f"wrote {arguments.export}: {written.rows:,} rankings")
    finally:
        desk.close()
