"""A run learns, resumes to the last bit, branches exactly, and gives the same losses on two processes."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.processes import torchrun

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.model.family import shape
from danlu.training import pretrain as module
from danlu.training import run
from danlu.training.config import TrainingConfig
from danlu.training.dials import hyperparameters
from danlu.training.pretrain import pretrain

CONFIG = TrainingConfig(
    context=16, batch_tokens=256, warmup_steps=4, micro_batch_tokens=64, precision="fp32", device="cpu"
)
MODEL = shape(32, 64, 16)
QUIET = Progress(terminal=False)
HORIZON = 256 * 40


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_and_says_what_it_did(tokens, tmp_path):
    _, result = pretrain(MODEL, tokens, HORIZON, CONFIG, tmp_path, QUIET)
    seen = losses(tmp_path)
    assert len(seen) == result.steps == 40
    assert seen[0] == pytest.approx(torch.log(torch.tensor(64.0)).item(), abs=0.3)
    assert seen[-1] < 0.85 * seen[0]
    assert result.tokens == HORIZON
    assert result.flops == MODEL.flops_per_token(16) * HORIZON
    assert json.loads((tmp_path / "result.json").read_text())["steps"] == 40


@pytest.mark.parametrize("induction", [False, True])
def test_a_model_begins_as_its_recipe_says(induction, tokens, tmp_path):
    still = replace(CONFIG, induction=induction, lr=1e-9, table_lr=1e-9)
    model, _ = pretrain(MODEL, tokens, 256, still, tmp_path, QUIET)
    assert (model.model.layers[0].self_attn.o_proj.weight.abs().max() > 1) == induction


def test_micro_batches_change_nothing_but_rounding(tokens, tmp_path):
    config = replace(CONFIG, warmup_steps=40)  # small steps: large ones let rounding itself grow
    pretrain(MODEL, tokens, HORIZON, config, tmp_path / "a", QUIET)
    pretrain(MODEL, tokens, HORIZON, replace(config, micro_batch_tokens=256), tmp_path / "b", QUIET)
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), rel=1e-4)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 17, 39])
def test_killed_and_continued_equals_uninterrupted(tokens, tmp_path, monkeypatch, at):
    config = replace(CONFIG, checkpoint_seconds=0.0)
    whole, _ = pretrain(MODEL, tokens, HORIZON, config, tmp_path / "whole", QUIET)

    original = run.train_steps

    def dying(*arguments, **options):
        for result in original(*arguments, **options):
            if result.step == at + 1:
                raise Killed
            yield result

    with monkeypatch.context() as patch:
        patch.setattr(run, "train_steps", dying)
        with pytest.raises(Killed):
            pretrain(MODEL, tokens, HORIZON, config, tmp_path / "killed", QUIET)
    continued, _ = pretrain(MODEL, tokens, HORIZON, config, tmp_path / "killed", QUIET)
    for a, b in zip(whole.parameters(), continued.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "whole/metrics.jsonl").read_bytes() == (tmp_path / "killed/metrics.jsonl").read_bytes()


def test_a_branch_equals_the_run_of_its_length(tokens, tmp_path):
    short = 256 * 20
    branch_step = hyperparameters(MODEL, short, CONFIG).schedule.cooldown_start
    pretrain(MODEL, tokens, HORIZON, CONFIG, tmp_path / "trunk", QUIET, pins=(branch_step,))
    start = tmp_path / "trunk/checkpoints" / f"step-{branch_step:09d}"
    branch, _ = pretrain(MODEL, tokens, short, CONFIG, tmp_path / "branch", QUIET, start=start)
    alone, _ = pretrain(MODEL, tokens, short, CONFIG, tmp_path / "alone", QUIET)
    for a, b in zip(branch.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_damaged_checkpoint_is_named(tokens, tmp_path):
    pretrain(MODEL, tokens, HORIZON, CONFIG, tmp_path, QUIET)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    data = next(newest.glob("*.distcp"))
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(DanluError, match=r"damaged.*altered"):
        pretrain(MODEL, tokens, HORIZON, CONFIG, tmp_path, QUIET)


def test_nonfinite_loss_stops_before_the_update_or_is_skipped(tokens, tmp_path, monkeypatch):
    original = module.next_token_loss
    calls = {"count": 0}

    def poisoned(model, batch):
        calls["count"] += 1
        loss = original(model, batch)
        return replace(loss, sum=loss.sum * float("nan")) if calls["count"] == 9 else loss

    monkeypatch.setattr(module, "next_token_loss", poisoned)
    with pytest.raises(DanluError, match="step 3: the loss is nan"):
        pretrain(MODEL, tokens, HORIZON, CONFIG, tmp_path / "stop", QUIET)
    calls["count"] = 0
    _, result = pretrain(MODEL, tokens, HORIZON, replace(CONFIG, nonfinite="skip"), tmp_path / "skip", QUIET)
    assert result.skipped_steps == 1
    assert result.steps == 40


def test_a_corpus_smaller_than_one_batch_is_an_error(tokens, tmp_path):
    with pytest.raises(DanluError, match="smaller than one batch"):
        pretrain(MODEL, tokens, 10**6, replace(CONFIG, batch_tokens=10**6), tmp_path, QUIET)


SCRIPT = """
import sys
from pathlib import Path
from danlu.common.progress import Progress
from danlu.model.family import shape
from danlu.tokens.tokenizer import train_tokenizer
from danlu.training.config import TrainingConfig
from danlu.training.pretrain import pretrain
from danlu.training.samples import Sampler
config = TrainingConfig(context=16, batch_tokens=256 + 16, micro_batch_tokens=64, precision=sys.argv[3], device="cpu",
                        checkpoint_seconds=0.0, evaluations=3, warmup_steps=12,
                        lr=0.005, table_lr=0.02)  # small steps: large ones let rounding itself grow
