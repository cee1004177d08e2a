"""The report's essentials for a terminal."""

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Styled

from danlu.report.facts import next_commands
from danlu.report.language import Language, printable
from danlu.report.outcome import Outcome, outcome, toy_words
from danlu.report.reading import RunFiles, read_run
from danlu.report.road import road
from danlu.report.tables import verdict_table

_STYLES = {"good": "green", "bad": "red", "": ""}


def terminal_summary(run: Path, language: Language = "en") -> RenderableType:
    """The outcome, forecast against measured, and the next commands, for `rich.print`.

    Raises:
        DanluError: there is no such run.
    """
    files = read_run(run)
    result = outcome(files)
    parts: list[RenderableType] = [_title(files, language), Styled(result.sentence.say(language))]
    steps = [step for step in road(files) if not step.done]
    if result.loss:
        parts.append(Padding(_table(result, language), (1, 0)))
    if steps:
        parts.append(Styled(steps[0].pending.say(language), style="dim"))
    for command in next_commands(files):
        parts.append(Styled.assemble("  ", (command.line, "bold"), ("  " + command.does.say(language), "dim")))
    return Group(*parts)


def _title(files: RunFiles, language: Language) -> Styled:
    toy = toy_words(files)
    return Styled.assemble((printable(files.name), "bold"), (f"  {toy.say(language)}" if toy else "", "yellow"))


def _table(result: Outcome, language: Language) -> Table:
    """The page's verdict table without its pictures."""
    contents = verdict_table(result)
    shown = [index for index in range(len(contents.columns)) if not any(row[index].gauge for row in contents.rows)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index in shown:
        column = contents.columns[index]
        table.add_column(column.title.say(language), justify="right" if column.numeric else "left", no_wrap=True)
    for row in contents.rows:
        table.add_row(*(Styled(row[index].words.say(language), style=_STYLES[row[index].style]) for index in shown))
    return table
