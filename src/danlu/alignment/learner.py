"""Learning a policy from rewards: what PPO and GRPO share. Batches and objective for the one training loop.

An iteration draws a batch of episodes from the policy as it is, scores them, and takes its optimizer steps. Its first
step draws; so a run that resumes between two iterations draws the same episodes again, and learns the same from them.
"""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from danlu.alignment.experience import (
    Experience,
    Reward,
    episode_numbers,
    gather,
    micro_batches,
    minibatches,
    queries_of,
    score_in_pieces,
)
from danlu.alignment.guards import Alarm, Watch
from danlu.alignment.maths import kl
from danlu.alignment.ppo_config import RewardLearningConfig
from danlu.alignment.queries import Query
from danlu.alignment.rollout import Rollout, decoder_of, roll_out
from danlu.model.transformer import Transformer
from danlu.tokens.loader import Loader
from danlu.training.distributed import World
from danlu.training.loop import Loss, StepResult
from danlu.training.pieces import tokens_at_once

C = TypeVar("C", bound=RewardLearningConfig)


class GuardStop(Exception):
    """A guard ends the run. Raised before the next batch is drawn, so that the last one is on record."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(alarm.words)
        self.alarm = alarm


class Learned(nn.Module):
    """What the steps change: the policy, and in PPO the value network. They share no weight."""

    def __init__(self, policy: Transformer, value: nn.Module | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.value = value


@dataclass(frozen=True)
class PretrainingBatch:
    """Some sequences of the pretraining corpus, mixed in (ptx)."""

    inputs: Tensor
    """(b, t) int64."""
    targets: Tensor
    """(b, t) int64, the token after each."""
    scale: float
    """Turns the sum of their losses into (mean a pretraining token) x (the step's response tokens), so that dividing by
    the latter leaves the former."""


Batch = Experience | PretrainingBatch


@dataclass(frozen=True)
class Mix:
    """Pretraining sequences to mix in."""

    loader: Loader
    sequences: int
    """For each optimizer step, over all processes; rounded up to equally many for each."""
    context: int
    """Tokens of each."""


@dataclass(frozen=True)
class Setting:
    """What a learner works with and does not change."""

    reference: Transformer
    """Where the KL is counted from; its weights stay as they are."""
    reward: Reward
    queries: Sequence[Query]
    stop: tuple[int, ...]
    """Tokens that end a response."""
    pad: int
    """Fills up rows; no end token."""
    world: World
    device: torch.device
    mix: Mix | None = None
    left_padding: int = 0
    """Padding tokens before every row, as rows from elsewhere may have; changes nothing but rounding."""
    gold: Reward | None = None
    """Another judge of the same responses, which nothing is learned from."""


class Learner(ABC, Generic[C]):
    """Makes the batches of `train_steps` from a policy that learns, and says what happened.

    Args:
        learned: the model that `train_steps` steps.
    """

    name: str

    def __init__(self, learned: Learned, setting: Setting, config: C) -> None:
        assert setting.pad not in setting.stop
        self.learned, self.setting, self.config = learned, setting, config
        self.experience: Experience | None = None
        self.watch = Watch()
        self.alarms: list[Alarm] = []
        """Of the last iteration."""
        self.seconds: dict[str, float] = defaultdict(float)
        """Where the time of the last iteration went."""
        self.total_seconds: dict[str, float] = defaultdict(float)
        """The same over all iterations since this process began."""
        self.last: dict[str, float] = {}
        """The metrics of the last iteration."""
        self.first_score = 0.0
        """Mean score of the first batch."""
        self._gold: float | None = None
        self._tokens = {0: 0}
        """Response tokens drawn by the end of each iteration (counted from 1)."""
        self._results: list[StepResult] = []
        self._ratio_max = 0.0
        self._drawn_gap = 0.0
        models = 1 if learned.value is None else 2
        self._at_once = tokens_at_once(learned.policy.config, setting.device, setting.world.size, trained=models)
        policy = learned.policy.named_parameters()
        self.average = {name: p.detach().clone() for name, p in policy} if config.ema else {}
        """The policy's averaged weights."""

    # What differs between methods

    @abstractmethod
    def prepare(self, experience: Experience, pieces: Sequence[Tensor]) -> Experience:
        """Add advantages, and what else the method learns from."""

    @abstractmethod
    def episode_loss(self, learned: Learned, experience: Experience) -> Loss:
        """The loss of some episodes."""

    def iteration_metrics(self, experience: Experience) -> dict[str, float]:
        """What the method has to add about a batch."""
        return {}

    def end_of_iteration(self, experience: Experience) -> None:
        """Take note of a batch that was learned from."""

    def progress(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps."""
        iterations = max(self._tokens)
        return {
            "watch": vars(self.watch),
            "tokens": [iterations, self._tokens[iterations]],
            "first_score": self.first_score,
            "last": self.last,
        }

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint keeps."""
        return {f"average.{name}": tensor for name, tensor in self.average.items()}

    def restore(self, progress: Mapping[str, Any]) -> None:
        """Continue from a checkpoint's values."""
        self.watch = Watch(**progress["watch"])
        iterations, tokens = progress["tokens"]
        self._tokens[iterations] = tokens
        self.first_score, self.last = progress["first_score"], progress["last"]

    group_size = 1

    # The loop's side

    def micro_batches(self, step: int) -> Iterator[Batch]:
        """This process's micro-batches of an optimizer step; the first of an iteration draws the episodes."""
        config, world = self.config, self.setting.world
        iteration, place = divmod(step, config.steps_per_iteration)
        if place == 0:
            if stop := next((alarm for alarm in self.alarms if alarm.action == "stop"), None):
                raise GuardStop(stop)
            self._results.clear()
            self.seconds.clear()
            self._ratio_max = 0.0
            self.experience = self._collect(iteration)
            self._tokens[iteration + 1] = self._tokens[iteration] + int(self.experience.mask.sum())
        assert self.experience is not None, "a run resumes between iterations"
        epoch, minibatch = divmod(place, config.minibatches)
        rows = self._minibatches(iteration, epoch)[minibatch]
        tokens = int(self.experience.mask[rows].sum())
        with self.timed("learn"):
            for piece in micro_batches(self.experience.rollout, rows, world, self._piece(self.experience.rollout)):
                yield self.experience.rows(piece)
            yield from self._pretraining(step, tokens)

    def objective(self, learned: Learned, batch: Batch) -> Loss:
        """The loss of a micro-batch."""
        if isinstance(batch, Experience):
            return self.episode_loss(learned, batch)
        total = learned.policy.loss(batch.inputs, batch.targets) * batch.scale
        return Loss(total * self.ptx_coef, 0, {"ptx": total.detach()})

    ptx_coef = 0.0

    def tokens_after(self, step: int) -> int:
        """Response tokens drawn for the first so many steps."""
        return self._tokens[-(-step // self.config.steps_per_iteration)]

    def after_step(self, result: StepResult) -> dict[str, float]:
        """Take note of a step; returns the iteration's metrics when it was the last of one."""
        self._results.append(result)
        if self.average:
            self._update_average(result.step - 1)
        if result.step % self.config.steps_per_iteration:
            return {}
        assert self.experience is not None
        metrics = self._metrics(result)
        if result.step == self.config.steps_per_iteration:
            self.first_score = metrics["objective/scores"]
        self.end_of_iteration(self.experience)
        self.alarms = self.watch.look(metrics, self.config.guards)
        for part, seconds in self.seconds.items():
            self.total_seconds[part] += seconds
        self.last = metrics
        return metrics

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Count the block's time towards a part of the iteration, the device's work included."""
        began = time.perf_counter()
        try:
            yield
        finally:
            if self.setting.device.type != "cpu":
                torch.accelerator.synchronize(self.setting.device)
            self.seconds[what] += time.perf_counter() - began

    # Inside

    def policy_logprobs(self, policy: Transformer, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the responses' tokens, and entropies of what they were drawn from: nats, at the
        temperature of sampling, (b, t - 1) each, 0 elsewhere.
        """
        targets = torch.where(rollout.mask, rollout.tokens[:, 1:], -1)
        places = (but_last(rollout.positions), but_last(rollout.segments))
        return policy.token_logprobs(
            rollout.tokens[:, :-1].contiguous(), targets, *places, temperature=self.config.temperature
        )

    def note_ratio(self, logprobs: Tensor, experience: Experience) -> None:
        """Remember the largest ratio of an iteration."""
        gap = torch.where(experience.mask, logprobs.detach() - experience.logprobs, 0.0)
        self._ratio_max = max(self._ratio_max, float(gap.abs().max().exp()))

    def _piece(self, rollout: Rollout) -> int:
        """Episodes of a micro-batch."""
        return self.config.micro_batch_size or max(1, self._at_once // rollout.tokens.size(1))

    def _minibatches(self, iteration: int, epoch: int) -> list[Tensor]:
        config = self.config
        return minibatches(config.batch_size, config.minibatch_size, (config.seed, iteration, epoch, 3))

    def _collect(self, iteration: int) -> Experience:
        setting, config, policy = self.setting, self.config, self.learned.policy
        world, device = setting.world, setting.device
        numbers = list(episode_numbers(iteration, config.batch_size))[world.share(config.batch_size)]
        chosen = queries_of(numbers, len(setting.queries), config.seed, self.group_size)
        queries = [setting.queries[place] for place in chosen]
        with self.timed("sample"):
            mine = roll_out(
                decoder_of(policy),
                [query.tokens for query in queries],
                numbers,
                setting.stop,
                setting.pad,
                max_new_tokens=config.max_new_tokens,
                temperature=config.temperature,
                seed=config.seed,
                batch_size=config.rollout_batch_size,
            )
        with self.timed("reward"):
            responses = mine.responses()
            scores = setting.reward(queries, responses).float().to(device)
            self._gold = None
            if setting.gold is not None:
                total = setting.gold(queries, responses).double().sum().to(device)
                self._gold = float(world.sum(total)) / config.batch_size
        assert bool(torch.isfinite(scores).all()), "the reward gave a score that is no number"
        rollout, scores = gather(world, mine.to(device), scores, config.batch_size)
        if setting.left_padding:
            rollout = rollout.padded_left(setting.left_padding, setting.pad)
        # Scored in the micro-batches of the first epoch, by the same pass: its ratios are then 1 to the last bit,
        # whatever the arithmetic.
        pieces = [
            piece
            for rows in self._minibatches(iteration, 0)
            for piece in micro_batches(rollout, rows, world, self._piece(rollout))
        ]
        with self.timed("score"):
            logprobs = score_in_pieces(rollout, pieces, world, lambda rows: self.policy_logprobs(policy, rows)[0])
            reference = score_in_pieces(
                rollout, pieces, world, lambda rows: self.policy_logprobs(setting.reference, rows)[0]
            )
        self._drawn_gap = float((logprobs - rollout.logprobs).abs().max())
        with self.timed("advantages"):
            return self.prepare(Experience(rollout, scores, logprobs, reference), pieces)

    def _pretraining(self, step: int, response_tokens: int) -> Iterator[PretrainingBatch]:
        mix, world = self.setting.mix, self.setting.world
        if mix is None or not self.ptx_coef:
            return
        sequences = -(-mix.sequences // world.size) * world.size  # as many passes on every process
        mine = world.share(sequences)
        scale = response_tokens / (sequences * mix.context)
        size = max(1, self._at_once // mix.context)
        for first in range(mine.start, mine.stop, size):
            count = min(size, mine.stop - first)
            data = torch.from_numpy(mix.loader.batch(step * sequences + first, count)).to(self.setting.device)
            yield PretrainingBatch(data[:, :-1].contiguous(), data[:, 1:].contiguous(), scale)

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        decay = min(self.config.ema, (1 + step) / (10 + step))
        now = [_local(p) for p in self.learned.policy.parameters()]
        torch._foreach_lerp_([_local(p) for p in self.average.values()], now, 1 - decay)

    def _metrics(self, result: StepResult) -> dict[str, float]:
        experience, config = self.experience, self.config
        assert experience is not None
        mask, scores = experience.mask, experience.scores
        per_response = kl(experience.logprobs, experience.ref_logprobs).mul(mask).sum(1)
        entropy = -experience.logprobs.mul(mask).sum(1)
        divergence = float(per_response.mean())
        given = self.given_scores(experience)
        beta = self.beta
        steps = {name: sum(r.metrics[name] for r in self._results) / len(self._results) for name in result.metrics}
        ratio = steps.pop("ratio")
        ended = experience.rollout.ended
        return {
            "objective/kl": divergence,
            "objective/entropy": float(entropy.mean()),
            "objective/non_score_reward": -beta * divergence,
            "objective/rlhf_reward": float(given.mean()) - beta * divergence,
            "objective/scores": float(scores.mean()),
            "policy/approxkl_avg": steps.pop("approxkl"),
            "policy/clipfrac_avg": steps.pop("clipfrac"),
            "policy/entropy_avg": steps.pop("entropy"),
            "loss/policy_avg": steps.pop("policy"),
            "val/ratio": ratio,
            "val/ratio_var": max(0.0, steps.pop("ratio_square") - ratio**2),
            "val/ratio_max": self._largest(self._ratio_max),
            "val/num_eos_tokens": int(ended.sum()),
            "val/missing_eos": 1.0 - float(ended.float().mean()),
            "val/length": float(experience.rollout.lengths.float().mean()),
            "val/score_std": float(scores.std(correction=0)),
            "val/sampled_logprob_gap": self._drawn_gap,
            **({} if self._gold is None else {"objective/gold": self._gold}),
            **_named(steps),
            **self.iteration_metrics(experience),
            "beta": beta,
            "lr": result.lr,
            "grad_norm": sum(r.grad_norm for r in self._results) / len(self._results),
            "episode": result.step // config.steps_per_iteration * config.batch_size,
        }

    beta = 0.0
    """Weight of the KL in this iteration."""

    def given_scores(self, experience: Experience) -> Tensor:
        """(B,) scores as they count: those of responses without end are replaced."""
        missing = self.config.missing_eos_score
        return (
            experience.scores if missing is None else torch.where(experience.rollout.ended, experience.scores, missing)
        )

    def _largest(self, mine: float) -> float:
        world = self.setting.world
        every = torch.zeros(world.size, dtype=torch.float64, device=self.setting.device)
        every[world.rank] = mine
        return float(world.sum(every).max())


_STEP_NAMES: dict[str, str] = {
    "value": "loss/value_avg",
    "value_clipfrac": "val/clipfrac_avg",
    "kl": "loss/kl_avg",
    "ptx": "loss/ptx_avg",
}


def _named(steps: dict[str, float]) -> dict[str, float]:
    return {_STEP_NAMES[name]: value for name, value in steps.items()}


def but_last(x: Tensor | None) -> Tensor | None:
    """Without the last column, behind which nothing is predicted."""
    return None if x is None else x[:, :-1]


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
