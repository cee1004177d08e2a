"""Judging the models of an alignment: what they answer to held-out prompts, what the reward model says to that, and how
far they have gone from the SFT model.

Answers are drawn as PPO draws them, at temperature 1 from the whole distribution, so that the KL is that of what is
judged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from danlu.alignment import best_of_n
from danlu.alignment.experience import Reward
from danlu.alignment.outcome import OptimisationCurve, Point, Responses, curve_of
from danlu.alignment.queries import Query
from danlu.alignment.rollout import Rollout, decoder_of, roll_out
from danlu.model.transformer import Transformer

_MOST_POINTS = 24
"""Points of a curve: iterations are averaged down to so many."""
_ROWS = 32
"""Responses that are scored at once."""


@dataclass(frozen=True)
class Voice:
    """How answers are drawn and read."""

    stop: tuple[int, ...]
    """Tokens that end an answer."""
    pad: int
    text: Callable[[Sequence[int]], str]
    """From an answer's tokens to its text, without special tokens."""
    max_new_tokens: int
    seed: int = 0
    temperature: float = 1.0
    missing_eos_score: float | None = None
    """Replaces the reward of an answer that was cut off, as in PPO; None keeps it."""
    batch_size: int = 64
    """Answers that are decoded at once; changes nothing but memory and speed."""


@dataclass(frozen=True)
class Drawn:
    """Answers to some queries, several to each perhaps."""

    rollout: Rollout
    texts: tuple[str, ...]
    rewards: NDArray[np.float64]
    """The reward model's scores, (B,); empty without one."""

    @property
    def ended(self) -> tuple[bool, ...]:
        """Whether each came to its own end."""
        return tuple(self.rollout.ended.tolist())

    @property
    def tokens(self) -> tuple[int, ...]:
        """Length of each."""
        return tuple(self.rollout.lengths.tolist())


def draw(policy: Transformer, queries: Sequence[Query], voice: Voice, reward: Reward | None, samples: int = 1) -> Drawn:
    """Let a model answer each query so many times; answers to a query stand together."""
    every = [query for query in queries for _ in range(samples)]
    rollout = roll_out(
        decoder_of(policy),
        [query.tokens for query in every],
        range(len(every)),
        voice.stop,
        voice.pad,
        max_new_tokens=voice.max_new_tokens,
        temperature=voice.temperature,
        seed=voice.seed,
        batch_size=voice.batch_size,
    )
    responses = rollout.responses()
    scores = reward(every, responses).double().cpu().numpy() if reward else np.empty(0)
    if reward and voice.missing_eos_score is not None:
        scores = np.where(rollout.ended.numpy(), scores, voice.missing_eos_score)
    return Drawn(rollout, tuple(voice.text(response) for response in responses), scores)


@torch.no_grad()
def divergence(rollout: Rollout, reference: Transformer, temperature: float = 1.0) -> float:
    """KL of the model that drew the answers from a reference (nats a response): the mean of log p - log p_ref."""
    total, order = 0.0, torch.argsort(rollout.response_ends)
    for rows in order.split(_ROWS):
        some = rollout.rows(rows)
        targets = torch.where(some.mask, some.tokens[:, 1:], -1)
        theirs, _ = reference.token_logprobs(some.tokens[:, :-1].contiguous(), targets, temperature=temperature)
        total += float((some.logprobs - theirs.cpu()).mul(some.mask).double().sum())
    return total / rollout.num_episodes


def responses_of(name: str, drawn: Drawn, kl: float | None = None, bits_per_byte: float | None = None) -> Responses:
    """One answer to each query as a model's responses."""
    return Responses(name, drawn.texts, drawn.ended, drawn.tokens, tuple(drawn.rewards.tolist()), kl, bits_per_byte)


def best_of(drawn: Drawn, samples: int, n: int) -> Responses:
    """The best by the reward model of the first n answers to each query.

    Args:
        samples: answers that were drawn to each query, n or more.
    """
    scores = drawn.rewards.reshape(-1, samples)[:, :n]
    chosen = np.arange(len(scores)) * samples + best_of_n.best_indices(scores)
    return Responses(
        f"best-of-{n}",
        tuple(drawn.texts[i] for i in chosen),
        tuple(drawn.ended[i] for i in chosen),
        tuple(drawn.tokens[i] for i in chosen),
        tuple(float(drawn.rewards[i]) for i in chosen),
        best_of_n.estimated_kl(drawn.rewards.reshape(-1, samples), n),
    )


def best_of_n_curve(drawn: Drawn, samples: int, gold: Sequence[float] | None) -> OptimisationCurve:
    """Proxy and gold against the KL of the best of 1, 2, 4, ... answers, estimated from all of them without bias.

    Args:
        gold: the gold score of each answer, where there is one.
    """
    proxy = drawn.rewards.reshape(-1, samples)
    true = None if gold is None else np.asarray(gold, float).reshape(-1, samples)
    points = best_of_n.curve(proxy, true, ns=range(1, samples + 1))
    return curve_of("best_of_n", [Point(point.kl, point.proxy, point.gold) for point in points])


def learning_curve(metrics: Sequence[Mapping[str, float]]) -> OptimisationCurve:
    """Proxy and gold against the KL along a run of PPO, from its metrics, neighbouring iterations averaged."""
    known = [line for line in metrics if "objective/kl" in line and "objective/scores" in line]
    size = max(1, -(-len(known) // _MOST_POINTS))
    points = []
    for first in range(0, len(known), size):
        some = known[first : first + size]
        gold = [line["objective/gold"] for line in some if "objective/gold" in line]
        points.append(
            Point(
                max(0.0, _mean([line["objective/kl"] for line in some])),
                _mean([line["objective/scores"] for line in some]),
                _mean(gold) if len(gold) == len(some) else None,
            )
        )
    return curve_of("rl", points)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
