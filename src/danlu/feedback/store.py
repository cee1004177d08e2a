"""The store of feedback: tasks, what people answered, and records from elsewhere.

Whatever changes is an event in the log first (`log`), and the tables follow (`state`), in one transaction. Nothing is
ever changed or removed: to undo is a new event.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from danlu.common.strict import to_mapping
from danlu.feedback.log import Event, Log
from danlu.feedback.records import (
    Demonstration,
    Ranking,
    Record,
    demonstration_from,
    fingerprint,
    ranking_from,
    record_id,
    to_json,
)
from danlu.feedback.state import DERIVED, answers, apply, tasks
from danlu.feedback.tasks import Policy, Task

_BATCH = 500  # records in one transaction


@dataclass(frozen=True)
class Added:
    """What became of things that were brought in."""

    added: int
    known: int
    """Those that were there already, word for word."""


@dataclass(frozen=True)
class Judgement:
    """An answer with what the annotator was not told."""

    id: str
    task: str
    """Empty: it was brought in from elsewhere."""
    record: Record
    is_repeat: bool
    """Whether the annotator had ranked this before."""
    gold_ranks: tuple[int, ...]
    """The right answer of a test question; empty: it is none."""


@dataclass(frozen=True)
class Progress:
    """How far the tasks are."""

    tasks: int
    """Test questions not counted."""
    finished: int
    """Those with as many answers as are wanted."""
    given_up: int
    """Those that too many people skipped."""
    answers_wanted: int
    answers: int
    """Those in place; hidden repeats and test questions not counted."""
    by_annotator: Mapping[str, int]


class Store:
    """The feedback of one database; safe to use from several threads and processes."""

    def __init__(self, place: str | Path, policy: Policy | None = None) -> None:
        """
        Args:
            place: the path of an SQLite file, made where it is missing, or a postgresql:// URL.
            policy: how tasks are handed out (`Desk`).

        Raises:
            DanluError: the database cannot be opened.
        """
        self.log = Log(place)
        self.policy = policy or Policy()

    def close(self) -> None:
        """Close all connections."""
        self.log.close()

    # Bringing things in

    def add_records(self, records: Iterable[Record]) -> Added:
        """Bring in demonstrations and rankings from elsewhere; those that are there already are not added again."""

        def events() -> Iterator[dict[str, Any]]:
            for record in records:
                kind = "demonstration" if isinstance(record, Demonstration) else "ranking"
                body = {"kind": kind, "record": to_json(record)}
                yield {"kind": "record", "body": body, "annotator": record.annotator, "id": record_id(record)}

        return self._add(events())

    def add_tasks(self, new: Iterable[Task]) -> Added:
        """Bring in tasks; those that are there already are not added again."""

        def events() -> Iterator[dict[str, Any]]:
            for task in new:
                body = to_mapping(task)
                name = fingerprint(body)
                yield {"kind": "task", "body": body, "task": name, "id": name}

        return self._add(events())

    def _add(self, events: Iterator[dict[str, Any]]) -> Added:
        added = known = 0
        batch: list[dict[str, Any]] = []

        def keep() -> None:
            nonlocal added, known
            with self.log.write() as connection:
                for values in batch:
                    event, is_new = self.log.append(connection, **values)
                    if is_new:
                        apply(connection, event)
                    added, known = added + is_new, known + (not is_new)
            batch.clear()

        for values in events:
            batch.append(values)
            if len(batch) == _BATCH:
                keep()
        if batch:
            keep()
        return Added(added, known)

    def note(self, kind: str, body: Mapping[str, Any], *, annotator: str = "", id: str | None = None) -> Event:
        """Add an event of another kind to the log, such as who signed in; it is kept and changes no table.

        Raises:
            ValueError: the kind is one of the store's own.
        """
        if kind in ("task", "lease", "release", "answer", "skip", "record", "undo"):
            raise ValueError(f"events of the kind {kind} are the store's own")
        with self.log.write() as connection:
            return self.log.append(connection, kind, body, annotator=annotator, id=id)[0]

    # Reading

    def judgements(self) -> Iterator[Judgement]:
        """All answers that stand and all records from elsewhere, in the order in which they came."""
        query = (
            sa.select(answers, tasks.c.body.label("task_body"))
            .join(tasks, tasks.c.id == answers.c.task, isouter=True)
            .where(answers.c.is_active, answers.c.kind != "skip")
            .order_by(answers.c.number)
        )
        with self.log.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            plain = json.loads(row.body)
            record: Record = (ranking_from if row.kind == "ranking" else demonstration_from)(plain, "the store")
            gold = tuple(json.loads(row.task_body)["gold_ranks"]) if row.task_body else ()
            yield Judgement(row.id, row.task, record, bool(row.is_repeat), gold)

    def rankings(self, *, flagged: bool = False, all_of_them: bool = False) -> Iterator[Ranking]:
        """The rankings to learn from.

        Args:
            flagged: with those that somebody flagged.
            all_of_them: with hidden repeats and test questions too.
        """
        for judgement in self.judgements():
            record = judgement.record
            if not isinstance(record, Ranking) or (record.flags and not flagged):
                continue
            if all_of_them or not (judgement.is_repeat or judgement.gold_ranks):
                yield record

    def demonstrations(self, *, flagged: bool = False) -> Iterator[Demonstration]:
        """The demonstrations to learn from; with `flagged`, those too that somebody flagged."""
        for judgement in self.judgements():
            if isinstance(judgement.record, Demonstration) and (flagged or not judgement.record.flags):
                yield judgement.record

    def progress(self) -> Progress:
        """How far the tasks are."""
        with self.log.read() as connection:
            rows = connection.execute(
                sa.select(tasks.c.wanted, tasks.c.answered, tasks.c.skipped).where(~tasks.c.is_gold)
            ).all()
            done = connection.execute(
                sa.select(answers.c.annotator, sa.func.count())
                .join(tasks, tasks.c.id == answers.c.task)
                .where(answers.c.is_active, answers.c.kind != "skip", ~answers.c.is_repeat, ~tasks.c.is_gold)
                .group_by(answers.c.annotator)
                .order_by(answers.c.annotator)
            ).all()
        finished = sum(row.answered >= row.wanted for row in rows)
        given_up = sum(row.answered < row.wanted and row.skipped >= self.policy.max_skips for row in rows)
        by_annotator = {row[0]: row[1] for row in done}
        wanted = sum(row.wanted for row in rows)
        return Progress(len(rows), finished, given_up, wanted, sum(by_annotator.values()), by_annotator)

    def rebuild(self) -> int:
        """Make the tables anew from the log alone; the number of events read."""
        number = 0
        with self.log.write() as connection:
            for table in DERIVED:
                connection.execute(table.delete())
            for event in self.log.events(connection=connection):
                apply(connection, event)
                number += 1
        return number

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        """The contents of the tables that follow from the log: to compare two stores."""
        with self.log.read() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(table.c.id))]
                for table in DERIVED
            }
