"""Who a browser is: the one-time link, sign-ins kept as hashes, and the brake on guessing passwords."""

import hmac
import threading
import time as clock
from collections import defaultdict, deque
from dataclasses import dataclass

import sqlalchemy as sa

from danlu.web.accounts import LOCAL, Account, Accounts, sessions
from danlu.web.database import Database
from danlu.web.passwords import digest, new_secret


@dataclass(frozen=True)
class Session:
    """A browser that has signed in."""

    account: Account
    csrf: str
    """What its pages send with every write, in the header X-CSRF-Token."""
    digest: str
    """Of the cookie."""


class OneTimeToken:
    """The secret of the link that the server prints; good for one sign-in, then replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = new_secret()

    def take(self, offered: str) -> bool:
        """Whether the secret is right; if so it is good no more and `value` is a new one."""
        with self._lock:
            right = hmac.compare_digest(offered.encode("utf-8", "surrogatepass"), self.value.encode())
            if right:
                self.value = new_secret()
            return right


class Sessions:
    """The sign-ins in a database; they outlive a restart of the server."""

    def __init__(self, database: Database, accounts: Accounts, seconds: float) -> None:
        self._database, self._accounts, self._seconds = database, accounts, seconds

    def begin(self, account: Account, address: str) -> str:
        """Sign an account in; returns the cookie's secret."""
        secret, now = new_secret(), clock.time()
        with self._database.write() as connection:
            connection.execute(sessions.delete().where(sessions.c.expires < now))
            values = {"digest": digest(secret), "name": account.name, "csrf": new_secret()}
            connection.execute(sessions.insert().values(expires=now + self._seconds, **values))
        self._accounts.note("signed in", actor=account.name, address=address)
        return secret

    def find(self, secret: str, *, local: bool) -> Session | None:
        """The session of a cookie; None where there is none or it has ended.

        Args:
            local: whether whoever came by the one-time link is still welcome: only while the server is this machine's.
        """
        row_of = sa.select(sessions).where(sessions.c.digest == digest(secret), sessions.c.expires > clock.time())
        with self._database.read() as connection:
            row = connection.execute(row_of).first()
        if row is None:
            return None
        if row.name == LOCAL and not local:
            return None
        account = Account(LOCAL, "admin") if row.name == LOCAL else self._accounts.get(row.name)
        return None if account is None else Session(account, row.csrf, row.digest)

    def end(self, session: Session, address: str) -> None:
        """Sign out."""
        with self._database.write() as connection:
            connection.execute(sessions.delete().where(sessions.c.digest == session.digest))
        self._accounts.note("signed out", actor=session.account.name, address=address)


class Brake:
    """Counts failures by key; whoever has too many must wait until they are old."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._most, self._seconds = failures, seconds
        self._failed: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def wait(self, *keys: str, now: float | None = None) -> float:
        """For how long somebody must wait (seconds); 0: not at all."""
        now = clock.monotonic() if now is None else now
        with self._lock:
            for key in [key for key, times in self._failed.items() if not times or times[-1] < now - self._seconds]:
                del self._failed[key]
            waits = [0.0]
            for key in keys:
                times = self._failed.get(key, deque())
                while times and times[0] < now - self._seconds:
                    times.popleft()
                if len(times) >= self._most:
                    waits.append(times[0] + self._seconds - now)
            return max(waits)

    def fail(self, *keys: str, now: float | None = None) -> None:
        """Count a failure."""
        now = clock.monotonic() if now is None else now
        with self._lock:
            for key in keys:
                self._failed[key].append(now)

    def succeed(self, key: str) -> None:
        """Forget a key's failures."""
        with self._lock:
            self._failed.pop(key, None)
