"""The report's essentials for a terminal."""

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Styled

from danlu.report import figures
from danlu.report.facts import next_commands
from danlu.report.language import Language, printable, tr
from danlu.report.outcome import Outcome, Quantity, named_quantities, outcome, toy_words
from danlu.report.reading import RunFiles, read_run
from danlu.report.road import road
from danlu.report.tables import quantity_words


def terminal_summary(run: Path, language: Language = "en") -> RenderableType:
    """The outcome, forecast against measured, and the next commands, for `rich.print`.

    Raises:
        DanluError: there is no such run.
    """
    files = read_run(run)
    result = outcome(files)
    parts: list[RenderableType] = [_title(files, language), Styled(result.sentence.say(language))]
    steps = [step for step in road(files) if not step.done]
    if any(quantity for _, quantity in named_quantities(result)):
        parts.append(Padding(_table(result, language), (1, 0)))
    if steps:
        parts.append(Styled(steps[0].pending.say(language), style="dim"))
    parts.append(Styled(tr("terminal.next").say(language)))
    for command in next_commands(files):
        parts.append(Styled(f"  {command.line}", style="bold", no_wrap=True, overflow="fold"))
    return Group(*parts)


def _title(files: RunFiles, language: Language) -> Styled:
    toy = toy_words(files)
    return Styled.assemble((printable(files.name), "bold"), (f"  {toy.say(language)}" if toy else "", "yellow"))


def _table(result: Outcome, language: Language) -> Table:
    """Forecast beside measured, within 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    level = figures.percent(result.level, 0)
    for name in ("quantity", "forecast", "interval", "measured", "error"):
        title = tr(f"terminal.{name}", level=level).say(language)
        table.add_column(title, justify="left" if name == "quantity" else "right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name, quantity in named_quantities(result):
        values = [words.say(language) for words in quantity_words(name, quantity)]
        table.add_row(tr(f"terminal.{name}").say(language), *values, _inside(quantity, language))
    return table


def _inside(quantity: Quantity, language: Language) -> Styled:
    if quantity.inside is None:
        return Styled("")
    key, style = ("inside", "green") if quantity.inside else ("outside", "red")
    return Styled(tr(f"terminal.{key}").say(language), style=style)
