"""The parts of a batch of experience, and what a run is begun and stepped with."""

import numpy as np
import pytest
import torch

from danlu.alignment import learning
from danlu.alignment.experience import gather, micro_batches, minibatches, queries_of
from danlu.alignment.learning import Begin, Weights, learn
from danlu.alignment.ppo_config import PPOConfig
from danlu.alignment.queries import Query, fitting
from danlu.alignment.rollout import pack
from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.feedback.records import prompt_of
from danlu.model.config import ModelConfig
from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer
from danlu.training.distributed import World

SHAPE = ModelConfig(
    vocab_size=12, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
    num_key_value_heads=1, head_dim=16, max_position_embeddings=16,
)  # fmt: skip


def test_every_pass_has_each_query_once_in_another_order() -> None:
    order = queries_of(range(30), 10, seed=0)
    passes = [order[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3
    assert queries_of(range(12, 17), 10, seed=0) == order[12:17]  # whatever part of it a process asks for
    assert queries_of(range(30), 10, seed=1) != order


def test_a_group_answers_one_query() -> None:
    order = queries_of(range(40), 5, seed=0, group_size=4)
    groups = np.array(order).reshape(10, 4)
    assert (groups == groups[:, :1]).all()
    assert sorted(groups[:5, 0].tolist()) == list(range(5))


def test_micro_batches_have_every_episode_once_and_like_lengths_together() -> None:
    lengths = [3, 9, 1, 7, 5, 2, 8, 4]
    rollout = pack([[1]] * 8, [[2] * n for n in lengths], [[-1.0] * n for n in lengths], (0,), 11)
    rows = torch.arange(8)
    pieces = [list(micro_batches(rollout, rows, World(rank, 2), 2)) for rank in (0, 1)]
    assert [len(piece) for piece in pieces[0]] == [len(piece) for piece in pieces[1]] == [2, 2]
    both = torch.cat([torch.cat(piece) for piece in pieces])
    assert sorted(both.tolist()) == list(range(8))
    assert sorted(lengths[i] for piece in pieces for i in piece[0].tolist()) == [1, 2, 3, 4]


def test_minibatches_are_a_partition() -> None:
    parts = minibatches(12, 4, (0, 1))
    assert [len(part) for part in parts] == [4, 4, 4]
    assert sorted(torch.cat(parts).tolist()) == list(range(12))


def test_one_process_gathers_nothing() -> None:
    rollout = pack([[1]], [[2]], [[-1.0]], (0,), 11)
    scores = torch.ones(1)
    assert gather(World(), rollout, scores, 1) == (rollout, scores)


def test_prompts_over_the_limit_are_dropped_and_counted() -> None:
    queries = [Query(prompt_of("x"), (1,) * n) for n in (2, 9, 10, 11)]
    encoded = fitting(queries, context=16, max_new_tokens=6)
    assert [len(query.tokens) for query in encoded.queries] == [2, 9, 10]
    assert encoded.too_long == 1
    with pytest.raises(DanluError, match="no prompt leaves room"):
        fitting(queries[2:], context=12, max_new_tokens=6)


@pytest.fixture
def seen(tmp_path, monkeypatch) -> dict[str, object]:
    """What a run of one batch hands to the training loop."""
    caught: dict[str, object] = {}

    class Caught(Exception):
        pass

    def catch(run, *arguments):
        caught["run"] = run
        raise Caught

    monkeypatch.setattr(learning, "run_training", catch)
    policy = Transformer(SHAPE)
    policy.initialize(torch.Generator().manual_seed(0))
    reward = ScoreModel(SHAPE)
    reward.initialize_from(policy.state_dict(), torch.Generator().manual_seed(1))
    for name, value in (("with", Weights(SHAPE, reward.state_dict())), ("without", None)):
        begin = Begin(Weights(SHAPE, policy.state_dict()), value, (3,), 1)
        config = PPOConfig(episodes=5120, max_new_tokens=4, device="cpu", precision="bf16")
        with pytest.raises(Caught):
            learn(config, begin, [Query(prompt_of("x"), (4,))], lambda q, r: torch.zeros(len(r)), tmp_path, Progress())
        caught[name] = caught["run"]
    caught["reward"] = reward
    return caught


def test_the_values_begin_as_the_reward_model_or_as_zero(seen) -> None:
    tokens = torch.tensor([[4, 5, 6]])
    reward = ScoreModel(SHAPE, torch.bfloat16)
    reward.load_state_dict(seen["reward"].state_dict())
    model = seen["with"].model
    assert torch.equal(model.value(tokens), reward(tokens))
    assert not seen["without"].model.value(tokens).any()
    shared = {id(p) for p in model.policy.parameters()} & {id(p) for p in model.value.parameters()}
    assert not shared


def test_adam_has_the_epsilon(seen) -> None:
    parts = seen["with"].optimizer._parts
    assert {name: part.eps for name, part in parts.items()} == {"policy": 1e-5, "value": 1e-5}
    assert all(part.betas == (0.9, 0.95) for part in parts.values())
    assert parts["policy"].lr == pytest.approx(8.05e-6 * 2048 / 16)
    assert parts["value"].lr == pytest.approx(9e-6 * 4096 / 16)


def test_weights_and_optimizer_are_fp32_in_bf16(seen) -> None:
    run = seen["with"]
    assert run.model.policy.compute_dtype == torch.bfloat16
    tensors = [*run.model.parameters(), *run.optimizer.state().values(), *run.companion.state().values()]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}


def test_the_rate_rises_from_a_tenth_and_stays(seen) -> None:
    schedule = seen["with"].schedule
    assert schedule.steps == 80
    assert schedule.factor(0) == pytest.approx(0.1)
    assert schedule.factor(40) == pytest.approx(0.55)
    assert PPOConfig().warmup_iterations == 10
    assert all(schedule.factor(step) <= schedule.factor(step + 1) for step in range(79))
