"""Fine-tuning: it learns, keeps the checkpoint that was chosen, and its folder chats in `transformers`."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from danlu.alignment.reward import run_reward
from danlu.alignment.sft import run_sft
from danlu.alignment.texts import Order
from danlu.alignment.tuning import begin
from danlu.alignment.tuning_config import RewardConfig, SFTConfig
from danlu.common.errors import DanluError
from danlu.common.files import read_json
from danlu.common.progress import Progress
from danlu.model.huggingface import load_pretrained
from danlu.tokens.chat import load_chat
from danlu.tokens.shards import TokenWriter

QUIET = Progress(silent=True)
CONFIG = SFTConfig(epochs=4, batch_size=8, lr=1e-2, device="cpu", precision="fp32", evaluations=3)


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_and_the_folder_chats(base: Path, demonstrations, tmp_path: Path) -> None:
    result = run_sft(base, demonstrations(48), demonstrations(12, 1), CONFIG, tmp_path, QUIET)
    losses = [line["heldout_loss"] for line in lines(tmp_path) if "heldout_loss" in line]
    assert len(losses) == 3
    assert losses[-1] < 0.7 * lines(tmp_path)[0]["loss"]
    assert result.heldout_loss == min(losses)
    assert read_json(tmp_path / "result.json")["demonstrations"] == 48

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.eos_token_id in model.generation_config.eos_token_id
    messages = [{"role": "user", "content": "say red hot twice"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert ids == load_chat(tmp_path / "model").prompt(messages)


def test_a_base_model_learns_turns_at_rates_of_its_own(base: Path, demonstrations, tmp_path: Path) -> None:
    # As the verb and the road have them: the source's law, and for a base model more, above all for the table.
    assert SFTConfig().rates(2048) == (9.65e-6, 9.65e-6)
    assert SFTConfig().rates(64, knows_turns=False) == pytest.approx((0.004, 0.013))
    assert SFTConfig().rates(256, knows_turns=False) == pytest.approx(
        (2.3 * 9.65e-6 * 8**1.5, 3.25 * 2.3 * 9.65e-6 * 8**1.5)
    )
    assert SFTConfig(lr=1e-4).rates(64, knows_turns=False) == pytest.approx((1e-4, 3.25e-4))
    assert SFTConfig(lr=1e-4, table_lr=2e-4).rates(64, knows_turns=False) == (1e-4, 2e-4)
    assert RewardConfig().rates(64, knows_turns=False)[0] == RewardConfig().rates(64)[1]
    quick = SFTConfig(epochs=1, batch_size=8, device="cpu", precision="fp32", evaluations=1)
    result = run_sft(base, demonstrations(8), [], quick, tmp_path, QUIET)
    assert not begin(base, quick, QUIET).knows_turns
    assert begin(tmp_path / "model", quick, QUIET).knows_turns
    assert not begin(tmp_path / "model", replace(quick, template="chatml"), QUIET).knows_turns
    assert result.lr == pytest.approx(0.004)


def test_the_best_checkpoint_is_kept_also_after_an_interruption(
    base: Path, demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from danlu.alignment import sft

    # The held-out loss is told, not measured: least at the second of four evaluations.
    told = {6: 3.0, 12: 1.0, 18: 2.0, 24: 2.5}
    config = replace(CONFIG, evaluations=4, checkpoint_seconds=0.0)

    def run(folder: Path, die_at: int | None = None) -> sft.SFTResult:
        steps = iter([6, 12, 18, 24] if die_at is None else [6, 12])
        if folder.exists() and die_at is None and (folder / "checkpoints").exists():
            steps = iter([18, 24])

        def loss(*_: object) -> float:
            return told[next(steps)]

        monkeypatch.setattr(sft, "_heldout_loss", loss)
        return run_sft(base, demonstrations(48), demonstrations(8, 1), config, folder, QUIET)

    whole = run(tmp_path / "whole")
    assert whole.best_step == 12
    assert whole.heldout_loss == 1.0
    with pytest.raises(StopIteration):
        run(tmp_path / "killed", die_at=18)
    shutil.rmtree(tmp_path / "killed/checkpoints/step-000000018")  # its evaluation never came; the one before is newest
    continued = run(tmp_path / "killed")
    assert continued.best_step == 12
    kept = [load_pretrained(tmp_path / name / "model")[1] for name in ("whole", "killed")]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_learning_the_whole_conversation_is_an_option(base: Path, demonstrations, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1)
    short = run_sft(base, demonstrations(16), [], config, tmp_path / "a", QUIET)
    whole = run_sft(base, demonstrations(16), [], replace(config, loss_on="all"), tmp_path / "b", QUIET)
    assert short.heldout_loss is None
    assert lines(tmp_path / "a")[0]["loss"] != pytest.approx(lines(tmp_path / "b")[0]["loss"], abs=1e-3)
    assert short.tokens == whole.tokens


def test_packing_and_muon_learn_the_same_way(base: Path, demonstrations, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, optimizer="muon", lr=0.01)
    run_sft(base, demonstrations(24), [], config, tmp_path / "packed", QUIET)
    run_sft(base, demonstrations(24), [], replace(config, packing=False), tmp_path / "rows", QUIET)
    a, b = ([line["loss"] for line in lines(tmp_path / name)] for name in ("packed", "rows"))
    assert a == pytest.approx(b, abs=1e-4)
    assert a[-1] < a[0]


def test_pretraining_tokens_can_be_mixed_in(base: Path, demonstrations, tmp_path: Path) -> None:
    writer = TokenWriter(tmp_path / "tokens/train", 320, 0, "none", keep_spans=False)
    for start in range(60):
        writer.write([(start * 7 + i) % 300 for i in range(64)], 64, "numbers")
    writer.close()
    config = replace(CONFIG, epochs=1, pretraining_share=0.3)
    with pytest.raises(DanluError, match="without its tokens"):
        run_sft(base, demonstrations(24), [], config, tmp_path / "none", QUIET)
    alone = run_sft(base, demonstrations(24), [], replace(config, pretraining_share=0), tmp_path / "alone", QUIET)
    mixed = run_sft(base, demonstrations(24), [], config, tmp_path / "mixed", QUIET, pretraining=tmp_path / "tokens")
    assert 0.2 < (mixed.tokens - alone.tokens) / mixed.tokens < 0.5
    assert mixed.loss != alone.loss


def test_the_checkpoint_of_highest_reward_can_be_chosen(base: Path, demonstrations, rankings, tmp_path: Path) -> None:
    quick = RewardConfig(batch_size=8, lr=1e-3, device="cpu", precision="fp32")
    run_reward(base, rankings(16), [], [], quick, tmp_path / "rm", QUIET)
    config = replace(CONFIG, epochs=1, select="reward", evaluations=2, reward_samples=3)
    with pytest.raises(DanluError, match="needs a reward model"):
        run_sft(base, demonstrations(16), demonstrations(4, 1), config, tmp_path / "none", QUIET)
    result = run_sft(
        base, demonstrations(16), demonstrations(4, 1), config, tmp_path / "sft", QUIET, reward=tmp_path / "rm/model"
    )
    rewards = [line["heldout_reward"] for line in lines(tmp_path / "sft") if "heldout_reward" in line]
    assert len(rewards) == 2
    assert result.heldout_reward == max(rewards)


def test_a_longer_context_is_written_into_the_folder(base: Path, demonstrations, tmp_path: Path) -> None:
    run_sft(base, demonstrations(8), [], replace(CONFIG, epochs=1, context=100), tmp_path, QUIET)
    assert load_pretrained(tmp_path / "model")[0].max_position_embeddings == 100


def test_nothing_that_fits_is_an_error(base: Path, demonstrations, tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="none of the demonstrations can be used"):
        run_sft(base, demonstrations(8), [], replace(CONFIG, context=8), tmp_path, QUIET)


def test_the_last_batch_of_a_run_is_what_is_left() -> None:
    assert [len(Order(10, 4, 1, 0).units(step)) for step in range(3)] == [4, 4, 2]
