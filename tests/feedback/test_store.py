import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.feedback.records import Demonstration, Ranking, prompt_of
from danlu.feedback.store import Added, Store
from danlu.feedback.tasks import Task

MakeTask = Callable[..., Task]
MakeRanking = Callable[..., Ranking]


def test_records_come_back_as_they_went_in(place: str, ranking: MakeRanking) -> None:
    odd = ranking(0, note="NUL \x00, half a pair \ud800, 汉字", annotator="p", labels={"x": [1, None]})
    given = [odd, ranking(1, (0, 0, 1)), Demonstration(prompt_of("Say hi."), "hi")]
    store = Store(place)
    assert store.add_records(given) == Added(3, 0)
    store.close()
    again = Store(place)
    assert [judgement.record for judgement in again.judgements()] == given
    assert list(again.rankings()) == given[:2]
    assert list(again.demonstrations()) == given[2:]


def test_the_same_record_is_kept_once(place: str, ranking: MakeRanking) -> None:
    store = Store(place)
    assert store.add_records([ranking(i % 3) for i in range(1200)]) == Added(3, 1197)
    assert store.add_records(ranking(i) for i in range(4)) == Added(1, 3)
    assert len(list(store.rankings())) == 4


def test_flagged_records_are_given_only_when_asked_for(place: str, ranking: MakeRanking) -> None:
    store = Store(place)
    store.add_records([ranking(0), ranking(1, flags=("harmful",))])
    assert len(list(store.rankings())) == 1
    assert len(list(store.rankings(flagged=True))) == 2


def test_other_events_are_kept_and_change_nothing(place: str) -> None:
    store = Store(place)
    before = store.tables()
    event = store.note("signed_in", {"address": "local"}, annotator="ann", id="x")
    assert store.note("signed_in", {"address": "other"}, id="x") == event
    assert list(store.log.events(kinds=["signed_in"])) == [event]
    assert store.tables() == before
    with pytest.raises(ValueError, match="answer"):
        store.note("answer", {})


def test_many_events_are_read_in_order(place: str, ranking: MakeRanking) -> None:
    store = Store(place)
    store.add_records(ranking(i) for i in range(1100))
    numbers = [event.number for event in store.log.events()]
    assert len(numbers) == 1100
    assert numbers == sorted(numbers)
    assert [event.number for event in store.log.events(after=numbers[-3])] == numbers[-2:]


_WRITER = """
import sys
from danlu.feedback.records import Demonstration, Ranking, prompt_of
from danlu.feedback.store import Store
place, writer = sys.argv[1:]
store = Store(place)
for i in range(40):
    prompt = prompt_of(f"{writer}/{i}")
    store.add_records([Ranking(prompt, ("a", "b"), (0, 1), annotator=f"p{writer}"), Demonstration(prompt, "r")])
"""


def test_two_writers_lose_nothing(place: str) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, place, str(i)]) for i in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    store = Store(place)
    rankings = list(store.rankings())
    assert len(rankings) == len(list(store.demonstrations())) == 120
    for i in range(3):
        mine = [r.prompt[0].content for r in rankings if r.annotator == f"p{i}"]
        assert mine == [f"{i}/{j}" for j in range(40)]
    tables = store.tables()
    assert store.rebuild() == 240
    assert store.tables() == tables


_ENDLESS = """
import sys
from danlu.feedback.records import Ranking, prompt_of
from danlu.feedback.store import Store
store = Store(sys.argv[1])
for i in range(int(sys.argv[2]), 10**9):
    store.add_records([Ranking(prompt_of(str(i)), ("a", "b"), (0, 1))])
    print(i, flush=True)
"""


def test_a_kill_loses_nothing_that_was_committed(place: str) -> None:
    for _ in range(2):
        before = len(list(Store(place).rankings()))
        command = [sys.executable, "-c", _ENDLESS, place, str(before)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        said = before - 1
        while said < before + 20:
            said = int(writer.stdout.readline())  # nothing to read means that the writer has died: an error
        os.kill(writer.pid, signal.SIGKILL)
        said = max([said, *map(int, writer.stdout.read().split())])
        writer.wait()
        store = Store(place)
        kept = [int(r.prompt[0].content) for r in store.rankings()]
        assert kept[: said + 1] == list(range(said + 1))
        assert len(kept) <= said + 2  # at most the one in work, whole
        tables = store.tables()
        store.rebuild()
        assert store.tables() == tables


def test_a_failed_write_leaves_nothing_behind(place: str, ranking: MakeRanking) -> None:
    store = Store(place)

    def fail() -> None:
        with store.log.write() as connection:
            store.log.append(connection, "record", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(store.log.events()) == []
    store.add_records([ranking()])


def test_the_file_is_in_write_ahead_mode(tmp_path: Path) -> None:
    store = Store(tmp_path / "sub" / "feedback.db")
    with store.log.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_readers_do_not_wait_for_a_writer(tmp_path: Path, ranking: MakeRanking) -> None:
    store, other = Store(tmp_path / "f.db"), Store(tmp_path / "f.db")
    store.add_records([ranking()])
    with store.log.write():
        assert len(list(other.rankings())) == 1


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("mysql://host/db", "mysql"),
        ("postgresql://nobody:secret@127.0.0.1:9/x", "cannot be opened"),
        ("oracle://", "oracle"),
    ],
)
def test_what_is_no_store(place: str, says: str) -> None:
    with pytest.raises(DanluError, match=says) as error:
        Store(place)
    assert "secret" not in str(error.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("This is a text, and long enough to be taken for a damaged database.\n" * 20)
    with pytest.raises(DanluError, match="cannot be opened"):
        Store(path)
    assert path.read_text().startswith("This is a text")


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "f.db")
    with store.log.write() as connection:
        connection.exec_driver_sql("UPDATE about SET version = 99")
    with pytest.raises(DanluError, match="layout 99"):
        Store(tmp_path / "f.db")
