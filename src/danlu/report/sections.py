"""A page of sections, each with its picture and tables: one HTML file, both languages, no network."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from danlu.common.files import write_atomic
from danlu.report.language import Text
from danlu.report.tables import Column
from danlu.report.templating import asset, environment


@dataclass(frozen=True)
class Table:
    """A table: every row has as many cells as there are columns."""

    caption: Text
    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]
    folded: bool = False
    """Shown on request."""


@dataclass(frozen=True)
class Finding:
    """A statement with what became of it."""

    claim: Text
    verdict: Text
    style: str
    """good, bad or so."""
    lines: tuple[Text, ...]
    """The arithmetic."""
    todo: Text


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: Text
    note: Text
    """What it shows, in a sentence or two."""
    picture: Markup | None = None
    caption: Text | None = None
    tables: tuple[Table, ...] = ()
    findings: tuple[Finding, ...] = ()
    sources: Text | None = None


@dataclass(frozen=True)
class SectionPage:
    """The page."""

    title: Text
    summary: Text
    sections: tuple[Section, ...]
    footer: Text


def write_sections(page: SectionPage, path: Path) -> None:
    """Write the page.

    Raises:
        DanluError: the file cannot be written.
    """
    write_atomic(path, render_sections(page))


def render_sections(page: SectionPage) -> str:
    """The page as HTML."""
    script = asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        environment()
        .get_template("sections.html.jinja")
        .render(
            page=page,
            style=Markup(asset("page.css") + asset("figure.css") + asset("sections.css")),
            script=Markup(script),
            policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:",
        )
    )
