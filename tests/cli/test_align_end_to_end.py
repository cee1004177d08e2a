"""From text to an assistant by the command line on a very small budget, a further round, a road that ends early."""

import io
import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from danlu.alignment.outcome import read_outcome
from danlu.cli.chat_terminal import harmless
from danlu.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("completions_of_every_quality")]

_BASE = [
    *("--corpus.toy.megabytes", "0.3", "--tokens.vocab-size", "512", "--budget", "2e11flops"),
    *("--ladder.min-steps", "8", "--ladder.tokens-per-parameter", "1.5", "--ladder.share", "0.3"),
    *("--training.context", "32", "--training.batch-tokens", "1024"),
]
_ALIGNMENT = {
    "scale": "1",
    "context": "128",
    "completions": "3",
    "overlap": "0.3",
    "held-out-rankings": "0.3",
    "prompts.demonstrations": "40",
    "prompts.comparisons": "24",
    "prompts.ppo": "16",
    "prompts.held-out": "6",
    "labeller.agreement": "0.55",
    "sft.epochs": "1",
    "sft.evaluations": "1",
    "ppo.episodes": "16",
    "ppo.batch-size": "8",
    "ppo.minibatch-size": "8",
    "ppo.epochs": "1",
    "ppo.max-new-tokens": "48",
}
_KINDS = ("--alignment.prompts.kinds", "list", "sum", "scene")


def words() -> list[str]:
    flags = [word for name, value in _ALIGNMENT.items() for word in (f"--alignment.{name}", value)]
    return ["run", *_BASE, *flags, *_KINDS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, completions_of_every_quality: None) -> Path:
    folder = tmp_path_factory.mktemp("aligned") / "run"
    assert main([*words(), "--out", str(folder)]) == 0
    return folder


def test_the_road_ends_at_an_assistant_and_its_page(run: Path) -> None:
    outcome = read_outcome(run / "align" / "outcome.json")
    assert [model.name for model in outcome.models] == ["base", "sft", "best-of-4", "ppo"]
    assert "The assistant" in (run / "report.html").read_text(encoding="utf-8")


def test_the_assistant_loads_in_transformers_with_its_template(run: Path) -> None:
    folder = run / "align" / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi."}], tokenize=False, add_generation_prompt=True
    )
    assert text.endswith("<|im_start|>assistant\n")
    assert model.config.max_position_embeddings == 128


def test_one_can_chat_with_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept = tmp_path / "talk.jsonl"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"Name two animals.\n\nWhat is one plus one?\n/save {kept}\n"))
    assert main(["chat", str(run), "--max-new-tokens", "6"]) == 0
    greeting, said = capsys.readouterr().out.split("\n", 1)
    assert "is an assistant." in greeting
    [talk] = map(json.loads, kept.read_text(encoding="utf-8").splitlines())
    assert [turn["role"] for turn in talk["messages"]] == ["user", "assistant"] * 2
    first, second = (harmless(turn["content"]) for turn in talk["messages"][1::2])  # whatever it says
    assert said.startswith(first + "\n")
    assert second + "\n" in said.removeprefix(first)


def test_the_second_time_there_is_nothing_to_do(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words(), "--out", str(run)]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_further_round_learns_from_all_rankings(run: Path) -> None:
    assert main(["align", str(run), "--rounds", "2"]) == 0
    lines = [json.loads(line) for line in (run / "align" / "rounds.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["round"] for line in lines] == [1, 2]
    assert lines[1]["comparisons"] > lines[0]["comparisons"]
    assert read_outcome(run / "align" / "outcome.json").models[-1].name == "round-2"


def test_ones_own_text_ends_at_the_base_model_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "mine.txt"
    text.write_text("\n\n".join(f"The {i} small birds sing in tree number {i * i}." for i in range(3000)), "utf-8")
    flags = _BASE[_BASE.index("--budget") :]
    assert main(["run", *flags, "--data", str(text), "--out", str(tmp_path / "run")]) == 0
    assert "--demonstrations FILE" in " ".join(capsys.readouterr().out.split())
    assert not (tmp_path / "run" / "sft").exists()
