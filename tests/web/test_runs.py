"""The dashboard's endpoints over run folders as they grow."""

import json
import os
import shutil
from pathlib import Path

import httpx
import pytest
from tests.waiting import get

from danlu.web.runs import find_runs, tail

from .conftest import Served


@pytest.fixture
def run(served: Served) -> Path:
    assert served.services.config.runs is not None
    folder = served.services.config.runs / "group" / "mine"
    (folder / "pretrain").mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text('name = "mine"\n', encoding="utf-8")
    (folder / "manifest.json").write_text('{"command": "danlu run --name mine"}')
    (folder / "forecast.json").write_text('{"loss": 2.5}')
    (folder / "verdict.json").write_text("{broken")
    (folder / "pretrain" / "stage.json").write_text(
        '{"stage": "pretrain", "state": "done", "seconds": 1.5, "results": {}}'
    )
    (folder / "pretrain" / "metrics.jsonl").write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": NaN}\n{"st')
    return folder


def test_runs_are_listed_and_shown(run: Path, browser: httpx.Client) -> None:
    (head,) = browser.get("/api/runs").json()
    assert (head["name"], head["stages"]["pretrain"]["state"], head["has_report"]) == ("group/mine", "done", False)
    shown = browser.get("/api/runs/group/mine").json()
    assert (shown["command"], shown["forecast"], shown["verdict"]) == ("danlu run --name mine", {"loss": 2.5}, None)
    assert shown["recipe"] == 'name = "mine"\n'
    assert shown["metrics"] == ["pretrain/metrics.jsonl"]
    assert shown["unreadable"] == ["verdict.json"]


def test_metrics_are_read_from_where_one_was(run: Path, browser: httpx.Client) -> None:
    first = browser.get("/api/runs/group/mine/metrics").json()
    assert first["lines"] == [{"step": 1, "loss": 3}, {"step": 2, "loss": None}]  # not the torn line
    with (run / "pretrain" / "metrics.jsonl").open("a") as file:
        file.write('ep": 3}\n')
    then = browser.get("/api/runs/group/mine/metrics", params={"after": first["next"]}).json()
    assert (then["lines"], then["reset"]) == ([{"step": 3}], False)
    for after in ("-1", "x", "9" * 30):
        assert browser.get("/api/runs/group/mine/metrics", params={"after": after}).status_code == 400


def test_samples_are_read_like_metrics(run: Path, browser: httpx.Client) -> None:
    (run / "pretrain" / "samples.jsonl").write_text('{"step": 1, "prompt": "a", "text": "b"}\n{"st')
    shown = browser.get("/api/runs/group/mine").json()
    assert (shown["samples"], shown["metrics"]) == (["pretrain/samples.jsonl"], ["pretrain/metrics.jsonl"])
    found = browser.get("/api/runs/group/mine/metrics", params={"file": "pretrain/samples.jsonl"}).json()
    assert found["lines"] == [{"step": 1, "prompt": "a", "text": "b"}]
    (run / "pretrain" / "samples.jsonl").unlink()


def test_a_damaged_run_is_shown_as_far_as_it_can_be_read(run: Path, served: Served, browser: httpx.Client) -> None:
    broken = run.parent / "broken"
    (broken / "pretrain").mkdir(parents=True)
    (broken / "manifest.json").write_text("[1, 2]")
    (broken / "forecast.json").write_bytes(b"\xff\xfe\x00")
    (broken / "pretrain" / "stage.json").write_text("null")
    (broken / "pretrain" / "result.json").write_text("[" * 100_000)
    (broken / "pretrain" / "metrics.jsonl").write_text('[1]\n"x"\n3\nnull\n{"step": 1}\n' + "[" * 100_000 + "\n")
    (broken / "dangling.json").symlink_to("/nowhere")
    shown = browser.get("/api/runs/group/broken").json()
    assert (shown["manifest"], shown["forecast"], shown["command"], shown["stages"]) == (None, None, None, {})
    assert set(shown["unreadable"]) >= {"manifest.json", "forecast.json", "pretrain/stage.json", "pretrain/result.json"}
    lines = browser.get("/api/runs/group/broken/metrics").json()["lines"]
    assert lines == [{"step": 1}]
    shutil.rmtree(broken)


def test_a_report_is_opened_in_an_origin_of_its_own(run: Path, browser: httpx.Client) -> None:
    assert browser.get("/api/runs/group/mine/report").status_code == 400
    (run / "report.html").write_text("<!doctype html><script>document.title = origin</script>")
    answer = browser.get("/api/runs/group/mine/report")
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts;" in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    (run / "report.html").unlink()
    assert get(f"{browser.base_url}/api/runs/group/mine/report").status_code == 401


def test_changes_are_told_as_they_come(run: Path, browser: httpx.Client) -> None:
    with browser.stream("GET", "/api/runs/group/mine/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = (json.loads(line[6:])["changed"] for line in answer.iter_lines() if line.startswith("data: "))
        assert "forecast.json" in next(events)
        with (run / "pretrain" / "metrics.jsonl").open("a") as file:
            file.write('ep": 3}\n')
        assert list(next(events)) == ["pretrain/metrics.jsonl"]


def test_a_file_that_was_cut_back_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    assert tail(path, 500) == {"lines": [{"step": 1}], "next": 12, "every": 1, "reset": True}


def test_long_files_are_thinned_but_evaluations_stay(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": i, **({"heldout_loss": 1} if i % 1000 == 7 else {})}) for i in range(10_000)]
    path.write_text("\n".join(lines) + "\n")
    found = tail(path, 0)
    assert found["every"] == 5
    assert sum("heldout_loss" in line for line in found["lines"]) == 10
    assert found["lines"][-1]["step"] == 9_999


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "recipe.toml").write_text("")
    (tmp_path / "runs").mkdir()
    os.symlink(tmp_path / "outside", tmp_path / "runs" / "link")
    assert find_runs(tmp_path / "runs") == []
