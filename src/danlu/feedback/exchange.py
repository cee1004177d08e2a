"""Bringing feedback in from files, with counts of what was left behind and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from danlu.common.errors import DanluError
from danlu.feedback.files import is_store, rows
from danlu.feedback.formats import FORMATS, Dropped, Format, looks_like
from danlu.feedback.records import Demonstration, Ranking, Record


@dataclass(frozen=True)
class Imported:
    """What a file held."""

    format: str
    """The name of its format."""
    records: tuple[Record, ...]
    rows: int
    dropped: Mapping[str, int]
    """Rows, and parts of rows, that were left out, by reason."""

    @property
    def rankings(self) -> tuple[Ranking, ...]:
        return tuple(record for record in self.records if isinstance(record, Ranking))

    @property
    def demonstrations(self) -> tuple[Demonstration, ...]:
        return tuple(record for record in self.records if isinstance(record, Demonstration))

    def summary(self) -> str:
        """One line for a person."""
        parts = [f"{len(self.rankings)} rankings", f"{len(self.demonstrations)} demonstrations"]
        text = f"{self.rows} rows of {self.format}: {' and '.join(parts)}"
        if self.dropped:
            reasons = ", ".join(f"{number} ({reason})" for reason, number in sorted(self.dropped.items()))
            text += f"; left out: {reasons}"
        return text


def read_feedback(path: Path, wanted: Literal["rankings", "demonstrations", "any"] = "any") -> Imported:
    """Read a file of feedback in any format that is known, by its content; the annotation page's store (an SQLite file)
    is one.

    Args:
        wanted: what it must hold some of.

    Raises:
        DanluError: the file is unreadable or in no format that can be used (it says which one it looks like and what
            to do), a row is damaged, or nothing that is wanted is in it.
    """
    if is_store(path):
        return _from_store(path, wanted)
    form: Format | None = None
    records: list[Record] = []
    dropped: Counter[str] = Counter()
    number = 0
    for where, row in rows(path):
        number += 1
        if form is None:
            form = _known(row, where)
        elif not form.keys <= set(row):
            other = looks_like(row)
            dropped[f"not in the file's format, {'looks like ' + other.title if other else 'of unknown format'}"] += 1
            continue
        try:
            for record in form.read(row, where):
                if isinstance(record, Dropped):
                    dropped[str(record)] += 1
                else:
                    records.append(record)
        except Dropped as reason:
            dropped[str(reason)] += 1
        except DanluError as error:
            if where in error.cause:
                raise
            raise DanluError(f"{where}: {error.cause}", error.remedy) from error
    if form is None:
        raise DanluError(f"{path} is empty.", "Give a file with at least one row.")
    imported = Imported(form.name, tuple(records), number, dict(dropped))
    _hold(imported, path, wanted)
    return imported


def _from_store(path: Path, wanted: Literal["rankings", "demonstrations", "any"]) -> Imported:
    """What stands in a store, without what somebody flagged, hidden repeats and test questions."""
    from danlu.feedback.store import Store

    store = Store(path)
    try:
        records: list[Record] = [] if wanted == "rankings" else list(store.demonstrations())
        records += [] if wanted == "demonstrations" else list(store.rankings())
    finally:
        store.close()
    if not records:
        what = "feedback" if wanted == "any" else wanted
        raise DanluError(f"{path} is a store without {what} so far.", "Give some at `danlu serve`, at /label.")
    return Imported("an annotation page's store", tuple(records), len(records), {})


def _known(row: Mapping[str, Any], where: str) -> Format:
    found = looks_like(row)
    if isinstance(found, Format):
        return found
    if found is not None:
        raise DanluError(f"{where} looks like {found.title}, which is no feedback that can be used.", found.remedy)
    keys = ", ".join(sorted(row)) or "none"
    known = "; ".join(f"{form.title} ({', '.join(sorted(form.keys))})" for form in FORMATS)
    raise DanluError(f"{where} has the keys {keys}: of no known format.", f"Known: {known}.")


def _hold(imported: Imported, path: Path, wanted: str) -> None:
    """Refuse a file without what is wanted."""
    if wanted == "rankings" and not imported.rankings and imported.demonstrations:
        raise DanluError(
            f"{path} holds demonstrations ({imported.format}), and rankings are wanted.",
            "Give a file of preferences or rankings; fine-tune on this one.",
        )
    if wanted == "demonstrations" and not imported.demonstrations and imported.rankings:
        raise DanluError(
            f"{path} holds rankings ({imported.format}), and demonstrations are wanted.",
            "Give a file of prompts with completions; train a reward model on this one.",
        )
    if not imported.records:
        raise DanluError(
            f"nothing in {path} can be used: {imported.summary()}.", "Mend the rows, or give another file."
        )
