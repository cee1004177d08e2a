"""What follows from the log: tables of tasks, leases and answers, kept up to date event by event.

They hold nothing of their own: `apply` is the only writer, and applying the log anew makes the same tables.
"""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from danlu.feedback.log import Event, metadata

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("is_gold", sa.Boolean, nullable=False),
    sa.Column("answered", sa.Integer, nullable=False),
    sa.Column("skipped", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("task", sa.String(64), nullable=False, index=True),
    sa.Column("annotator", sa.String(200), nullable=False, index=True),
    sa.Column("is_repeat", sa.Boolean, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),
    sa.Column("expires", sa.Float(53), nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
)
answers = sa.Table(
    "answers",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),  # ranking, demonstration or skip
    sa.Column("task", sa.String(64), nullable=False, index=True),  # empty: brought from elsewhere
    sa.Column("annotator", sa.String(200), nullable=False, index=True),
    sa.Column("lease", sa.String(64), nullable=False),
    sa.Column("is_repeat", sa.Boolean, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
DERIVED = (tasks, leases, answers)


def apply(connection: Connection, event: Event) -> None:
    """Bring the tables up to date with an event; one of a kind that is not known here changes nothing."""
    match event.kind:
        case "task":
            _add_task(connection, event)
        case "lease":
            _lease(connection, event)
        case "release":
            _close_lease(connection, event.body["lease"])
        case "answer" | "skip":
            _answer(connection, event)
        case "record":
            _record(connection, event)
        case "undo":
            _undo(connection, event)


def _add_task(connection: Connection, event: Event) -> None:
    body = event.body
    connection.execute(
        tasks.insert().values(
            id=event.task,
            number=event.number,
            kind=body["kind"],
            wanted=body.get("wanted", 1),
            is_gold=bool(body.get("gold_ranks")),
            answered=0,
            skipped=0,
            body=json.dumps(body),
        )
    )


def _lease(connection: Connection, event: Event) -> None:
    body = event.body
    connection.execute(
        leases.insert().values(
            id=event.id,
            number=event.number,
            task=event.task,
            annotator=event.annotator,
            is_repeat=body["repeat"],
            shown=json.dumps(body["shown"]),
            expires=body["expires"],
            is_open=True,
        )
    )


def _close_lease(connection: Connection, lease: str) -> None:
    connection.execute(leases.update().where(leases.c.id == lease).values(is_open=False))


def _answer(connection: Connection, event: Event) -> None:
    body = event.body
    repeat = bool(body["repeat"])
    kind = "skip" if event.kind == "skip" else body["kind"]
    _insert(connection, event, kind, body["lease"], repeat, body.get("record", {"reason": body.get("reason", "")}))
    _close_lease(connection, body["lease"])
    if not repeat:
        _count(connection, event.task, kind, 1)


def _record(connection: Connection, event: Event) -> None:
    _insert(connection, event, event.body["kind"], "", False, event.body["record"])


def _undo(connection: Connection, event: Event) -> None:
    undone = connection.execute(sa.select(answers).where(answers.c.id == event.body["undone"])).one()
    connection.execute(answers.update().where(answers.c.id == undone.id).values(is_active=False))
    if not undone.lease:
        return
    reopened = {"is_open": True, "expires": event.body["expires"]}
    connection.execute(leases.update().where(leases.c.id == undone.lease).values(**reopened))
    if not undone.is_repeat:
        _count(connection, undone.task, undone.kind, -1)


def _insert(connection: Connection, event: Event, kind: str, lease: str, repeat: bool, record: Any) -> None:
    connection.execute(
        answers.insert().values(
            id=event.id,
            number=event.number,
            kind=kind,
            task=event.task,
            annotator=event.annotator,
            lease=lease,
            is_repeat=repeat,
            is_active=True,
            body=json.dumps(record),
        )
    )


def _count(connection: Connection, task: str, kind: str, by: int) -> None:
    column = tasks.c.skipped if kind == "skip" else tasks.c.answered
    connection.execute(tasks.update().where(tasks.c.id == task).values({column: column + by}))
