"""DPO: the pair loss of its paper, ln 2 at the start, and learning."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from danlu.alignment.dpo import DPOBatch, dpo_loss, response_logprobs, run_dpo
from danlu.alignment.reward import rank_batch
from danlu.alignment.texts import fit_rankings
from danlu.alignment.tuning import begin
from danlu.alignment.tuning_config import DPOConfig
from danlu.common.progress import Progress

QUIET = Progress(silent=True)
CONFIG = DPOConfig(batch_size=8, lr=1e-3, warmup=0, epochs=2, device="cpu", precision="fp32")


def test_two_completions_give_the_loss_of_the_paper(base: Path, rankings) -> None:
    begun = begin(base, CONFIG, QUIET)
    model = begun.language_model()
    units = fit_rankings(rankings(5, 4, 2), begun.chat, begun.limits).units
    batch = rank_batch(units, begun.chat.pad, torch.device("cpu"), 64)
    reference = torch.linspace(-30, -10, 10)
    logprobs = response_logprobs(model, batch)
    for i, text in enumerate(text for unit in units for text in unit.texts):
        logits = model(torch.tensor([text.tokens]))[0].log_softmax(-1)
        own = sum(logits[t - 1, text.tokens[t]] for t in range(text.start, len(text.tokens)))
        assert float(logprobs[i]) == pytest.approx(float(own), abs=1e-4)
    rewards = 0.1 * (logprobs - reference).view(5, 2)
    ranks = torch.tensor([unit.ranks for unit in units])
    sign = (ranks[:, 1] - ranks[:, 0]).sign()
    want = -F.logsigmoid(sign * (rewards[:, 0] - rewards[:, 1])).sum()
    loss = dpo_loss(model, DPOBatch(batch, reference), 0.1)
    assert float(loss.sum) == pytest.approx(float(want), rel=1e-5)
    assert float(loss.count) == 5
    margin = (sign * (rewards[:, 0] - rewards[:, 1])).sum()
    assert float(loss.metrics["rewards/margins"]) == pytest.approx(float(margin), rel=1e-4)


def test_it_begins_at_ln_2_and_learns(base: Path, rankings, tmp_path: Path) -> None:
    result = run_dpo(base, rankings(64), rankings(24, 1), replace(CONFIG, beta=0.5), tmp_path, QUIET)
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-4)
    assert result.heldout_accuracy > 0.65
    assert result.heldout_loss < math.log(2)
    assert (tmp_path / "model/chat_template.jinja").is_file()
