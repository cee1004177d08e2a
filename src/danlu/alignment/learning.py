"""One run of PPO or GRPO from its parts, resumable between any two batches; the steps are the training loop's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from danlu.alignment.experience import Reward
from danlu.alignment.grpo import GRPO
from danlu.alignment.learner import GuardStop, Learned, Learner, Mix, Setting
from danlu.alignment.ppo import PPO
from danlu.alignment.ppo_config import GRPOConfig, PPOConfig, RewardLearningConfig
from danlu.alignment.queries import Query
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.hardware.device import Precision
from danlu.model.config import ModelConfig
from danlu.model.score import ScoreModel
from danlu.model.transformer import Transformer
from danlu.training.optimizer import Optimizer, Optimizers, Updates
from danlu.training.run import Engine, Run, run_training
from danlu.training.schedule import Decay

_LINES = 10
"""Lines about the course of a run that stay."""


@dataclass(frozen=True)
class Weights:
    """A model by its shape and its tensors."""

    config: ModelConfig
    state: Mapping[str, Tensor]


@dataclass(frozen=True)
class Begin:
    """What a run begins from."""

    policy: Weights
    """The SFT model, which is also what the KL is counted from."""
    value: Weights | None = None
    """The reward model that PPO's value network begins as; None: the policy's decoder with a head of zeros."""
    stop: tuple[int, ...] = ()
    """Tokens that end a response; the first is the one a response should end with."""
    pad: int = 0
    """Fills up rows; no end token."""


@dataclass(frozen=True)
class LearningResult:
    """What a run gave; result.json."""

    method: str
    episodes: int
    """Responses drawn and learned from."""
    steps: int
    """Optimizer steps."""
    seconds: float
    """Time in steps, sampling included, over all resumes."""
    episodes_per_second: float
    kl: float
    """KL from the reference (nats a response), in the last batch."""
    score: float
    """Mean score in the last batch."""
    first_score: float
    """Mean score in the first batch, drawn from the policy that the run began with."""
    missing_eos: float
    """Share of the last batch's responses without end token."""
    stopped_by: str = ""
    """The guard that ended the run before its time."""
    parts: dict[str, float] = field(default_factory=dict)
    """Where the time went since this process began (seconds): sample, reward, score, advantages, learn."""


@dataclass(frozen=True)
class _Settings:
    """The loop's settings, in its own words."""

    device: str
    precision: Precision
    clip: float
    checkpoint_seconds: float
    keep_checkpoints: int
    compile: Literal["auto", "on", "off"] = "auto"
    nonfinite: Literal["stop", "skip"] = "stop"


def learn(
    config: PPOConfig | GRPOConfig,
    begin: Begin,
    queries: Sequence[Query],
    reward: Reward,
    out: Path,
    report: Progress,
    *,
    gold: Reward | None = None,
    mix: Mix | None = None,
    left_padding: int = 0,
) -> tuple[dict[str, Tensor], LearningResult]:
    """Learn a policy from a reward. Called again after an interruption, it continues, to the last bit.

    Args:
        queries: with their tokens, each leaving room for a response.
        out: gets metrics.jsonl, timing.jsonl, checkpoints/ and result.json. The caller saves the model.
        gold: another judge of the same responses, which nothing is learned from: its mean is reported as
            `objective/gold`, and a proxy that rises while it falls gives a warning.
        mix: pretraining sequences (PPO's ptx).
        left_padding: see `Setting`.

    Returns:
        The policy's weights (averaged over steps where config.ema says so, and with those at the start where
        config.initial_share does) under its own names, whole on every process, and what was reached while learning.

    Raises:
        DanluError: a batch that the processes cannot share equally, no queries, PAD equal to an end token, a damaged
            checkpoint, a loss that is not finite.
        Stopped: SIGINT or SIGTERM came; a checkpoint was written.
    """
    settings = _Settings(
        config.device, config.precision, config.max_grad_norm, config.checkpoint_seconds, config.keep_checkpoints
    )
    engine = Engine.choose(settings, report)
    _check(config, begin, queries, engine)
    policy = engine.place(_transformer(begin.policy, engine.dtype), settings.compile)
    reference = engine.place(_transformer(begin.policy, engine.dtype).requires_grad_(False), settings.compile)
    value = engine.place(_value(begin, engine.dtype), settings.compile) if isinstance(config, PPOConfig) else None
    learned = Learned(policy, value)
    setting = Setting(
        reference, reward, queries, begin.stop, begin.pad, engine.world, engine.device, mix, left_padding, gold
    )
    learner: Learner[PPOConfig] | Learner[GRPOConfig]
    learner = PPO(learned, setting, config) if isinstance(config, PPOConfig) else GRPO(learned, setting, config)
    speaker = _Speaker(learner, config, report)
    steps = config.iterations * config.steps_per_iteration
    run = Run(
        learned,
        _optimizers(learned, config, engine.dtype),
        Decay(
            steps,
            "linear" if config.lr_decay else "constant",
            floor=0.0,
            warmup=min(config.warmup_iterations * config.steps_per_iteration, steps),
            start=0.1,
        ),
        learner.objective,
        learner.micro_batches,
        learner.tokens_after,
        learner.name,
        companion=speaker,
        boundary=config.steps_per_iteration,
        journal_metrics=False,
    )
    stopped_by = ""
    seconds = 0.0
    try:
        seconds = run_training(run, engine, settings, out, report).seconds
    except GuardStop as stop:
        stopped_by, seconds = stop.alarm.guard, sum(learner.total_seconds.values())
        report(f"Stopped: {stop.alarm.words}.")
    last = learner.last
    episodes = int(last.get("episode", 0))
    result = LearningResult(
        method=learner.name,
        episodes=episodes,
        steps=episodes // config.batch_size * config.steps_per_iteration,
        seconds=seconds,
        episodes_per_second=episodes / max(seconds, 1e-9),
        kl=last.get("objective/kl", 0.0),
        score=last.get("objective/scores", 0.0),
        first_score=learner.first_score,
        missing_eos=last.get("val/missing_eos", 0.0),
        stopped_by=stopped_by,
        parts=dict(learner.total_seconds),
    )
    if engine.world.is_main:
        write_json(out / "result.json", to_mapping(result))
    weights = learner.average or dict(policy.named_parameters())
    whole = {name: _whole(tensor.detach()) for name, tensor in weights.items()}
    if config.initial_share:
        whole = {
            name: torch.lerp(tensor, begin.policy.state[name].to(tensor), config.initial_share)
            for name, tensor in whole.items()
        }
    engine.world.barrier()
    return whole, result


