"""Answers, their divergence from a reference, and best of n, on a model that is small enough to check by hand."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from danlu.alignment.assess import Voice, best_of, best_of_n_curve, divergence, draw, learning_curve
from danlu.alignment.maths import best_of_n_kl
from danlu.alignment.queries import Query
from danlu.feedback.records import prompt_of
from danlu.model.config import ModelConfig
from danlu.model.transformer import Transformer

V = 6
SHAPE = ModelConfig(
    vocab_size=V,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=16,
)
QUERIES = [Query(prompt_of(f"{i}"), tokens=(1 + i % 3,)) for i in range(200)]
VOICE = Voice(stop=(0,), pad=V - 1, text=lambda tokens: json.dumps(list(tokens)), max_new_tokens=1)


def model(seed: int) -> Transformer:
    made = Transformer(SHAPE)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.6, generator=torch.Generator().manual_seed(seed))
    return made


def lengths(queries: Sequence[Query], responses: Sequence[Sequence[int]]) -> torch.Tensor:
    return torch.tensor([float(response[0]) for response in responses])


def test_divergence_is_the_kl_of_the_distributions() -> None:
    policy, reference = model(1), model(2)
    drawn = draw(policy, QUERIES, VOICE, None, samples=20)
    prompts = torch.tensor([[1], [2], [3]])
    with torch.no_grad():
        p, q = (m(prompts)[:, -1].log_softmax(-1).double() for m in (policy, reference))
    exact = (p.exp() * (p - q)).sum(1)
    share = torch.tensor([sum(query.tokens == (1 + i,) for query in QUERIES) for i in range(3)]) / len(QUERIES)
    assert divergence(drawn.rollout, reference) == pytest.approx(float((exact * share).sum()), rel=0.1)
    assert divergence(drawn.rollout, policy) == pytest.approx(0.0, abs=1e-5)


def test_answers_to_a_query_stand_together_and_differ_in_their_chance() -> None:
    drawn = draw(model(1), QUERIES, VOICE, lengths, samples=3)
    assert len(drawn.texts) == 600
    assert [row[0] for row in drawn.rollout.tokens.tolist()] == [q.tokens[0] for q in QUERIES for _ in range(3)]
    assert len({drawn.texts[3 * i : 3 * i + 3] for i in range(0, 200, 3)}) > 3
    assert drawn.ended == tuple(text == "[0]" for text in drawn.texts)
    assert draw(model(1), QUERIES, VOICE, None, samples=3).texts == drawn.texts


def test_best_of_n_takes_the_highest_score() -> None:
    drawn = draw(model(1), QUERIES, VOICE, lengths, samples=4)
    best = best_of(drawn, 4, 3)
    assert best.name == "best-of-3"
    scores = drawn.rewards.reshape(-1, 4)
    assert list(best.rewards) == list(scores[:, :3].max(1))
    assert best.kl is not None
    assert 0 < best.kl <= best_of_n_kl(3)
    curve = best_of_n_curve(drawn, 4, list(drawn.rewards))
    assert [point.proxy for point in curve.points] == [point.gold for point in curve.points]
    assert np.all(np.diff([point.proxy for point in curve.points]) >= 0)
    assert curve.points[0].kl == 0.0
    assert curve.points[3].proxy == pytest.approx(scores.max(1).mean())


def test_a_learning_curve_averages_neighbours() -> None:
    lines = [{"step": i, "objective/kl": i / 10, "objective/scores": 2.0 * i, "objective/gold": 0.5} for i in range(48)]
    curve = learning_curve([{"step": 0, "loss": 1.0}, *lines])
    assert len(curve.points) == 24
    assert curve.points[1].kl == pytest.approx(0.25)
    assert curve.points[1].proxy == pytest.approx(5.0)
    assert curve.points[1].gold == 0.5
    assert learning_curve([{"objective/kl": 1.0, "objective/scores": 1.0}]).points[0].gold is None
