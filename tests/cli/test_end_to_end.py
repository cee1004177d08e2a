"""The whole road on a very small budget: what other tools rely on, and every verb on the files of the others."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from danlu.cli.chat_terminal import harmless
from danlu.cli.main import main

pytestmark = pytest.mark.slow

_SMALL = [
    *("--corpus.toy.megabytes", "0.5", "--tokens.vocab-size", "512", "--budget", "5e11flops"),
    *("--ladder.min-steps", "8", "--ladder.tokens-per-parameter", "1.5", "--ladder.share", "0.3"),
    *("--training.context", "32", "--training.batch-tokens", "1024", "--label", "none"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("road") / "run"
    assert main(["run", *_SMALL, "--out", str(folder)]) == 0
    return folder


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_leaves_what_other_tools_rely_on(run: Path) -> None:
    assert {"loss", "low", "high"} <= set(_json(run / "forecast.json"))
    verdict = _json(run / "verdict.json")
    assert {"loss", "low", "high", "measured", "relative_error", "inside"} <= set(verdict)
    assert verdict["inside"] == (verdict["low"] <= verdict["measured"] <= verdict["high"])
    assert (run / "recipe.toml").exists()
    assert _json(run / "manifest.json")["data"].keys() >= {"corpus/corpus.json", "tokens/train/index.json"}
    assert (run / "pretrain" / "model" / "model.safetensors").exists()
    assert (run / "report.html").exists()
    lines = [json.loads(line) for line in (run / "pretrain" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["heldout_loss"] == pytest.approx(verdict["measured"])


def test_the_forecast_came_before_the_training(run: Path) -> None:
    forecast, training = _json(run / "forecast.json"), _json(run / "pretrain" / "stage.json")
    assert forecast["created"] <= training["started"]
    assert _json(run / "verdict.json")["forecast_hash"] == forecast["hash"]


def test_the_second_time_there_is_nothing_to_do_and_no_torch(run: Path) -> None:
    code = (
        "import sys\nfrom danlu.cli.main import main\n"
        f"assert main({['run', *_SMALL, '--out', str(run)]!r}) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout


def test_a_truncated_shard_is_named_and_made_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = run / "tokens" / "train" / "00000.bin"
    whole, verdict = shard.read_bytes(), (run / "verdict.json").read_bytes()
    shard.write_bytes(whole[:1000])
    assert main(["run", str(run)]) == 0
    assert f"{shard} is 1,000 bytes" in capsys.readouterr().out
    assert shard.read_bytes() == whole
    assert (run / "verdict.json").read_bytes() == verdict


def test_a_damaged_model_is_named_and_nothing_is_touched(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = run / "pretrain" / "model" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    assert main(["run", str(run)]) == 2
    assert str(weights) in capsys.readouterr().err
    assert weights.stat().st_size == 1000
    weights.write_bytes(whole)


def test_another_budget_in_the_same_folder_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "recipe.toml").read_bytes()
    other = ["6e11flops" if word == "5e11flops" else word for word in _SMALL]
    assert main(["run", *other, "--out", str(run), "--force"]) == 2
    assert "5e11flops before, 6e11flops now" in capsys.readouterr().err
    assert (run / "recipe.toml").read_bytes() == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_is_killed_again_and_again_ends_the_same(run: Path, tmp_path: Path) -> None:
    often = ("--training.checkpoint-seconds", "1")  # when to save is no part of what comes out
    command = [sys.executable, "-m", "danlu.cli.main", "run", *_SMALL, *often, "--out", str(tmp_path / "run")]
    for watched in ("ladder/*/trunk/timing.jsonl", "ladder/points.jsonl", "pretrain/checkpoints/step-*"):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            _wait_for(process, tmp_path / "run", watched)
            process.kill()
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    written = [*run.glob("ladder/*/*/metrics.jsonl"), run / "pretrain/metrics.jsonl"]
    for path in (*written, run / "pretrain/model/model.safetensors"):
        name = path.relative_to(run)
        assert (tmp_path / "run" / name).read_bytes() == path.read_bytes(), name


def _wait_for(process: subprocess.Popen[Any], folder: Path, pattern: str) -> None:
    """Until something of that name is there and not empty, or the process has ended."""
    while process.poll() is None and not any(path.stat().st_size for path in folder.glob(pattern)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)


_STOPPED = """
import os, sys
from danlu.cli.main import main
from danlu.training import run

def stopped(*arguments, **options):
    for result in train_steps(*arguments, **options):
        if result.step == 3:
            os.kill(os.getpid(), {signum})
        yield result

