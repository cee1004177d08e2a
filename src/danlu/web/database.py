"""The application's own database: SQLite by default, PostgreSQL by URL. Tables stand beside the code that uses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from danlu.common.errors import DanluError
from danlu.feedback.log import connect, hidden

VERSION = 1
"""Of the tables' layout."""

_ADVISORY_LOCK = 0x64616E6C76  # the feedback's is one less; held by the one writer of a PostgreSQL database

metadata = sa.MetaData()
_about = sa.Table("web_about", metadata, sa.Column("version", sa.Integer, primary_key=True))


class Database:
    """A database with all tables made; safe to use from several threads."""

    def __init__(self, place: str | Path) -> None:
        """
        Args:
            place: the path of an SQLite file, made where it is missing, or a postgresql:// URL.

        Raises:
            DanluError: it cannot be opened, or was made by another version.
        """
        self.engine = connect(place)
        self._writing = self.engine.execution_options(danlu_writes=True)
        shown = hidden(place)
        try:
            with self.write() as connection:
                metadata.create_all(connection)
                version = connection.scalar(sa.select(_about.c.version))
                if version is None:
                    connection.execute(_about.insert().values(version=VERSION))
        except sa.exc.DBAPIError as error:
            raise DanluError(
                f"{shown} cannot be opened: {reason(error)}.",
                "Check that it can be reached, that it is danlu's and that you may write it.",
            ) from error
        if version not in (None, VERSION):
            raise DanluError(
                f"{shown} has layout {version}, and this danlu knows layout {VERSION}.",
                "Use the version of danlu that made it.",
            )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction; all of it is kept or, when the block fails, nothing."""
        with self._writing.begin() as connection:
            if self.engine.dialect.name == "postgresql":
                # As in SQLite, one writer at a time: what it read still holds when it writes.
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def reason(error: sa.exc.DBAPIError) -> str:
    """Why a database refused, in its own words, on one line."""
    lines = str(error.orig).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error.orig).__name__
