"""The application's own database: SQLite by default, PostgreSQL by URL. Tables stand beside the code that uses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from danlu.common.errors import DanluError
from danlu.feedback.log import connect

VERSION = 1
"""Of the tables' layout."""

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
        shown = str(place) if "://" not in str(place) else "the database"  # a URL may hold a password
        try:
            with self.write() as connection:
                metadata.create_all(connection)
                version = connection.scalar(sa.select(_about.c.version))
                if version is None:
                    connection.execute(_about.insert().values(version=VERSION))
        except sa.exc.DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise DanluError(
                f"{shown} cannot be opened: {reason}.", "Check that it is danlu's and that you may write it."
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
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
