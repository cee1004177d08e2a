"""The reward model: K-wise loss, where the score is read, the zero, what the check says, seeds, folders."""

import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from danlu.alignment.reward import rank_batch, reward_loss, run_reward
from danlu.alignment.reward_check import check, disagreement
from danlu.alignment.reward_scorer import RewardScorer
from danlu.alignment.texts import Limits, RankedTexts, fit_rankings
from danlu.alignment.tuning import begin, split
from danlu.alignment.tuning_config import RewardConfig
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.feedback.records import Message, Ranking, prompt_of
from danlu.tokens.chat import Text, load_chat

QUIET = Progress(silent=True)
CONFIG = RewardConfig(batch_size=16, lr=1e-2, device="cpu", precision="fp32")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(base: Path, rankings, demonstrations, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    out = tmp_path_factory.mktemp("reward")
    return out, run_reward(
        base, rankings(160), rankings(40, 1), demonstrations(24), replace(CONFIG, epochs=2), out, QUIET
    )


def test_the_loss_of_a_batch_is_that_of_its_pairs_one_by_one(base: Path, rankings) -> None:
    begun = begin(base, CONFIG, QUIET)
    model = begun.score_model(0)
    units = fit_rankings([*rankings(3, 2, 4), *rankings(2, 3, 2)], begun.chat, begun.limits).units
    loss = reward_loss(model, rank_batch(units, begun.chat.pad, CPU, 64))
    model.requires_grad_(False)
    total, right, pairs_of = 0.0, 0.0, 0.0
    for unit in units:
        scores = [model(torch.tensor([text.tokens]))[0, -1] for text in unit.texts]
        pairs = [(a, b) for a in range(len(scores)) for b in range(len(scores)) if unit.ranks[a] < unit.ranks[b]]
        weight = 1 / math.comb(len(scores), 2)
        total += sum(-F.logsigmoid(scores[a] - scores[b]) * weight for a, b in pairs)
        right += sum(float(scores[a] > scores[b]) * weight for a, b in pairs)
        pairs_of += weight * len(pairs)
    assert float(loss.sum) == pytest.approx(float(total), abs=1e-5)
    assert float(loss.count) == pytest.approx(pairs_of)
    assert float(loss.metrics["accuracy"]) == pytest.approx(right, abs=1e-5)


def test_it_learns_more_than_lengths_and_demonstrations_score_zero(trained, base: Path, demonstrations) -> None:
    out, result = trained
    assert result.heldout.accuracy.value > 0.8
    assert result.heldout.accuracy.low <= result.heldout.accuracy.value <= result.heldout.accuracy.high
    assert result.heldout.length.value == 0.5  # all completions are of one length
    assert result.heldout.pairs > 60
    scorer = RewardScorer.load(out / "model", "cpu", "fp32")
    shown = demonstrations(24)
    scores = scorer([record.prompt for record in shown], [record.response for record in shown])
    assert np.mean(scores) == pytest.approx(0.0, abs=1e-5)
    assert json.loads((out / "model/config.json").read_text())["score_bias"] == pytest.approx(result.bias)
    assert json.loads((out / "result.json").read_text())["demonstrations"] == 24


@pytest.mark.parametrize("padding", [0, 7])
def test_the_score_stands_at_the_last_token_wherever_that_is(trained, padding: int) -> None:
    """Beside longer texts, without any padding, with an empty response, with an end token inside the prompt."""
    out, _ = trained
    scorer = RewardScorer.load(out / "model", "cpu", "fp32")
    chat = scorer.chat
    talk = (Message("user", "say red"), Message("assistant", "red"), Message("user", "name tin"))
    cases = [(talk, "tin tin"), (prompt_of("name ash 1"), ""), (prompt_of("name ash 1"), "ash " * 9)]
    texts = tuple(chat.text([vars(m) for m in prompt], response) for prompt, response in cases)
    assert texts[0].tokens.count(chat.end) == 4  # two of the user's, one of the assistant's first, one at the end
    (model,) = scorer.models
    with torch.no_grad():
        alone = [model(torch.tensor([text.tokens]))[0, -1].item() for text in texts]
    assert scorer([prompt for prompt, _ in cases], [response for _, response in cases]) == pytest.approx(
        alone, abs=1e-5
    )
    unit = RankedTexts(texts, (0, 1, 2), (1, 2, 3), talk)
    same = RankedTexts(texts[1:], (0, 1), (1, 2), prompt_of("name ash 1"))
    for width, share in itertools.product((None, 64), (False, True)):
        batch = rank_batch([unit, same], chat.pad, CPU, width, padding, share_prompts=share).texts
        with torch.no_grad():
            scores = model(batch.tokens, batch.positions, batch.segments, batch.shared).flatten()[batch.ends]
        assert scores.tolist() == pytest.approx(alone + alone[1:], abs=1e-5)


def test_several_seeds_are_trained_and_the_best_is_kept(base: Path, rankings, tmp_path: Path) -> None:
    config = replace(CONFIG, seeds=2)
    result = run_reward(base, rankings(32), rankings(16, 1), [], config, tmp_path, QUIET)
    assert len(result.members) == 2
    assert result.heldout.accuracy.value == max(result.members)
    assert result.disagreement > 0
    kept = (tmp_path / "model/model.safetensors").read_bytes()
    assert kept == (tmp_path / f"seed-{result.seed}/model/model.safetensors").read_bytes()


def test_all_seeds_may_judge_together(base: Path, rankings, demonstrations, tmp_path: Path) -> None:
    """Their mean score is the reward, wherever the folder is moved; another reader takes the best alone."""
    config = replace(CONFIG, seeds=2, keep="all")
    judged = rankings(16, 1)
    result = run_reward(base, rankings(32), judged, demonstrations(24), config, tmp_path / "out", QUIET)
    moved = shutil.copytree(tmp_path / "out/model", tmp_path / "moved")
    together = RewardScorer.load(moved, "cpu", "fp32")
    alone = [RewardScorer.load(tmp_path / f"out/seed-{seed}/model", "cpu", "fp32") for seed in (0, 1)]
    prompts = [ranking.prompt for ranking in judged for _ in ranking.completions]
    texts = [text for ranking in judged for text in ranking.completions]
    scores = np.array([scorer(prompts, texts) for scorer in alone])
    assert together(prompts, texts) == pytest.approx(scores.mean(0), abs=1e-6)
    assert np.abs(scores[0] - scores[1]).max() > 0.01
    at = iter(scores.mean(0))
    units = fit_rankings(judged, together.chat, Limits(together.context, together.context)).units
    found = check(units, [[next(at) for _ in unit.ranks] for unit in units])
    assert result.heldout.accuracy == found.accuracy
    assert result.heldout.mean_loss == pytest.approx(found.mean_loss, abs=1e-6)
    shown = demonstrations(24)
    assert np.mean(together([one.prompt for one in shown], [one.response for one in shown])) == pytest.approx(
        0, abs=1e-5
    )
    assert (moved / "model.safetensors").read_bytes() == (
        tmp_path / f"out/seed-{result.seed}/model/model.safetensors"
    ).read_bytes()


def test_no_prompt_is_on_both_sides_of_the_split(rankings) -> None:
    records = rankings(60) + rankings(60)
    learned, judged = split(records, 0.25, "rankings")
    assert not {r.prompt for r in learned} & {r.prompt for r in judged}
    assert len(learned) + len(judged) == 120
    assert len({r.prompt for r in judged}) == round(0.25 * len({r.prompt for r in records}))
    again, aside = split(learned, 0.25, "rankings")  # as of a file that a run wrote, already split by a hash
    assert again
    assert aside
    with pytest.raises(DanluError, match="one prompt cannot be split"):
        split(records[:1], 0.25, "rankings")
    assert split(records[:1], 0.0, "rankings") == (records[:1], [])


def test_rankings_that_are_all_tied_are_an_error(base: Path, tmp_path: Path) -> None:
    tied = [Ranking(prompt_of("name red"), ("red", "ash"), (1, 1))] * 3
    with pytest.raises(DanluError, match=r"none of the rankings can be used: 0 rankings; left out: 3 \(all tied\)"):
        run_reward(base, tied, [], [], CONFIG, tmp_path, QUIET)


def unit(ranks: tuple[int, ...], lengths: tuple[int, ...]) -> RankedTexts:
    return RankedTexts(tuple(Text((1, 2), 1) for _ in ranks), ranks, lengths, prompt_of("x"))


def test_the_check_has_known_answers() -> None:
    rankings = [unit((0, 1, 2), (5, 3, 1)), unit((1, 0), (9, 2)), unit((0, 0), (1, 1))]
    found = check(rankings, [[3.0, 1.0, 2.0], [0.0, 0.0], [5.0, 1.0]])
    assert found.pairs == 4
    assert found.accuracy.value == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert found.length.value == pytest.approx(3 / 4)
    assert found.length_rule == "longer wins"
    assert found.mean_loss == pytest.approx(sum(math.log1p(math.exp(-m)) for m in (2, 1, -1, 0)) / 4)
    assert sum(b.pairs for b in found.by_margin) == 4
    assert found.by_margin[-1].margin == pytest.approx(2.0)
    assert found.by_margin[-1].accuracy == 1.0
    assert disagreement([[[1.0, 0.0]], [[3.0, 0.0]]]) == pytest.approx(1.0)


def test_a_calibrated_model_has_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(0, 2, 1500)
    first_wins = rng.random(1500) < 1 / (1 + np.exp(-margins))
    rankings = [unit((0, 1) if wins else (1, 0), (1, 1)) for wins in first_wins]
    assert check(rankings, [[m, 0.0] for m in margins]).calibration_error < 0.05
    assert check(rankings, [[3 * m, 0.0] for m in margins]).calibration_error > 0.08


def test_a_prompt_over_the_limit_leaves_with_its_ranking(base: Path) -> None:
    chat = load_chat(base)
    record = Ranking(prompt_of("name red " * 40), ("red", "ash"), (0, 1))
    assert fit_rankings([record], chat, Limits(64, 32)).units == ()
