"""The report: one HTML file that opens anywhere and asks nothing of any network."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from danlu.common.files import write_atomic
from danlu.report import curves_picture, figures, forecast_picture, tables
from danlu.report.alignment import AlignmentPart, alignment_part
from danlu.report.facts import (
    Command,
    Fact,
    allocation_facts,
    data_facts,
    environment_facts,
    law_facts,
    next_commands,
    repeat_commands,
    speed_facts,
)
from danlu.report.gauge import gauge
from danlu.report.language import LANGUAGES, Language, Text, printable, same, tr
from danlu.report.outcome import Outcome, outcome, toy_words, warnings
from danlu.report.poster import poster
from danlu.report.reading import Record, RunFiles, read_run
from danlu.report.road import Step, road
from danlu.report.run_plan import PlanPart, plan_part
from danlu.report.scene import Scene, scene
from danlu.report.templating import asset, environment

_OPENINGS = 2
"""Openings that are shown at three moments."""


@dataclass(frozen=True)
class Sample:
    """Text that the target wrote."""

    prompt: str
    continuation: str
    settings: Text
    chinese: bool


@dataclass(frozen=True)
class Moment:
    """How the target went on from an opening at one moment of its training."""

    continuation: str
    when: Text


@dataclass(frozen=True)
class Moments:
    """One opening at the first, a middle and the last moment."""

    prompt: str
    chinese: bool
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class Page:
    """Everything the template shows."""

    name: str
    toy: Text | None
    outcome: Outcome
    road: tuple[Step, ...]
    forecast_picture: Markup | None
    forecast_note: Text | None
    curves_picture: Markup | None
    pending: dict[str, Text | None]
    """By step: that it has not run yet, or None."""
    verdict: tables.Table
    plan: PlanPart | None
    allocation: tuple[Fact, ...]
    data: tables.Table
    data_notes: tuple[Fact, ...]
    ladder: tables.Table
    law: tuple[Fact, ...]
    samples: tuple[Sample, ...]
    moments: tuple[Moments, ...]
    evaluation: tables.Table
    alignment: AlignmentPart | None
    """None where nothing was aligned (yet)."""
    speed: tuple[Fact, ...]
    environment: tuple[Fact, ...]
    warnings: tuple[Text, ...]
    damaged: tuple[Text, ...]
    next: tuple[Command, ...]
    repeat: tuple[Command, ...]
    recipe: str


def write_report(run: Path) -> Path:
    """Write report.html, and forecast.svg where there is a forecast or a ladder to draw, into a run folder.

    Whatever of the run is missing is named in its place on the page.

    Returns:
        The path of report.html.

    Raises:
        DanluError: there is no such folder, or it cannot be written.
    """
    files = read_run(run)
    path = run / "report.html"
    write_atomic(path, render(files))
    if scene(files):
        write_atomic(run / "forecast.svg", poster(files, "en"))
    return path


def render(files: RunFiles) -> str:
    """The page as HTML."""
    script = asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            page=build(files),
            tr=tr,
            gauge=gauge,
            style=Markup(asset("page.css") + asset("figure.css")),
            script=Markup(script),
            policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:",
        )
    )


def build(files: RunFiles) -> Page:
    """Collect the page's contents."""
    shown = scene(files)
    curves = curves_picture.traces(files)
    result = outcome(files)
    return Page(
        name=printable(files.name),
        toy=toy_words(files),
        outcome=result,
        road=road(files),
        forecast_picture=_forecast_pictures(shown) if shown else None,
        forecast_note=_forecast_note(files),
        curves_picture=_curves_pictures(curves) if curves else None,
        pending={step.key: None if step.done else step.pending for step in road(files)},
        verdict=tables.verdict_table(result),
        plan=plan_part(files),
        allocation=allocation_facts(files),
        data=tables.data_table(files),
        data_notes=data_facts(files),
        ladder=tables.ladder_table(files, shown),
        law=law_facts(files, shown),
        samples=tuple(_sample(record) for record in files.samples),
        moments=_moments(files),
        evaluation=tables.evaluation_table(files),
        alignment=alignment_part(files, _variants),
        speed=speed_facts(files),
        environment=environment_facts(files),
        warnings=warnings(files),
        damaged=files.damaged,
        next=next_commands(files),
        repeat=repeat_commands(files),
        recipe=printable(files.recipe_text),
    )


def _forecast_pictures(shown: Scene) -> Markup:
    layouts = (("wide", forecast_picture.WIDE), ("narrow", forecast_picture.NARROW))
    return _variants(
        {
            (name, language): forecast_picture.draw(shown, language, layout)
            for name, layout in layouts
            for language in LANGUAGES
        }
    )


def _curves_pictures(traces: tuple[curves_picture.Trace, ...]) -> Markup:
    layouts = (("wide", curves_picture.WIDE), ("narrow", curves_picture.NARROW))
    return _variants(
        {
            (name, language): curves_picture.draw(traces, language, layout)
            for name, layout in layouts
            for language in LANGUAGES
        }
    )


def _variants(drawn: dict[tuple[str, Language], Markup]) -> Markup:
    """A picture for each width and language, of which the page shows one."""
    codes = {"en": "en", "zh": "zh-CN"}
    return Markup("").join(
        Markup('<div class="{} {}" lang="{}">{}</div>').format(name, language, codes[language], picture)
        for (name, language), picture in drawn.items()
    )


def _forecast_note(files: RunFiles) -> Text | None:
    """When the forecast was written, and by which hash it is known."""
    created, digest = files.forecast.text("created"), files.forecast.text("hash")
    if created is None or digest is None:
        return None
    return tr("forecast.note", created=same(figures.moment(created)), digest=same(digest[:12]))


def _sample(record: Record) -> Sample:
    prompt, text = record.text("prompt") or "", record.text("text") or ""
    continuation = text.removeprefix(prompt)
    settings = tr(
        "samples.settings",
        seed=same(_setting(record, "seed")),
        temperature=same(_setting(record, "temperature")),
        top_p=same(_setting(record, "top_p")),
    )
    return Sample(printable(prompt), printable(continuation), settings, _is_chinese(prompt + text))


def _moments(files: RunFiles) -> tuple[Moments, ...]:
    """The first openings of the run; they come from each source and script in turn."""
    found: dict[str, list[Record]] = {}
    for record in files.moments:
        if (prompt := record.text("prompt")) is not None and record.number("step") is not None:
            found.setdefault(prompt, []).append(record)
    shown = []
    for prompt, records in list(found.items())[:_OPENINGS]:
        places = sorted({0, (len(records) - 1) // 2, len(records) - 1})
        moments = tuple(Moment(printable(records[n].text("text") or ""), _when(records[n])) for n in places)
        shown.append(Moments(printable(prompt), _is_chinese(prompt), moments))
    return tuple(shown)


def _when(record: Record) -> Text:
    tokens, loss = figures.count(record.number("tokens")), figures.loss(record.number("heldout_loss"), 2)
    return tr("moments.when", tokens=same(tokens), loss=same(loss))


def _setting(record: Record, key: str) -> str:
    value = record.number(key)
    return "\N{EN DASH}" if value is None else f"{value:g}"


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)
