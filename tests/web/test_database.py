"""Two servers on one database, one that starts while the other writes, and a database that goes away."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import sqlalchemy as sa
from tests.waiting import PATIENCE

from danlu.common.errors import DanluError
from danlu.web.accounts import Accounts
from danlu.web.config import ServerConfig
from danlu.web.conversations import Conversations, StoredMessage
from danlu.web.database import Database
from danlu.web.served import ServedModels

from .conftest import DATABASES, LIMITS, database, start

PASSWORD = "a good password"


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param) as places:
        yield places.get("database", str(tmp_path / "web.db"))


def test_servers_that_start_at_once_make_the_tables_once(place: str) -> None:
    gate = threading.Barrier(4)

    def begin(number: int) -> list[str]:
        gate.wait(PATIENCE)
        accounts = Accounts(Database(place))
        with suppress(DanluError):
            accounts.add("one", "admin", PASSWORD)
        accounts.add(f"own-{number}", "labeler", PASSWORD)
        return [account.name for account in accounts.all()]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(begin, range(4)))
    accounts = Accounts(Database(place))
    assert [account.name for account in accounts.all()] == ["one", "own-0", "own-1", "own-2", "own-3"]
    added = [entry.detail for entry in accounts.audit() if entry.action == "account added"]
    assert len(added) == 5  # the same name was given once


def test_a_server_that_starts_does_not_end_what_another_is_writing(place: str) -> None:
    first = Conversations(Database(place))
    first.create("local", "conversation", "t")
    first.add("local", "conversation", StoredMessage("a-question", "", "user", "q", ""))
    first.add("local", "conversation", StoredMessage("the-reply", "a-question", "assistant", "", "m", {}, "running"))
    second = Conversations(Database(place))
    second.settle()
    assert second.get("local", "conversation")[1][-1].state == "stopped"  # had the first one died, it would be true
    first.write("the-reply", "half", "running", {})
    assert second.get("local", "conversation")[1][-1].state == "running"
    first.write("the-reply", "whole", "done", {})
    first.write("the-reply", "late", "stopped", {})
    second.settle()
    reply = second.get("local", "conversation")[1][-1]
    assert (reply.content, reply.state) == ("whole", "done")


def test_messages_added_at_once_are_numbered_once(place: str) -> None:
    servers = [Conversations(Database(place)) for _ in range(3)]
    servers[0].create("local", "conversation", "t")

    def add(number: int) -> None:
        for attempt in range(2):  # sent twice
            servers[(number + attempt) % 3].add(
                "local", "conversation", StoredMessage(f"message-{number:02}", "", "user", str(number), "")
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    _, kept = servers[0].get("local", "conversation")
    assert sorted(message.id for message in kept) == [f"message-{number:02}" for number in range(24)]


class Wire:
    """A way to a server that can be cut."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address, self._open = address, [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self._open[0].getsockname()[1]
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._open[0].accept()
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(self._address)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self.is_cut = True
        for each in self._open[1:]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        del self._open[1:]

    def close(self) -> None:
        self.cut()
        self._open[0].close()


@contextmanager
def wire(url: str) -> Iterator[tuple[Wire, str]]:
    parts = urlsplit(url)
    with closing(Wire((parts.hostname or "127.0.0.1", parts.port or 5432))) as made:
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        yield made, urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{made.port}"))


def test_a_database_that_goes_away_is_said_and_found_again(tmp_path: Path) -> None:
    with database("postgresql") as places, wire(places["database"]) as (made, url):
        found, stop = start(
            ServerConfig(data=tmp_path, port=0, database=url, feedback=url, limits=LIMITS), ServedModels([])
        )
        try:
            with closing(found.sign_in()) as browser:
                body = {"id": "conversation", "title": "t"}
                assert browser.post("/api/conversations", json=body).status_code == 200
                made.cut()
                for answer in (browser.get("/api/conversations"), browser.get("/api/label/next")):
                    assert answer.status_code == 503
                    assert answer.json()["error"]["message"] == "the database cannot be reached now."
                    assert answer.headers["retry-after"] == "2"
                assert browser.get("/").status_code == 503
                assert browser.get("/v1/models").status_code == 200  # it needs no database
                made.is_cut = False
                assert browser.get("/api/conversations").json()[0]["id"] == "conversation"
                # The server of the database starts again between two requests: nobody notices.
                made.cut()
                made.is_cut = False
                assert browser.get("/api/label/progress").status_code == 200
        finally:
            stop()


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(DanluError, match="cannot be opened") as found:
        Database("postgresql://danlu:secret@127.0.0.1:9/x")
    assert "127.0.0.1:9/x" in found.value.cause
    assert "secret" not in str(found.value)


def test_another_versions_tables_are_left_alone(place: str) -> None:
    opened = Database(place)
    with opened.write() as connection:
        connection.execute(sa.text("UPDATE web_about SET version = 7"))
    with pytest.raises(DanluError, match="layout 7"):
        Database(place)
