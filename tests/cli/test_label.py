"""`danlu label export`: the bytes that the annotation page gives."""

import json
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from tests.web.conftest import LIMITS, start

from danlu.cli.main import main
from danlu.feedback.records import Demonstration, Ranking, prompt_of
from danlu.feedback.store import Store
from danlu.web.config import ServerConfig
from danlu.web.served import ServedModels

FORMS = ("rankings", "preference", "hh-rlhf", "demonstrations", "messages", "prompt-completion")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with what people said."""
    folder = tmp_path / "run"
    folder.mkdir()
    store = Store(folder / "feedback.sqlite")
    store.add_records([Ranking(prompt_of("炉火？"), ("红", "黑"), (0, 1)), Demonstration(prompt_of("Why?"), "So.")])
    store.add_records([Ranking(prompt_of("Odd?"), ("x", "y"), (1, 0), flags=("harmful",))])
    store.close()
    return folder


def export(*words: str) -> None:
    assert main(["label", "export", *words]) == 0


def test_the_command_and_the_page_give_the_same_bytes(run: Path, tmp_path: Path) -> None:
    config = ServerConfig(data=tmp_path / "data", port=0, feedback=str(run / "feedback.sqlite"), limits=LIMITS)
    served, stop = start(config, ServedModels([]))
    try:
        with closing(served.sign_in()) as browser:
            for query, words in (
                *(({"format": form}, ("--format", form)) for form in FORMS),
                ({"format": "preference", "style": "text"}, ("--format", "preference", "--style", "text")),
                ({"format": "rankings", "flagged": "1"}, ("--flagged",)),
                ({"format": "rankings", "file": "parquet"}, ("--file", "parquet")),
            ):
                name = f"{query['format']}.{query.get('file', 'jsonl')}"
                out = tmp_path / "out" / name
                export(str(run), str(out), *words)
                data = browser.get("/api/label/export", params=query)
                assert f'filename="{name}"' in data.headers["content-disposition"]
                assert data.content == out.read_bytes()
                manifest = browser.get("/api/label/export", params={**query, "part": "manifest"})
                assert manifest.content == out.with_name(f"{name}.manifest.json").read_bytes()
            export(str(run), str(tmp_path / "out" / "all.zip"), "--format", "all")
            archive = browser.get("/api/label/export", params={"format": "all"})
            assert archive.content == (tmp_path / "out" / "all.zip").read_bytes()
            for wrong in (
                {"file": "csv"},
                {"style": "verse"},
                {"part": "x"},
                {"format": "unpaired"},
                {"format": "../x"},
            ):
                assert browser.get("/api/label/export", params=wrong).status_code == 400
            noted = [each["detail"] for each in browser.get("/api/audit").json() if "export" in each["action"]]
            assert "preference.jsonl" in noted
    finally:
        stop()


def test_it_says_what_it_wrote_and_what_it_left_out(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export(str(run), "--format", "preference")
    said = capsys.readouterr().out
    assert "wrote preference.jsonl: 1 rows; left out: 1 flagged" in said
    assert json.loads(Path("preference.jsonl.manifest.json").read_text())["left_out"] == {"flagged": 1}
    export(str(run / "feedback.sqlite"), "--format", "all", "--file", "parquet")
    with zipfile.ZipFile("feedback.zip") as archive:
        assert "messages.parquet.manifest.json" in archive.namelist()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["f.csv"], "cannot write f.csv"),
        (["f.jsonl", "--format", "all"], "ends in .zip"),
        (["--format", "unpaired"], "nothing to export as unpaired"),
    ],
)
def test_what_cannot_be_written_is_said(
    run: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    assert main(["label", "export", str(run), *words]) == 2
    assert says in capsys.readouterr().err
    assert main(["label", "export", "nowhere"]) == 2
    assert "no store of feedback nowhere" in capsys.readouterr().err
