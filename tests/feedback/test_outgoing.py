"""What stands in a store, as files that others train on: the same bytes each time, and a manifest that adds up."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from danlu import __version__
from danlu.common.errors import DanluError
from danlu.feedback.desk import Desk
from danlu.feedback.exchange import read_feedback
from danlu.feedback.outgoing import (
    EXPORT_FORMATS,
    NothingToExport,
    export_all,
    export_format,
    export_rankings,
    export_store,
)
from danlu.feedback.records import Demonstration, Message, Ranking, prompt_of
from danlu.feedback.tasks import Policy, Task

MakeRanking = Callable[..., Ranking]


@pytest.fixture
def desk(place: str) -> Desk:
    """A tie, a flag, a system turn, a hidden repeat, a test question, a demonstration and thumbs that change."""
    desk = Desk(place, Policy(repeat_every=2, repeat_distance=1, gold_every=2))
    desk.add_tasks(Task("rank", prompt_of(f"{i}?"), (f"a{i}", f"b{i}")) for i in range(5))
    desk.add_tasks([Task("rank", prompt_of("gold?"), ("right", "wrong"), gold_ranks=(0, 1))])
    while (lease := desk.next_task("lin")) is not None:
        desk.rank(lease.id, (0, 0) if lease.prompt[0].content == "0?" else (0, 1))
    told = (Message("system", "Be brief."), Message("user", "Sky?"))
    desk.add_records([Ranking(told, ("Blue.", "Green."), (0, 1), labels={"n": 1}), Demonstration(told, "Blue.")])
    desk.add_records([Ranking(prompt_of("odd?"), ("x", "y"), (0, 1), flags=("broken_prompt",))])
    for message, value in (("1", 1), ("2", 1), ("2", -1), ("3", 1), ("3", 0)):
        said = [{"role": "user", "content": f"{message}!"}]
        desk.note("thumb", {"prompt": said, "completion": "So.", "value": value, "message": message}, annotator="lin")
    return desk


def lines(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.decode().split("\n") if line]


def test_a_manifest_says_what_is_in_the_file_and_what_is_not(desk: Desk) -> None:
    made = export_store(desk, "preference.jsonl", "preference")
    manifest = json.loads(made.manifest)
    assert manifest == {
        "file": "preference.jsonl",
        "format": "preference",
        "style": "conversation",
        "filters": {"flagged": False, "hidden repeats": False, "test questions": False},
        "rows": 5,
        "left_out": {"flagged": 1, "hidden repeats": 2, "test questions": 1, "tied pairs": 1},
        "sha256": hashlib.sha256(made.data).hexdigest(),
        "danlu": __version__,
    }
    assert len(lines(made.data)) == 5
    with_flags = export_store(desk, "preference.jsonl", "preference", flagged=True)
    assert json.loads(with_flags.manifest)["filters"]["flagged"] is True
    assert (with_flags.rows, "flagged" in with_flags.dropped) == (6, False)


@pytest.mark.parametrize("form", EXPORT_FORMATS)
def test_the_same_store_makes_the_same_bytes(desk: Desk, form: str) -> None:
    for name in (f"{form}.jsonl", f"{form}.parquet"):
        first, again = (export_store(desk, name, export_format(form)) for _ in range(2))
        assert (first.data, first.manifest) == (again.data, again.manifest)
        assert first.rows > 0


def test_thumbs_are_rows_without_a_rival(desk: Desk) -> None:
    found = lines(export_store(desk, "unpaired.jsonl", "unpaired").data)
    assert found == [
        {
            "prompt": [{"role": "user", "content": f"{message}!"}],
            "completion": [{"role": "assistant", "content": "So."}],
            "label": label,
        }
        for message, label in (("1", True), ("2", False))
    ]
    plain = lines(export_store(desk, "unpaired.jsonl", "unpaired", style="text").data)
    assert plain[0] == {"prompt": "1!", "completion": "So.", "label": True}


def test_a_system_turn_goes_before_the_humans_words_in_a_transcript(desk: Desk) -> None:
    found = lines(export_store(desk, "hh-rlhf.jsonl", "hh-rlhf").data)
    assert found[-1] == {
        "chosen": "\n\nHuman: Be brief.\nSky?\n\nAssistant: Blue.",
        "rejected": "\n\nHuman: Be brief.\nSky?\n\nAssistant: Green.",
    }


def test_everything_is_one_archive(desk: Desk) -> None:
    data = export_all(desk, "jsonl")
    assert data == export_all(desk, "jsonl")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert names == [each for form in EXPORT_FORMATS for each in (f"{form}.jsonl", f"{form}.jsonl.manifest.json")]
        assert archive.read("rankings.jsonl") == export_store(desk, "rankings.jsonl", "rankings").data


def test_of_an_empty_store_nothing_is_written(place: str) -> None:
    desk = Desk(place)
    with pytest.raises(NothingToExport, match="nothing to export as unpaired"):
        export_store(desk, "unpaired.jsonl", "unpaired")
    with pytest.raises(DanluError, match="no feedback"):
        export_all(desk, "parquet")
    with pytest.raises(DanluError, match="no format 'csv'"):
        export_format("csv")


def test_parquet_holds_what_only_some_rows_have(tmp_path: Path, ranking: MakeRanking) -> None:
    given = [
        ranking(0),
        ranking(1, note="n", ratings=(1, None, 7), completion_flags=((), ("harmful",), ()), labels={"a": {"b": [1]}}),
        ranking(2, seconds=1.5, shown=(2, 0, 1), labels={"a": "text", "c": None}),
    ]
    export_rankings(given, tmp_path / "f.parquet")
    assert list(read_feedback(tmp_path / "f.parquet").rankings) == given


def test_what_parquet_cannot_hold_is_said(tmp_path: Path, ranking: MakeRanking) -> None:
    with pytest.raises(DanluError, match=r"parquet cannot hold f\.parquet") as found:
        export_rankings([ranking(0, note="half a pair \ud800")], tmp_path / "f.parquet")
    assert ".jsonl" in found.value.remedy
    assert not list(tmp_path.iterdir())