sampler = Sampler(train_tokenizer(["one two three"] * 4, 260), ["one", "two"], 16, 0)
pretrain(shape(32, 320, 16), Path(sys.argv[1]), (256 + 16) * 12, config, Path(sys.argv[2]), Progress(False),
         evaluate=lambda model: (0.0, 0.0), sample=sampler)
"""


def run_processes(count: int, tokens: Path, out: Path, precision: str = "fp32") -> None:
    """The same run of twelve steps, started by torchrun on `count` processes."""
    torchrun(count, SCRIPT, out.parent, tokens, out, precision)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo with FSDP is not supported there")
def test_two_processes_give_the_single_losses_and_a_run_moves_between_them(tokens, tmp_path):
    for count in (1, 2):
        run_processes(count, tokens, tmp_path / f"on-{count}")
    one, two = losses_only(tmp_path / "on-1"), losses_only(tmp_path / "on-2")
    assert len(one) == 12
    assert one == pytest.approx(two, abs=1e-5)
    assert (
        sampled(tmp_path / "on-2")
        == sampled(tmp_path / "on-1")
        == [(4, "one"), (4, "two"), (8, "one"), (8, "two"), (12, "one"), (12, "two")]
    )
    for first, second in ((1, 2), (2, 1)):
        moved = tmp_path / f"moved-{first}-{second}"
        shutil.copytree(tmp_path / f"on-{first}", moved)
        newest = sorted((moved / "checkpoints").iterdir())[-1]
        shutil.rmtree(newest)  # the step before the last is the newest left
        run_processes(second, tokens, moved)
        assert losses_only(moved) == pytest.approx(one, abs=1e-5)
        assert sampled(moved) == sampled(tmp_path / "on-1")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo with FSDP is not supported there")
def test_two_processes_give_the_single_losses_in_bf16_too(tokens, tmp_path):
    for count in (1, 2):
        run_processes(count, tokens, tmp_path / f"on-{count}", "bf16")
    one, two = losses_only(tmp_path / "on-1"), losses_only(tmp_path / "on-2")
    assert len(one) == 12
    assert one == pytest.approx(two, rel=0.01)


def sampled(folder: Path) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return [(line["step"], line["prompt"]) for line in lines]


def losses_only(folder: Path) -> list[float]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_an_evaluation_leaves_each_line_once(tokens, tmp_path, when):
    config = replace(CONFIG, checkpoint_seconds=0.0, evaluations=4)
    pretrain(MODEL, tokens, HORIZON, config, tmp_path / "whole", QUIET, evaluate=lambda model: (1.0, 0.1))
    whole = (tmp_path / "whole/metrics.jsonl").read_bytes()
    for count in (1, 3, 4):
        killed = tmp_path / f"killed-{count}"
        calls = {"count": 0}

        def evaluate(model, calls=calls, count=count):
            calls["count"] += 1
            if calls["count"] == count + (when == "after"):
                raise Killed
            return 1.0, 0.1

        try:
            pretrain(MODEL, tokens, HORIZON, config, killed, QUIET, evaluate=evaluate)
        except Killed:
            if when == "after":  # the checkpoints since the evaluation before are lost too
                for folder in sorted((killed / "checkpoints").iterdir())[1:]:
                    shutil.rmtree(folder)
        pretrain(MODEL, tokens, HORIZON, config, killed, QUIET, evaluate=lambda model: (1.0, 0.1))
        assert (killed / "metrics.jsonl").read_bytes() == whole
