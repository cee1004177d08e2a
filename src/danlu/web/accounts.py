"""Who may use the server: accounts with roles, invitations, and the log of what was done."""

import re
import time as clock
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from danlu.common.errors import DanluError
from danlu.web.database import Database, metadata
from danlu.web.passwords import SHORTEST_PASSWORD, digest, hash_password, new_secret, password_matches

Role = Literal["admin", "labeler"]
LOCAL = "local"
"""The name of whoever came by the one-time link of this machine."""

users = sa.Table(
    "web_users",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password", sa.String(256), nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
)
invites = sa.Table(
    "web_invites",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("expires", sa.Float(53), nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
)
sessions = sa.Table(
    "web_sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, index=True),
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("expires", sa.Float(53), nullable=False),
)
audit = sa.Table(
    "web_audit",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", sa.Float(53), nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
)

_NAME = re.compile(r"\w[\w.@-]{0,63}")


@dataclass(frozen=True)
class Account:
    """Somebody who may use the server."""

    name: str
    role: Role


@dataclass(frozen=True)
class AuditEntry:
    """Something that was done."""

    number: int
    time: float
    """When (seconds since 1970, UTC)."""
    actor: str
    """Who did it; empty: nobody who had signed in."""
    action: str
    detail: str
    address: str
    """From where; empty: from the command line."""


class Accounts:
    """The accounts in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._nobody = ""

    def add(self, name: str, role: str, password: str, *, actor: str = "", address: str = "") -> Account:
        """Make an account.

        Raises:
            DanluError: the name is taken or not allowed, the role is unknown or the password too short.
        """
        account = _checked(name, role)
        _check_password(password)
        hashed = hash_password(password)
        with self._database.write() as connection:
            if connection.execute(sa.select(users.c.name).where(users.c.name == name)).first():
                raise DanluError(
                    f"there is an account {name} already.", "Choose another name, or give it a new password."
                )
            values = {"name": name, "role": role, "password": hashed, "created": clock.time(), "is_active": True}
            connection.execute(users.insert().values(**values))
            note(connection, "account added", f"{name} ({role})", actor=actor, address=address)
        return account

    def set_password(self, name: str, password: str, *, actor: str = "", address: str = "") -> None:
        """Give an account another password and end its sessions."""
        _check_password(password)
        hashed = hash_password(password)
        with self._database.write() as connection:
            _require(connection, name)
            connection.execute(users.update().where(users.c.name == name).values(password=hashed, is_active=True))
            _end_sessions(connection, name)
            note(connection, "password changed", name, actor=actor, address=address)

    def remove(self, name: str, *, actor: str = "", address: str = "") -> None:
        """Close an account and end its sessions; what it did stays."""
        with self._database.write() as connection:
            _require(connection, name)
            connection.execute(users.update().where(users.c.name == name).values(is_active=False))
            _end_sessions(connection, name)
            note(connection, "account closed", name, actor=actor, address=address)

    def all(self) -> list[Account]:
        """The open accounts, by name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(users).where(users.c.is_active).order_by(users.c.name)).all()
        return [Account(row.name, row.role) for row in rows]

    def check(self, name: str, password: str) -> Account | None:
        """The account of a name and its password; None where they do not belong together."""
        row = None
        if _NAME.fullmatch(name):
            with self._database.read() as connection:
                row = connection.execute(sa.select(users).where(users.c.name == name, users.c.is_active)).first()
        if row is None:
            self._nobody = self._nobody or hash_password(new_secret())
            password_matches(password, self._nobody)  # an unknown name takes as long as a known one
            return None
        return Account(row.name, row.role) if password_matches(password, row.password) else None

    def get(self, name: str) -> Account | None:
        """An open account by its name."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name, users.c.is_active)).first()
        return None if row is None else Account(row.name, row.role)

    def invite(self, name: str, role: str, seconds: float, *, actor: str = "", address: str = "") -> str:
        """A secret with which somebody sets the password of a new account, once."""
        _checked(name, role)
        secret = new_secret()
        with self._database.write() as connection:
            if connection.execute(sa.select(users.c.name).where(users.c.name == name)).first():
                raise DanluError(f"there is an account {name} already.", "Choose another name.")
            values = {"digest": digest(secret), "name": name, "role": role, "is_open": True}
            connection.execute(invites.insert().values(expires=clock.time() + seconds, **values))
            note(connection, "invited", f"{name} ({role})", actor=actor, address=address)
        return secret

    def invited(self, secret: str, now: float | None = None) -> Account | None:
        """Whom an invitation that is still good is for."""
        now = clock.time() if now is None else now
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(invites).where(invites.c.digest == digest(secret), invites.c.is_open, invites.c.expires > now)
            ).first()
        return None if row is None else Account(row.name, row.role)

    def join(self, secret: str, password: str, *, address: str = "") -> Account:
        """Take up an invitation.

        Raises:
            DanluError: it is used, too old or unknown, or the password is too short.
        """
        invited = self.invited(secret)
        if invited is None:
            raise DanluError("this invitation is used, too old or unknown.", "Ask for a new one.")
        account = self.add(invited.name, invited.role, password, actor=invited.name, address=address)
        with self._database.write() as connection:
            connection.execute(invites.update().where(invites.c.name == account.name).values(is_open=False))
        return account

    def note(self, action: str, detail: str = "", *, actor: str = "", address: str = "") -> None:
        """Add to the log of what was done."""
        with self._database.write() as connection:
            note(connection, action, detail, actor=actor, address=address)

    def audit(self, limit: int = 200) -> list[AuditEntry]:
        """What was done last, the newest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(audit).order_by(audit.c.number.desc()).limit(limit)).all()
        return [AuditEntry(*row) for row in rows]


def note(connection: Connection, action: str, detail: str, *, actor: str, address: str) -> None:
    """Add to the log of what was done, within a transaction."""
    shown = detail[:2000].replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL keeps no NUL
    values = {"actor": actor[:64], "action": action[:64], "detail": shown, "address": address[:64]}
    connection.execute(audit.insert().values(time=clock.time(), **values))


def _checked(name: str, role: str) -> Account:
    if not _NAME.fullmatch(name) or name == LOCAL:
        raise DanluError(f"an account cannot be called {name!r}.", "Give up to 64 letters, digits, dots, hyphens or @.")
    for known in get_args(Role):
        if role == known:
            return Account(name, known)
    raise DanluError(f"there is no role {role!r}.", f"It is {' or '.join(get_args(Role))}.")


def _check_password(password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= 1000:
        raise DanluError(
            f"the password has {len(password)} characters.", f"Give {SHORTEST_PASSWORD} or more, 1000 at most."
        )


def _require(connection: Connection, name: str) -> None:
    known = _NAME.fullmatch(name) and connection.execute(sa.select(users.c.name).where(users.c.name == name)).first()
    if not known:
        raise DanluError(f"there is no account {name}.", "danlu users list shows the accounts.")


def _end_sessions(connection: Connection, name: str) -> None:
    connection.execute(sessions.delete().where(sessions.c.name == name))