class _Speaker:
    """The learner as the run's companion, saying now and then how it goes, and every alarm."""

    def __init__(
        self, learner: Learner[PPOConfig] | Learner[GRPOConfig], config: RewardLearningConfig, report: Progress
    ) -> None:
        self._learner, self._report = learner, report
        self._every = max(1, config.iterations // _LINES)
        self.state, self.progress, self.restore = learner.state, learner.progress, learner.restore

    def after_step(self, result: object) -> Mapping[str, float]:
        learner = self._learner
        metrics = learner.after_step(result)  # type: ignore[arg-type]
        if metrics and learner.setting.world.is_main:
            for alarm in learner.alarms:
                if alarm.action == "warn":
                    self._report(f"Warning: {alarm.words}.")
            iteration = int(metrics["episode"]) // learner.config.batch_size
            if iteration % self._every == 0 or iteration == 1:
                gold = f" · gold {metrics['objective/gold']:.3f}" if "objective/gold" in metrics else ""
                self._report(
                    f"{int(metrics['episode'])} responses: score {metrics['objective/scores']:.3f}{gold}"
                    f" · KL {metrics['objective/kl']:.2f} nats · {metrics['val/length']:.0f} tokens"
                )
        return metrics


def _check(config: RewardLearningConfig, begin: Begin, queries: Sequence[Query], engine: Engine) -> None:
    if not queries:
        raise DanluError("there are no prompts to learn from.", "Give a file of prompts.")
    if begin.pad in begin.stop:
        raise DanluError(
            f"the padding token (id {begin.pad}) is an end token too: a policy that takes ends for padding never learns"
            " to stop.",
            "Use a tokenizer with a padding token of its own.",
        )
    size = engine.world.size
    if config.minibatch_size % size or config.batch_size % size:
        raise DanluError(
            f"{size} processes cannot share minibatches of {config.minibatch_size} responses equally.",
            f"Give a batch_size and a minibatch_size that {size} divides.",
        )


def _transformer(weights: Weights, dtype: torch.dtype) -> Transformer:
    model = Transformer(weights.config, dtype)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.state.items()})
    return model


def _value(begin: Begin, dtype: torch.dtype) -> ScoreModel:
    weights = begin.value or begin.policy
    model = ScoreModel(weights.config, dtype)
    model.initialize_from(
        {name: tensor.float() for name, tensor in weights.state.items()}, head="given" if begin.value else "zero"
    )
    return model


def _optimizers(learned: Learned, config: PPOConfig | GRPOConfig, dtype: torch.dtype) -> Optimizers:
    parts: dict[str, Updates] = {}
    rates = [("policy", learned.policy, config.rate(config.lr, config.lr_width, learned.policy.config.hidden_size))]
    if isinstance(config, PPOConfig):
        assert isinstance(learned.value, ScoreModel)
        width = learned.value.config.hidden_size
        rates.append(("value", learned.value, config.rate(config.value_lr, config.value_lr_width, width)))  # type: ignore[arg-type]
    for name, model, lr in rates:
        optimizer = Optimizer(model, lr, lr, 0.0, dtype, matrices="adamw", eps=config.adam_eps)
        optimizer.betas = config.adam_betas
        parts[name] = optimizer
    return Optimizers(parts)


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
