"""PPO as a run: what the first step must be, resuming, guards, metrics; known answers on a tiny policy."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from danlu.alignment import learning
from danlu.alignment.guards import GuardConfig
from danlu.alignment.learner import Learned, Mix, Setting
from danlu.alignment.learning import Begin, LearningResult, Weights, learn
from danlu.alignment.ppo import PPO
from danlu.alignment.ppo_config import PRESETS, GRPOConfig, PPOConfig, RewardLearningConfig, preset
from danlu.alignment.queries import Query
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.feedback.records import prompt_of
from danlu.model.config import ModelConfig
from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer
from danlu.training.distributed import World
from danlu.training.loop import StepResult, train_steps
from danlu.training.optimizer import Optimizer

QUIET = Progress(terminal=False, silent=True)
STOP, PAD, GOOD = 3, 1, 7
SHAPE = ModelConfig(
    vocab_size=16,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=48,
)
QUERIES = [Query(prompt_of(f"prompt {i}"), tuple(range(4, 5 + i % 5))) for i in range(20)]
CONFIG = PPOConfig(
    episodes=96,
    batch_size=16,
    minibatch_size=8,
    epochs=2,
    max_new_tokens=8,
    lr=1e-2,
    lr_width=None,
    value_lr=1e-2,
    value_lr_width=None,
    warmup_iterations=1,
    precision="fp32",
    device="cpu",
    checkpoint_seconds=0.0,
)
GROUPS = GRPOConfig(
    episodes=96, batch_size=16, minibatch_size=8, epochs=2, group_size=4, max_new_tokens=8, lr=1e-2, lr_width=None,
    precision="fp32", device="cpu", checkpoint_seconds=0.0,
)  # fmt: skip


def state(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, parameter in Transformer(SHAPE).named_parameters():
        centre = 1.0 if "norm" in name else 0.0
        found[name] = centre + 0.2 * torch.randn(parameter.shape, generator=generator)
    return found


BEGIN = Begin(Weights(SHAPE, state()), None, (STOP,), PAD)


def goods(queries, responses) -> Tensor:
    """How much of a response is the token GOOD."""
    return torch.tensor([response.count(GOOD) / len(response) for response in responses])


def metrics(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "objective/kl" in line]


def run(out: Path, config: PPOConfig | GRPOConfig = CONFIG, **options) -> tuple[dict[str, Tensor], LearningResult]:
    return learn(config, BEGIN, QUERIES, options.pop("reward", goods), out, QUIET, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor], LearningResult]:
    out = tmp_path_factory.mktemp("whole")
    return out, *run(out, replace(CONFIG, episodes=240))


def learner(config: PPOConfig = CONFIG, dtype: torch.dtype = torch.float32, **setting) -> PPO:
    models = [Transformer(SHAPE, dtype) for _ in range(2)]
    for model in models:
        model.load_state_dict(BEGIN.policy.state)
    value = ScoreModel(SHAPE, dtype)
    value.initialize_from(state(), torch.Generator().manual_seed(1))
    options = {"reward": goods, "queries": QUERIES} | setting
    return PPO(
        Learned(models[0], value),
        Setting(
            models[1],
            stop=(STOP,),
            pad=PAD,
            world=World(),
            device=torch.device("cpu"),
            **options,  # type: ignore[arg-type]
        ),
        config,
    )


# Learning


def test_the_score_rises_and_the_model_is_not_the_one_it_began_as(whole) -> None:
    out, weights, result = whole
    lines = metrics(out)
    assert [line["episode"] for line in lines] == [16 * (i + 1) for i in range(15)]
    assert result.episodes == 240
    assert result.steps == 60
    early, late = lines[:3], lines[-3:]
    assert sum(x["objective/scores"] for x in late) > 1.5 * sum(x["objective/scores"] for x in early)
    assert late[-1]["objective/kl"] > 0
    assert any(not torch.equal(weights[name], tensor) for name, tensor in BEGIN.policy.state.items())
    assert json.loads((out / "result.json").read_text())["episodes"] == 240


def test_metrics_have_trls_names(whole) -> None:
    names = {
        "objective/kl", "objective/entropy", "objective/non_score_reward", "objective/rlhf_reward",
        "objective/scores", "policy/approxkl_avg", "policy/clipfrac_avg", "policy/entropy_avg", "loss/policy_avg",
        "loss/value_avg", "val/clipfrac_avg", "val/ratio", "val/ratio_var", "val/num_eos_tokens", "lr", "episode",
    }  # fmt: skip
    for line in metrics(whole[0]):
        assert names <= line.keys()
        assert all(math.isfinite(line[name]) for name in names)


# The first batch


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_the_first_minibatch_has_ratio_one_and_no_kl(dtype: torch.dtype) -> None:
    one = learner(dtype=dtype)
    batch = next(iter(one.micro_batches(0)))
    loss = one.objective(one.learned, batch)
    count = float(loss.count)
    assert float(loss.metrics["ratio"]) == count  # exactly: old log-probabilities come from the same pass
    assert float(loss.metrics["approxkl"]) == 0.0
    assert float(loss.metrics["clipfrac"]) == 0.0
    assert one.experience is not None
    assert torch.equal(one.experience.logprobs, one.experience.ref_logprobs)  # KL to the reference at update 0


def test_no_dropout_anywhere() -> None:
    one = learner()
    modules = [*one.learned.modules(), *one.setting.reference.modules()]
    assert not any(isinstance(module, torch.nn.modules.dropout._DropoutNd) for module in modules)
    batch = next(iter(one.micro_batches(0)))
    again = [one.policy_logprobs(one.learned.policy.train(mode), batch.rollout)[0] for mode in (True, False)]
    assert torch.equal(*again)


def test_the_temperature_is_in_policy_and_reference() -> None:
    one = learner(replace(CONFIG, temperature=0.5))
    rows = next(iter(one.micro_batches(0)))
    with torch.no_grad():
        logits = one.learned.policy(rows.rollout.tokens)[:, :-1]
    logprobs = (logits / 0.5).log_softmax(-1).gather(-1, rows.rollout.tokens[:, 1:, None])[..., 0]
    expected = torch.where(rows.mask, logprobs, 0.0)
    for found in (rows.logprobs, rows.ref_logprobs, rows.rollout.logprobs):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_advantages_and_returns_are_made_once_a_batch() -> None:
    one = learner()
    seen = []
    for step in range(4):
        list(one.micro_batches(step))
        assert one.experience is not None
        seen.append((id(one.experience.advantages), id(one.experience.returns), id(one.experience.values)))
    assert len(set(seen)) == 1
    assert one.experience is not None
    mask = one.experience.mask
    assert one.experience.advantages is not None
    real = one.experience.advantages[mask]
    assert real.mean().abs() < 1e-5
    assert real.std(correction=0) == pytest.approx(1.0, abs=1e-3)
    for tensor in (one.experience.advantages, one.experience.returns, one.experience.values):
        assert tensor is not None
        assert not tensor[~mask].any()  # nothing behind the end, where values are zero


def test_a_response_without_end_scores_minus_one_and_the_score_stands_on_the_last_token() -> None:
    one = learner(replace(CONFIG, beta=0.0, lam=0.0, gamma=1.0, whiten_advantages=False, max_new_tokens=6))
    list(one.micro_batches(0))
    experience = one.experience
    assert experience is not None
    assert experience.advantages is not None
    assert experience.values is not None
    assert {bool(x) for x in experience.rollout.ended} == {True, False}
    for row, ended in enumerate(experience.rollout.ended.tolist()):
        last = int(experience.rollout.response_ends[row]) - 2  # of the tokens from the second on
        # With lambda 0 the last advantage is score - value: nothing comes behind.
        score = experience.advantages[row, last] + experience.values[row, last]
        assert float(score) == pytest.approx(float(experience.scores[row]) if ended else -1.0, abs=1e-5)


def test_every_epoch_has_each_episode_once_in_another_order() -> None:
    one = learner(replace(CONFIG, epochs=3))
    orders = [torch.cat(one._minibatches(iteration, epoch)).tolist() for iteration in (0, 1) for epoch in range(3)]
    assert all(sorted(order) == list(range(16)) for order in orders)
    assert len({tuple(order) for order in orders}) == 6


def steps_of(one: PPO, count: int) -> list[StepResult]:
    optimizer = Optimizer(one.learned, 1e-2, 1e-2, 0.0, torch.float32, matrices="adamw", eps=1e-5)

    class Constant:
        steps = count

        def factor(self, step: int) -> float:
            return 1.0

    found = []
    for result in train_steps(
        one.learned, optimizer, Constant(), one.objective, one.micro_batches, World(), first_step=0, clip=1.0,
        nonfinite="stop",
    ):  # fmt: skip
        one.after_step(result)
        found.append(result)
    return found


def test_micro_batches_do_not_change_the_gradient() -> None:
    norms = []
    for size in (1, 3, 8):
        one = learner(replace(CONFIG, micro_batch_size=size))
        norms.append([result.grad_norm for result in steps_of(one, 4)])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert norms[0] == pytest.approx(norms[2], rel=1e-4)


def test_masked_metrics_equal_a_loop_over_the_real_tokens() -> None:
    one = learner(replace(CONFIG, epochs=1, minibatch_size=16))
    (result,) = steps_of(one, 1)
    experience = one.experience
    assert experience is not None
    differences = [
        sum((p - q for p, q, real in zip(a, b, m, strict=True) if real), 0.0)
        for a, b, m in zip(
            experience.logprobs.tolist(), experience.ref_logprobs.tolist(), experience.mask.tolist(), strict=True
        )
    ]
    assert one.last["objective/kl"] == pytest.approx(sum(differences) / 16, abs=1e-6)
    assert one.last["val/length"] == pytest.approx(sum(map(len, experience.rollout.responses())) / 16)
    assert one.last["val/num_eos_tokens"] == int(experience.rollout.ended.sum())
    assert result.metrics["ratio"] == pytest.approx(1.0)


def test_ptx_is_the_mean_pretraining_loss_times_its_weight() -> None:
    class Sequences:
        def batch(self, first: int, count: int):
            import numpy as np

            return np.random.default_rng(first).integers(0, 16, (count, 9))

    gradients = []
    for coefficient in (0.0, 2.0):
        mix = Mix(Sequences(), 12, 8)  # type: ignore[arg-type]
        one = learner(replace(CONFIG, ptx_coef=coefficient, epochs=1, minibatch_size=16), mix=mix)
        tokens = 0.0
        for batch in one.micro_batches(0):
            loss = one.objective(one.learned, batch)
            loss.sum.backward()
            tokens += float(loss.count)
        gradients.append(one.learned.policy.model.norm.weight.grad / tokens)
    policy = one.learned.policy
    policy.zero_grad()
    data = torch.from_numpy(Sequences().batch(0, 12))
    (2.0 * policy.loss(data[:, :-1].contiguous(), data[:, 1:].contiguous()) / (12 * 8)).backward()
    torch.testing.assert_close(gradients[1] - gradients[0], policy.model.norm.weight.grad, atol=1e-5, rtol=1e-4)


def test_the_average_follows_the_policy() -> None:
    one = learner(replace(CONFIG, ema=0.992))
    before = {name: p.detach().clone() for name, p in one.learned.policy.named_parameters()}
    steps_of(one, 3)
    name = "model.norm.weight"
    assert not torch.equal(one.average[name], before[name])
    now = one.learned.policy.model.norm.weight.detach()
    assert (one.average[name] - now).abs().max() < (before[name] - now).abs().max()
    assert not learner(replace(CONFIG, ema=0.0)).average


def test_the_start_has_its_share_in_what_comes_out(tmp_path) -> None:
    short = replace(CONFIG, episodes=16, checkpoint_seconds=1e9)
    learned, reached = run(tmp_path / "none", short)
    blended, result = run(tmp_path / "share", replace(short, initial_share=0.25))
    begun = state()
    for name, tensor in blended.items():
        torch.testing.assert_close(tensor, 0.75 * learned[name] + 0.25 * begun[name], atol=1e-6, rtol=1e-5)
    assert (result.kl, result.score) == pytest.approx((reached.kl, reached.score))


# Runs


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("config", "at"), [(CONFIG, 2), (CONFIG, 9), (replace(CONFIG, adaptive_kl=True), 13), (GROUPS, 9)]
)
def test_killed_and_continued_equals_uninterrupted(tmp_path, monkeypatch, config, at) -> None:
    expected, _ = run(tmp_path / "whole", config)
    original = learning.PPO.after_step if isinstance(config, PPOConfig) else learning.GRPO.after_step
    owner = learning.PPO if isinstance(config, PPOConfig) else learning.GRPO

    def dying(self, result):
        if result.step == at:
            raise Killed
        return original(self, result)

    with monkeypatch.context() as patch:
        patch.setattr(owner, "after_step", dying)
        with pytest.raises(Killed):
            run(tmp_path / "killed", config)
    found, result = run(tmp_path / "killed", config)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert (tmp_path / "whole/metrics.jsonl").read_bytes() == (tmp_path / "killed/metrics.jsonl").read_bytes()
    assert result.episodes == 96


def test_a_guard_stops_the_run_and_keeps_what_was_learned(tmp_path) -> None:
    config = replace(CONFIG, episodes=960, beta=0.0, guards=GuardConfig(kl_budget=0.3))
    weights, result = run(tmp_path, config)
    assert result.stopped_by == "kl"
    assert result.episodes < 960
    assert metrics(tmp_path)[-1]["objective/kl"] > 0.3
    assert metrics(tmp_path)[-1]["episode"] == result.episodes
    assert any(not torch.equal(weights[name], tensor) for name, tensor in BEGIN.policy.state.items())


def test_gold_is_reported_and_not_learned_from(tmp_path) -> None:
    plain, _ = run(tmp_path / "plain")
    judged, _ = run(tmp_path / "judged", gold=lambda queries, responses: -goods(queries, responses))
    assert all(torch.equal(judged[name], tensor) for name, tensor in plain.items())
    for line in metrics(tmp_path / "judged"):
        assert line["objective/gold"] == pytest.approx(-line["objective/scores"], abs=1e-6)


def test_padding_equal_to_an_end_token_is_refused(tmp_path) -> None:
    with pytest.raises(DanluError, match="padding token"):
        learn(CONFIG, replace(BEGIN, pad=STOP), QUERIES, goods, tmp_path, QUIET)
    with pytest.raises(DanluError, match="no prompts"):
        learn(CONFIG, BEGIN, [], goods, tmp_path, QUIET)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(DanluError, match="minibatches"):
        PPOConfig(batch_size=10, minibatch_size=4)
    with pytest.raises(DanluError, match="whole groups"):
        GRPOConfig(batch_size=10, minibatch_size=10, group_size=4)
    with pytest.raises(DanluError, match="beta"):
        PPOConfig(beta=-1.0)
    with pytest.raises(DanluError, match="ptx_ratio"):
        PPOConfig(ptx_ratio=0.0)


def test_pretraining_sequences_can_be_fewer_than_responses() -> None:
    assert PPOConfig().ptx_sequences == 8 * 64
    assert PPOConfig(batch_size=32, minibatch_size=16, ptx_ratio=0.25).ptx_sequences == 4
    assert PPOConfig(batch_size=32, minibatch_size=16, ptx_ratio=0.01).ptx_sequences == 1


def test_presets_are_the_papers() -> None:
    instructgpt, stiennon, ziegler = (PRESETS[name] for name in ("instructgpt", "stiennon", "ziegler"))
    assert (instructgpt.batch_size, instructgpt.minibatches, instructgpt.epochs) == (512, 8, 1)
    assert (instructgpt.beta, instructgpt.ema, instructgpt.clip, instructgpt.ptx_ratio) == (0.02, 0.992, 0.2, 8)
    assert (instructgpt.gamma, instructgpt.lam, instructgpt.temperature) == (1.0, 0.95, 1.0)
    assert (stiennon.epochs, stiennon.beta, stiennon.lr_decay) == (4, 0.05, True)
    assert (ziegler.beta, ziegler.kl_target, ziegler.kl_horizon, ziegler.adaptive_kl) == (0.15, 6.0, 10_000.0, True)
    assert (ziegler.temperature, ziegler.whiten_rewards, ziegler.value_coef) == (0.7, True, 0.1)
    assert preset("stiennon", episodes=10).episodes == 10
    assert isinstance(instructgpt, RewardLearningConfig)
    assert PPOConfig(lr=1e-5, lr_width=2048).rate(1e-5, 2048, 256) == pytest.approx(8e-5)
