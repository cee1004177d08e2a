"""`danlu sft`, `reward` and `dpo` on files, and what they say to wrong ones."""

import json
import shutil
from pathlib import Path

import pytest

from danlu.cli.main import main
from danlu.feedback.outgoing import export_demonstrations, export_rankings

COMMON = ["--batch-size", "8", "--epochs", "1", "--lr", "1e-3", "--device", "cpu", "--precision", "fp32"]


@pytest.fixture(scope="module")
def files(demonstrations, rankings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    export_demonstrations(demonstrations(40), folder / "demonstrations.jsonl", "messages")
    export_rankings(rankings(40), folder / "preferences.jsonl", "preference")
    return folder


def test_sft_then_reward_then_dpo_on_files_of_the_ecosystem(
    base: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sft = ["sft", str(base), "--data", str(files / "demonstrations.jsonl"), "--out", str(tmp_path / "sft"), *COMMON]
    assert main(sft) == 0
    said = capsys.readouterr().out
    assert "40 rows of messages" in said
    assert f"next: danlu chat {tmp_path / 'sft/model'}" in said
    assert main(sft) == 0  # again: it is done, and says so by its result
    assert main([*sft, "--seed", "1"]) == 2
    assert "begun with other settings" in capsys.readouterr().err

    data = ["--data", str(files / "preferences.jsonl")]
    shown = ["--demonstrations", str(files / "demonstrations.jsonl")]
    assert main(["reward", str(tmp_path / "sft"), *data, *shown, "--out", str(tmp_path / "rm"), *COMMON]) == 0
    said = capsys.readouterr().out
    assert "held-out pairs; length alone" in said
    assert json.loads((tmp_path / "rm/result.json").read_text())["heldout"]["pairs"] > 0

    assert main(["dpo", str(tmp_path / "sft"), *data, "--out", str(tmp_path / "dpo"), *COMMON]) == 0
    assert "(0.6931 before)" in capsys.readouterr().out

    assert main(["dpo", str(tmp_path / "rm"), *data, "--out", str(tmp_path / "no"), *COMMON]) == 2
    assert "is a reward model" in capsys.readouterr().err


def test_files_of_the_wrong_kind_are_named_with_a_way_on(
    base: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alpaca = tmp_path / "alpaca.jsonl"
    alpaca.write_text(json.dumps({"instruction": "say red", "output": "red"}) + "\n")
    out = ["--out", str(tmp_path / "out")]
    for verb, file, words in (
        ("sft", alpaca, "looks like Alpaca's instructions"),
        ("sft", files / "preferences.jsonl", "holds rankings"),
        ("reward", files / "demonstrations.jsonl", "holds demonstrations"),
    ):
        assert main([verb, str(base), "--data", str(file), *out, *COMMON]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_learn_to_stop_or_mark_its_words_is_refused(
    base: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sft(folder: Path, *more: str) -> int:
        data = [
            "--data",
            str(files / "demonstrations.jsonl"),
            "--out",
            str(tmp_path / f"out-{folder.name}-{len(more)}"),
        ]
        return main(["sft", str(folder), *data, *COMMON, *more])

    settings = json.loads((base / "tokenizer_config.json").read_text())
    for name, change in (
        ("padded", {"pad_token": "<|im_end|>"}),
        ("bare", {"chat_template": "{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"}),
    ):
        shutil.copytree(base, tmp_path / name)
        (tmp_path / name / "tokenizer_config.json").write_text(json.dumps(settings | change))
    assert sft(tmp_path / "padded") == 2
    assert "the one that ends a turn" in capsys.readouterr().err
    assert sft(tmp_path / "bare") == 2
    assert "--template chatml" in capsys.readouterr().err
    assert sft(tmp_path / "bare", "--template", "chatml") == 0
    assert "generation" in (tmp_path / "out-bare-2/model/chat_template.jinja").read_text()
