"""`danlu label`: simulated labellers answer what waits for people in a store; what is in it is exported."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from danlu.alignment.labeller_config import LabellerConfig
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.feedback.formats import ExportFormat, FileKind, Style
from danlu.pipeline.folder import RunFolder


@dataclass(frozen=True)
class Arguments:
    """Rank what waits in a store of feedback, as people at its page would: a few simulated labellers who know the toy
    language's gold score and err. People rank at `danlu serve RUN`; `danlu label export RUN` writes what they said."""

    store: tyro.conf.Positional[Path]
    """A run folder whose --label is page, or a store itself (an SQLite file)."""
    labeller: Annotated[LabellerConfig, tyro.conf.arg(name="")] = field(default_factory=LabellerConfig)


@dataclass(frozen=True)
class ExportArguments:
    """Write what people said in a format that others train on, with a manifest beside it; the annotation page gives the
    same bytes."""

    store: tyro.conf.Positional[str]
    """A run folder, a store itself (an SQLite file), or a postgresql:// URL."""
    out: tyro.conf.Positional[Path | None] = None
    """The file: .jsonl, .parquet or, of all formats, .zip; by default named after the format, in this folder."""
    format: ExportFormat | Literal["all"] = "rankings"
    """`rankings` and `demonstrations` are our own and hold everything; preference, prompt-completion, messages and
    unpaired (thumbs) are TRL's; all of which there is something go into one zip file."""
    file: FileKind = "jsonl"
    """Kind of file, where the name does not say it."""
    style: Style = "conversation"
    """Whether TRL's prompts and completions are messages or plain strings."""
    flagged: bool = False
    """Also what somebody flagged."""


def main(words: list[str]) -> None:
    """Run the verb."""
    if words[:1] == ["export"]:
        _export(parse(ExportArguments, words[1:], "label export"))
        return
    arguments = parse(Arguments, words, "label")
    path = Path(_place(str(arguments.store)))
    from danlu.alignment.labeller import SimulatedLabellers
    from danlu.feedback.desk import Desk

    report, desk = Progress(), Desk(path)
    try:
        labellers = SimulatedLabellers(arguments.labeller)
        before = desk.progress()
        report(f"{before.answers_wanted - before.answers:,} answers are wanted in {path}")
        for annotator in labellers.annotators:
            report(f"{annotator}: {labellers.work(desk, annotator):,} rankings")
    finally:
        desk.close()


def _place(store: str) -> str:
    """Where a store is: in a run folder, a file, or a URL.

    Raises:
        DanluError: there is none.
    """
    if "://" in store:
        return store
    path = RunFolder(Path(store)).feedback if Path(store).is_dir() else Path(store)
    if not path.is_file():
        raise DanluError(
            f"there is no store of feedback {path}.",
            "Run `danlu run RUN --alignment.label page` until it asks for rankings, or give the store's file.",
        )
    return str(path)


def _export(asked: ExportArguments) -> None:
    place = _place(asked.store)
    from danlu.common.files import write_atomic
    from danlu.feedback.outgoing import export_all, export_store
    from danlu.feedback.store import Store

    report, store = Progress(), Store(place)
    try:
        if asked.format == "all":
            out = asked.out or Path("feedback.zip")
            if out.suffix.lower() != ".zip":
                raise DanluError(f"cannot write all formats to {out}.", "Give a name that ends in .zip.")
            write_atomic(out, export_all(store, asked.file, style=asked.style, flagged=asked.flagged))
            report(f"wrote {out}")
            return
        out = asked.out or Path(f"{asked.format}.{asked.file}")
        made = export_store(store, out.name, asked.format, style=asked.style, flagged=asked.flagged)
        written = made.write(out)
        left = ", ".join(f"{number:,} {reason}" for reason, number in written.dropped.items())
        report(f"wrote {out}: {written.rows:,} rows" + (f"; left out: {left}" if left else ""))
        report(f"  and {out.with_name(written.manifest_name)}")
    finally:
        store.close()
