"""Synthetic ladders from a known surface."""

from collections.abc import Callable

import numpy as np
import pytest

from danlu.model.family import family
from danlu.scaling.points import Point

CONTEXT, VOCABULARY = 128, 1024


def surface(params: float, tokens: float, floor: float = 1.0) -> float:
    """The truth that synthetic points are drawn from."""
    return floor + 60.0 / params**0.32 + 120.0 / tokens**0.35


@pytest.fixture
def ladder() -> Callable[..., list[Point]]:
    """Points of six sizes at 10, 20 and 40 tokens a parameter, with log-normal noise."""

    def make(noise: float = 0.0, seed: int = 0, floor: float = 1.0) -> list[Point]:
        rng = np.random.default_rng(seed)
        points = []
        for model in family(VOCABULARY, CONTEXT)[2:14:2]:
            params = model.num_parameters("matmul")
            for ratio in (10, 20, 40):
                tokens = ratio * params
                points.append(
                    Point(
                        rung=f"w{model.hidden_size}",
                        params=params,
                        params_all=model.num_parameters(),
                        params_non_embedding=model.num_parameters("non_embedding"),
                        tokens=tokens,
                        flops=model.flops_per_token(CONTEXT) * tokens,
                        loss=surface(params, tokens, floor) * float(np.exp(rng.normal(0, noise))),
                        loss_se=0.002,
                        unique_tokens=10**9,
                        batch_tokens=1024,
                        lr=0.02,
                        seed=0,
                        seconds=10.0,
                        tokens_per_second=1e11 / model.flops_per_token(CONTEXT),
                    )
                )
        return points

    return make
