"""The forecast picture as a file of its own, with its title, for a README or a message."""

from importlib.resources import files as package_files
from pathlib import Path

from markupsafe import Markup

from danlu.common.errors import DanluError
from danlu.report import figures, forecast_picture, svg
from danlu.report.language import Language, printable, tr
from danlu.report.outcome import outcome, toy_words
from danlu.report.reading import RunFiles, read_run
from danlu.report.scene import scene

_MARGIN, _HEAD, _FOOT = 48.0, 126.0, 36.0


def forecast_svg(run: Path, language: Language = "en") -> str:
    """The picture of a run's forecast as a standalone SVG, light or dark as the reader's system is.

    Raises:
        DanluError: there is no such run, or nothing to draw in it yet.
    """
    return poster(read_run(run), language)


def poster(files: RunFiles, language: Language) -> str:
    """As `forecast_svg`, from files already read."""
    shown = scene(files)
    if not shown:
        raise DanluError(
            f"{files.folder} has no ladder points and no forecast to draw.", "Run the ladder first: `danlu run`."
        )
    layout = forecast_picture.WIDE
    width, height = layout.width + 2 * _MARGIN, layout.height + _HEAD + _FOOT
    notes = [printable(files.name)]
    toy = toy_words(files)
    if toy:
        notes.append(toy.say(language))
    created, digest = files.forecast.text("created"), files.forecast.text("hash")
    if created and digest:
        notes.append(
            tr("poster.note", created=printable(figures.moment(created)), digest=printable(digest[:12])).say(language)
        )
    style = Markup(package_files("danlu.report").joinpath("templates", "figure.css").read_text(encoding="utf-8"))
    picture = forecast_picture.draw(shown, language, layout)
    return str(
        svg.element(
            "svg",
            svg.element("style", style),
            svg.element("rect", width=width, height=height, class_="paper"),
            svg.label(_MARGIN, 60, outcome(files).sentence.say(language), "poster-title"),
            svg.label(_MARGIN, 92, " · ".join(notes), "poster-note"),
            svg.label(width - _MARGIN, 60, tr("poster.brand").say(language), "poster-brand", "end"),
            svg.element("svg", picture, x=_MARGIN, y=_HEAD, width=layout.width, height=layout.height),
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {width:g} {height:g}",
            width=width,
            height=height,
            class_="figure",
            lang="en" if language == "en" else "zh-CN",
        )
    )
