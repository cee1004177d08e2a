"""Experience: a batch of episodes with everything that learning from it needs, the same on every process.

Every process draws and rewards its share of the episodes; then each has all of them, small as they are, so that
whitening is global and minibatches are cut from the whole batch whatever the number of processes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from danlu.alignment.queries import Query
from danlu.alignment.rollout import Rollout
from danlu.tokens.order import Permutation
from danlu.training.distributed import World


class Reward(Protocol):
    """What says how good responses are."""

    def __call__(self, queries: Sequence[Query], responses: Sequence[Sequence[int]]) -> Tensor:
        """A score for each response (tokens, the end token included where there is one): (B,) fp32."""


@dataclass(frozen=True)
class Experience:
    """A batch of episodes."""

    rollout: Rollout
    """The episodes."""
    scores: Tensor
    """(B,) fp32, the reward's, before anything is replaced."""
    logprobs: Tensor
    """(B, T - 1) fp32: log-probabilities (nats) under the policy that drew them, as the scoring pass has them; 0 where
    no response token is, as in all that follow."""
    ref_logprobs: Tensor
    """(B, T - 1), under the reference."""
    values: Tensor | None = None
    """(B, T - 1), the value network's, of the state before each token."""
    advantages: Tensor | None = None
    """(B, T - 1)."""
    returns: Tensor | None = None
    """(B, T - 1), what the values are to become."""

    @property
    def mask(self) -> Tensor:
        """(B, T - 1) bool: the responses' tokens."""
        return self.rollout.mask

    def rows(self, index: Tensor) -> "Experience":
        """Some episodes (indices), cut to the longest of them."""
        rollout = self.rollout.rows(index)
        width = rollout.tokens.size(1) - 1

        def cut(tensor: Tensor) -> Tensor:
            return tensor[index, :width]

        return Experience(
            rollout,
            self.scores[index],
            cut(self.logprobs),
            cut(self.ref_logprobs),
            None if self.values is None else cut(self.values),
            None if self.advantages is None else cut(self.advantages),
            None if self.returns is None else cut(self.returns),
        )


def episode_numbers(iteration: int, batch_size: int) -> range:
    """The numbers of an iteration's episodes, counted through the run."""
    return range(iteration * batch_size, (iteration + 1) * batch_size)


def queries_of(numbers: Sequence[int], num_queries: int, seed: int, group_size: int = 1) -> list[int]:
    """Which query each episode answers: all are answered once a pass, in an order drawn anew for every pass.

    Args:
        numbers: of episodes.
        group_size: so many episodes in a row answer the same query.
    """
    passes, places = np.divmod(np.asarray(numbers, np.int64) // group_size, num_queries)
    found = np.empty(len(places), np.int64)
    for number in np.unique(passes).tolist():
        here = passes == number
        found[here] = Permutation(num_queries, (seed, number, 2))(places[here])
    return found.tolist()


def gather(world: World, mine: Rollout, scores: Tensor, total: int) -> tuple[Rollout, Tensor]:
    """Every process's episodes and scores, in order of rank, on every process.

    Args:
        mine: this process's `world.share(total)` of them.
    """
    if world.size == 1:
        return mine, scores
    place = world.share(total)
    width = torch.zeros(world.size, dtype=torch.int64, device=scores.device)
    width[world.rank] = mine.tokens.size(1)
    widest = int(world.sum(width).max())
    wide = mine.widened(widest)

    def all_of(tensor: Tensor) -> Tensor:
        # What each process leaves zero, another fills: their sum is exactly all of it.
        whole = torch.zeros(total, *tensor.shape[1:], dtype=tensor.dtype, device=tensor.device)
        whole[place] = tensor
        return world.sum(whole)

    fields = {name: getattr(wide, name) for name in wide.__dataclass_fields__}
    ended = all_of(fields.pop("ended").long()).bool()
    return Rollout(**{name: all_of(tensor) for name, tensor in fields.items()}, ended=ended), all_of(scores)


def micro_batches(rollout: Rollout, rows: Tensor, world: World, size: int) -> Iterator[Tensor]:
    """This process's part of some episodes (indices), cut into micro-batches of a size and of like length.

    Every process gets equally many, of equal size.
    """
    assert len(rows) % world.size == 0
    by_length = rows[torch.argsort(rollout.response_ends[rows].cpu(), stable=True)]
    mine = by_length[world.rank :: world.size]
    yield from mine.split(size)


def minibatches(batch_size: int, minibatch_size: int, key: tuple[int, ...]) -> list[Tensor]:
    """The episodes (indices) of each minibatch, in an order that is a function of `key`."""
    order = Permutation(batch_size, key)(np.arange(batch_size))
    return list(torch.from_numpy(order).split(minibatch_size))


@torch.no_grad()
def score_in_pieces(
    rollout: Rollout, pieces: Sequence[Tensor], world: World, score: Callable[[Rollout], Tensor]
) -> Tensor:
    """Numbers for all response tokens, each process computing those of its pieces.

    Args:
        pieces: this process's micro-batches (indices); over all processes each episode is in one.
        score: from some episodes to (b, t - 1).

    Returns:
        (B, T - 1) fp32, 0 outside responses.
    """
    found = torch.zeros(rollout.num_episodes, rollout.tokens.size(1) - 1, device=rollout.tokens.device)
    for piece in pieces:
        rows = rollout.rows(piece)
        numbers = torch.where(rows.mask, score(rows).float(), 0.0)
        found[piece] = F.pad(numbers, (0, found.size(1) - numbers.size(1)))
    return world.sum(found)
