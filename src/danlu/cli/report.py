"""`danlu report`: one page about a run, as far as it has come."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from danlu.cli.parse import parse
from danlu.cli.summary import show_summary


@dataclass(frozen=True)
class Arguments:
    """Write RUN/report.html, a single file that opens offline, and print its essentials."""

    run: tyro.conf.Positional[Path]
    """The run folder."""


def main(words: list[str]) -> None:
    """Run the verb."""
    from danlu.report.page import write_report

    arguments = parse(Arguments, words, "report")
    write_report(arguments.run)
    show_summary(arguments.run)
