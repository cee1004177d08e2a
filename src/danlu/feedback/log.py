"""The log of events in a database: only ever added to. All else that is known about feedback follows from it.

SQLite in a file by default, in write-ahead mode and synced at every commit; PostgreSQL by URL. One writer at a time,
whoever waits waits for seconds at most: so the numbers of events grow in the order in which they were committed, and a
process that dies loses nothing that was committed.
"""

import json
import sqlite3
import time as clock
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from danlu.common.errors import DanluError

VERSION = 1
"""Of the tables' layout."""
_BUSY_SECONDS = 60.0
_CONNECT_SECONDS = 10
_ADVISORY_LOCK = 0x64616E6C75  # "danlu": held by the one writer of a PostgreSQL database
_SOME = 500  # rows fetched at once

metadata = sa.MetaData()
about = sa.Table("about", metadata, sa.Column("version", sa.Integer, primary_key=True))
log = sa.Table(
    "events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("time", sa.Float(53), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False, index=True),
    sa.Column("annotator", sa.String(200), nullable=False),
    sa.Column("task", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    number: int
    """Its place in the log; grows, with gaps perhaps."""
    id: str
    """Given by whoever reports it, so that reporting it twice counts once."""
    time: float
    """When (seconds since 1970, UTC)."""
    kind: str
    annotator: str
    """Who did it; empty: the program."""
    task: str
    """The task that it is about; empty: none."""
    body: Mapping[str, Any]
    """What happened, as plain JSON values."""


def new_id() -> str:
    """An identity that nothing else has."""
    return uuid.uuid4().hex


def connect(place: str | Path) -> Engine:
    """A database by its URL, or by the path of its SQLite file, which is made where it is missing.

    Raises:
        DanluError: the URL means no database that can be used, or the driver is missing.
    """
    text = str(place)
    if "://" not in text:
        Path(text).expanduser().parent.mkdir(parents=True, exist_ok=True)
        text = f"sqlite:///{Path(text).expanduser()}"
    for short in ("postgres://", "postgresql://"):
        if text.startswith(short):
            text = "postgresql+psycopg://" + text.removeprefix(short)
    if not text.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise DanluError(
            f"data cannot be kept in {text.split('://')[0]}.",
            "Give the path of a file (SQLite) or a URL that begins with postgresql://.",
        )
    try:
        if text.startswith("sqlite"):
            engine = sa.create_engine(text, connect_args={"timeout": _BUSY_SECONDS})
        else:
            # A connection that the server closed meanwhile is noticed before it is used, and made again.
            engine = sa.create_engine(text, connect_args={"connect_timeout": _CONNECT_SECONDS}, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise DanluError(
            f"PostgreSQL needs the package {error.name}, which is not installed.",
            'Install it with: pip install "danlu[postgres]"',
        ) from error
    except sa.exc.ArgumentError as error:
        raise DanluError(f"{text} is no URL of a database: {error}.", "Write postgresql://user@host/name.") from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction by itself: see _begin_sqlite
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        _set(connection, setting)


def _set(connection: Any, setting: str) -> None:
    """A new file's change to the write-ahead mode does not wait for others who open it at the same moment: we do."""
    deadline = clock.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA {setting}")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or clock.monotonic() > deadline:
                raise
            clock.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: one that read first could find at its first write that another was faster.
    writes = connection.get_execution_options().get("danlu_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Log:
    """The log of one database."""

    def __init__(self, place: str | Path) -> None:
        """
        Raises:
            DanluError: the database cannot be reached, or was made by a newer version.
        """
        self.engine = connect(place)
        self._writing = self.engine.execution_options(danlu_writes=True)
        with self._refusals(place), self.write() as connection:
            metadata.create_all(connection)
            version = connection.scalar(sa.select(about.c.version))
            if version is None:
                connection.execute(about.insert().values(version=VERSION))
        if version not in (None, VERSION):
            raise DanluError(
                f"the feedback in {hidden(place)} has layout {version}, and this danlu knows layout {VERSION}.",
                "Use the version of danlu that made it.",
            )

    @contextmanager
    def _refusals(self, place: str | Path) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise DanluError(
                f"the feedback in {hidden(place)} cannot be opened: {reason}.",
                "Check that it is a database of danlu, that it can be reached and that you may write it.",
            ) from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction of the one writer; all of it is kept or, when the block fails, nothing."""
        with self._writing.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; it waits for nobody."""
        with self.engine.connect() as connection:
            yield connection

    def append(
        self,
        connection: Connection,
        kind: str,
        body: Mapping[str, Any],
        *,
        annotator: str = "",
        task: str = "",
        id: str | None = None,
        time: float | None = None,
    ) -> tuple[Event, bool]:
        """Add an event within a transaction.

        Returns:
            the event, and whether it is new: one whose `id` is known is given back as it was reported first.
        """
        id = id or new_id()
        known = connection.execute(sa.select(log).where(log.c.id == id)).first()
        if known is not None:
            return _event(known), False
        # ASCII throughout, for a database may refuse what JSON can say: a NUL, half a surrogate pair.
        text = json.dumps(dict(body), separators=(",", ":"))
        values = {"id": id, "time": clock.time() if time is None else time, "kind": kind}
        values |= {"annotator": annotator, "task": task, "body": text}
        result = connection.execute(log.insert().values(**values))
        assert result.inserted_primary_key is not None
        return Event(number=result.inserted_primary_key[0], **{**values, "body": body}), True  # type: ignore[arg-type]

    def events(
        self, after: int = 0, kinds: Collection[str] | None = None, connection: Connection | None = None
    ) -> Iterator[Event]:
        """The events after a number, in order; those of some kinds, or all."""
        if connection is None:
            with self.read() as own:
                yield from self.events(after, kinds, own)
            return
        while True:
            query = sa.select(log).where(log.c.number > after).order_by(log.c.number).limit(_SOME)
            if kinds is not None:
                query = query.where(log.c.kind.in_(kinds))
            rows = connection.execute(query).all()
            for row in rows:
                yield _event(row)
            if len(rows) < _SOME:
                return
            after = rows[-1].number

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _event(row: "sa.Row[Any]") -> Event:
    return Event(row.number, row.id, row.time, row.kind, row.annotator, row.task, json.loads(row.body))


def hidden(place: str | Path) -> str:
    """A place for a message, without its password."""
    text = str(place)
    if "://" not in text:
        return text
    try:
        return sa.make_url(text).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return text.split("://")[0] + "://..."