train_steps, run.train_steps = run.train_steps, stopped
sys.exit(main({words}))
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_saves_and_says_how_to_continue(run: Path, tmp_path: Path, signum: int, code: int) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    shutil.rmtree(folder / "pretrain")
    for name in ("verdict", "evaluation", "report"):
        (folder / "stages" / f"{name}.json").unlink(missing_ok=True)
    script = _STOPPED.format(signum=int(signum), words=["run", str(folder)])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr == f"danlu: stopped; finished work is saved.\n  To continue: danlu run {folder}\n"
    assert [path.name for path in (folder / "pretrain" / "checkpoints").iterdir()] == ["step-000000003"]
    if signum == signal.SIGINT:
        return  # what continues is the same after either signal
    assert main(["run", str(folder)]) == 0
    for name in ("pretrain/metrics.jsonl", "pretrain/model/model.safetensors"):
        assert (folder / name).read_bytes() == (run / name).read_bytes(), name


def test_evaluate_writes_loss_and_bits_per_byte(run: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Tom goes to the garden.\n\nMia is in the garden too.\n" * 20, encoding="utf-8")
    assert main(["evaluate", str(run), "--data", str(text), "--json", str(tmp_path / "e.json")]) == 0
    assert {"loss", "bits_per_byte"} <= set(_json(tmp_path / "e.json"))
    assert main(["evaluate", str(run), "--json", str(tmp_path / "own.json")]) == 0
    assert _json(tmp_path / "own.json")["loss"] == pytest.approx(_json(run / "verdict.json")["measured"], rel=2e-3)


def test_generate_and_chat_continue_text(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exactly = ("--max-new-tokens", "8", "--temperature", "0", "--precision", "fp32")
    assert main(["generate", str(run), "--prompt", "Tom goes", *exactly]) == 0
    streamed = capsys.readouterr().out
    assert streamed.startswith("Tom goes")
    file = tmp_path / "g.json"
    assert main(["generate", str(run), "--prompt", "Tom goes", "Mia", *exactly, "--json", str(file)]) == 0
    assert "Tom goes" + harmless(_json(file)[0]["text"]) + "\n" == streamed
    capsys.readouterr()
    (tmp_path / "typed").write_text("Mia has\n", encoding="utf-8")
    with (tmp_path / "typed").open(encoding="utf-8") as typed:
        monkeypatch.setattr("sys.stdin", typed)
        assert main(["chat", str(run), *exactly]) == 0
    greeting, said = capsys.readouterr().out.split("\n", 1)
    assert "is a base model" in greeting
    assert main(["generate", str(run), "--prompt", "Mia has", *exactly, "--json", str(file)]) == 0
    [answer] = _json(file)
    cut = r"\[8 tokens, \d+ a second, cut at 8 tokens .*\]\n" if answer["finish_reason"] == "length" else ""
    text = re.escape(harmless(answer["text"]).rstrip("\ufffd")) + "\ufffd*"  # half a character is left out
    assert re.fullmatch(text + r"\n" + cut, said)


def test_export_writes_a_folder_that_reads_back(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), str(tmp_path / "model"), "--dtype", "bf16"]) == 0
    assert main(["generate", str(tmp_path / "model"), "--prompt", "Tom", "--max-new-tokens", "2"]) == 0
    assert main(["export", str(run), str(tmp_path / "model")]) == 2


def test_fit_forecast_and_report_read_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(run), "--json", str(tmp_path / "fit.json")]) == 0
    assert _json(tmp_path / "fit.json")["params"]
    before = (run / "forecast.json").read_bytes()
    assert main(["forecast", str(run)]) == 0
    assert (run / "forecast.json").read_bytes() == before
    assert main(["report", str(run)]) == 0
    assert "report.html" in capsys.readouterr().out


def test_every_step_works_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, tokens, ladder, model = (str(tmp_path / name) for name in ("corpus", "tokens", "ladder", "model"))
    training = ["--training.context", "32", "--training.batch-tokens", "1024"]
    assert main(["corpus", "--toy.megabytes", "0.5", "--out", corpus]) == 0
    assert main(["tokens", corpus, "--vocab-size", "512", "--out", tokens]) == 0
    small = ["--budget", "5e11flops", "--min-steps", "8", "--tokens-per-parameter", "1.5", "--share", "0.3", *training]
    assert main(["ladder", "--tokens", tokens, "--out", ladder, *small]) == 0
    assert main(["forecast", ladder, "--tokens", tokens]) == 0
    assert _json(Path(ladder) / "forecast.json")["bits_per_byte"] > 0
    pretrain = ["pretrain", "--tokens", tokens, "--width", "32", "--out", model, "--context", "32"]
    assert main([*pretrain, "--batch-tokens", "1024", "--horizon", "10steps"]) == 0
    assert main(["generate", model, "--max-new-tokens", "2"]) == 0
    capsys.readouterr()
    assert main([*pretrain, "--batch-tokens", "1024", "--horizon", "12steps"]) == 2
    assert "horizon_tokens: 10240 before, 12288 now" in capsys.readouterr().err
