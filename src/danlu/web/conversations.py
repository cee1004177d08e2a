"""Conversations as trees of messages: to edit or to answer again is a new branch, and nothing is ever deleted."""

import json
import re
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from danlu.common.errors import DanluError
from danlu.feedback.records import Role
from danlu.web.database import Database, metadata

State = Literal["running", "done", "stopped", "failed"]

conversations = sa.Table(
    "web_conversations",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False, index=True),
    sa.Column("title", sa.Text, nullable=False),  # texts are JSON: a database may refuse what a model can say
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("updated", sa.Float(53), nullable=False),
    sa.Column("is_archived", sa.Boolean, nullable=False),
)
messages = sa.Table(
    "web_messages",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("conversation", sa.String(64), nullable=False, index=True),
    sa.Column("parent", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
)
thumbs = sa.Table(
    "web_thumbs",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("message", sa.String(64), nullable=False, index=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
)

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True)
class Conversation:
    """The head of a conversation."""

    id: str
    title: str
    created: float
    """When (seconds since 1970, UTC)."""
    updated: float
    is_archived: bool


@dataclass(frozen=True)
class StoredMessage:
    """A node of the tree."""

    id: str
    parent: str
    """The message before it; empty: it begins the conversation."""
    role: Role
    content: str
    model: str
    """Which model wrote it; empty: a person."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Of a model's: settings, tokens, seconds, finish."""
    state: State = "done"
    """`running` while it is written, `stopped` if somebody ended it early, `failed` if the server did."""
    created: float = 0.0
    thumb: int = 0
    """1 up, -1 down, 0 none."""


class Conversations:
    """The conversations in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settle(self) -> None:
        """What was being written when the server died is no longer: called when it starts."""
        with self._database.write() as connection:
            stopped = messages.update().where(messages.c.state == "running").values(state="stopped")
            connection.execute(stopped)

    def all(self, owner: str, *, archived: bool = False) -> list[Conversation]:
        """Somebody's conversations, the newest first."""
        query = sa.select(conversations).where(conversations.c.owner == owner, conversations.c.is_archived == archived)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(conversations.c.updated.desc())).all()
        return [_conversation(row) for row in rows]

    def create(self, owner: str, id: str, title: str) -> Conversation:
        """Begin a conversation; beginning it twice is beginning it once."""
        check_id(id)
        now = clock.time()
        with self._database.write() as connection:
            row = connection.execute(sa.select(conversations).where(conversations.c.id == id)).first()
            if row is None:
                values = {"id": id, "owner": owner, "title": json.dumps(title), "is_archived": False}
                connection.execute(conversations.insert().values(created=now, updated=now, **values))
                return Conversation(id, title, now, now, False)
            _own(row, owner)
            return _conversation(row)

    def change(self, owner: str, id: str, *, title: str | None = None, archived: bool | None = None) -> Conversation:
        """Give a conversation another title, or put it away or back."""
        with self._database.write() as connection:
            self._require(connection, owner, id)
            values: dict[str, Any] = {} if title is None else {"title": json.dumps(title)}
            if archived is not None:
                values["is_archived"] = archived
            if values:
                connection.execute(conversations.update().where(conversations.c.id == id).values(**values))
            return _conversation(self._require(connection, owner, id))

    def get(self, owner: str, id: str) -> tuple[Conversation, list[StoredMessage]]:
        """A conversation with all its messages, oldest first."""
        with self._database.read() as connection:
            head = self._require(connection, owner, id)
            return _conversation(head), self._messages(connection, id)

    def add(self, owner: str, conversation: str, message: StoredMessage) -> StoredMessage:
        """Add a message; adding it twice is adding it once.

        Raises:
            DanluError: the conversation or the parent is unknown, or the identity belongs to another message.
        """
        check_id(message.id)
        now = clock.time()
        with self._database.write() as connection:
            self._require(connection, owner, conversation)
            known = {each.id: each for each in self._messages(connection, conversation)}
            if message.id in known:
                return known[message.id]
            if connection.execute(sa.select(messages.c.id).where(messages.c.id == message.id)).first():
                raise DanluError("this message's id is taken.", "Make a new one.")
            if message.parent and message.parent not in known:
                raise DanluError("the message before this one is not in the conversation.", "Load the page again.")
            connection.execute(
                messages.insert().values(
                    id=message.id,
                    number=len(known),
                    conversation=conversation,
                    parent=message.parent,
                    role=message.role,
                    content=json.dumps(message.content),
                    model=message.model,
                    details=json.dumps(dict(message.details)),
                    state=message.state,
                    created=now,
                )
            )
            connection.execute(conversations.update().where(conversations.c.id == conversation).values(updated=now))
            (added,) = self._messages(connection, conversation, message.id)
            return added

    def write(self, id: str, content: str, state: State, details: Mapping[str, Any]) -> None:
        """What a model has said so far in a message that was begun as `running`."""
        values = {"content": json.dumps(content), "state": state, "details": json.dumps(dict(details))}
        # Another server of this database that starts meanwhile takes ours for dead (`settle`): we are not.
        written = messages.update().where(messages.c.id == id, messages.c.state.in_(("running", "stopped")))
        with self._database.write() as connection:
            connection.execute(written.values(**values))

    def thumb(self, owner: str, message: str, value: int, id: str) -> tuple[list[StoredMessage], bool]:
        """Note what somebody thinks of a message.

        Returns:
            the branch up to and with the message, and whether this is new.
        """
        check_id(id)
        if value not in (-1, 0, 1):
            raise DanluError(f"a thumb is {value}.", "Give 1 for up, -1 for down, 0 for neither.")
        with self._database.write() as connection:
            found = connection.execute(sa.select(messages).where(messages.c.id == message)).first()
            if found is None:
                raise DanluError("there is no such message.", "Load the page again.")
            self._require(connection, owner, found.conversation)
            known = connection.execute(sa.select(thumbs.c.id).where(thumbs.c.id == id)).first()
            if known is None:
                number = connection.scalar(sa.select(sa.func.count()).select_from(thumbs)) or 0
                values = {"id": id, "number": number, "message": message, "value": value, "created": clock.time()}
                connection.execute(thumbs.insert().values(**values))
            return branch(self._messages(connection, found.conversation), message), known is None

    def _require(self, connection: Connection, owner: str, id: str) -> "sa.Row[Any]":
        row = connection.execute(sa.select(conversations).where(conversations.c.id == id)).first()
        return _own(row, owner)

    def _messages(self, connection: Connection, conversation: str, id: str | None = None) -> list[StoredMessage]:
        query = sa.select(messages).where(messages.c.conversation == conversation).order_by(messages.c.number)
        if id is not None:
            query = query.where(messages.c.id == id)
        rows = connection.execute(query).all()
        given = connection.execute(
            sa.select(thumbs.c.message, thumbs.c.value)
            .join(messages, messages.c.id == thumbs.c.message)
            .where(messages.c.conversation == conversation)
            .order_by(thumbs.c.number)
        ).all()
        last = {row.message: row.value for row in given}
        return [
            StoredMessage(
                id=row.id,
                parent=row.parent,
                role=cast(Role, row.role),
                content=json.loads(row.content),
                model=row.model,
                details=json.loads(row.details),
                state=cast(State, row.state),
                created=row.created,
                thumb=last.get(row.id, 0),
            )
            for row in rows
        ]


def branch(tree: Sequence[StoredMessage], leaf: str) -> list[StoredMessage]:
    """The messages from the beginning to a leaf.

    Raises:
        DanluError: there is no such message.
    """
    by_id = {message.id: message for message in tree}
    if leaf and leaf not in by_id:
        raise DanluError("there is no such message in this conversation.", "Load the page again.")
    path = []
    while leaf:
        path.append(by_id[leaf])
        leaf = by_id[leaf].parent
    return path[::-1]


def check_id(id: str) -> None:
    """Identities are made by the page, so that sending something twice is sending it once."""
    if not _ID.fullmatch(id):
        raise DanluError(f"{id[:80]!r} is no identity.", "Give 8 to 64 letters, digits, - or _, such as a UUID.")


def _own(row: "sa.Row[Any] | None", owner: str) -> "sa.Row[Any]":
    if row is None or row.owner != owner:
        raise DanluError("there is no such conversation.", "Load the page again.")
    return row


def _conversation(row: "sa.Row[Any]") -> Conversation:
    return Conversation(row.id, json.loads(row.title), row.created, row.updated, bool(row.is_archived))
