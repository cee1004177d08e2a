"""PPO from a reward, as InstructGPT has it (Ouyang et al. 2022, arXiv 2203.02155, appendix C.4).

The value network is apart from the policy and from the reward model that it begins as. The reward of a token is the KL
penalty against the reference; that of the last token, which is the end token where there is one, the score beside it
(OpenAI's convention; TRL puts the score on a step behind the end). Advantages and returns are computed once a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from danlu.alignment.experience import Experience, score_in_pieces
from danlu.alignment.learner import Learned, Learner, Setting, but_last
from danlu.alignment.maths import (
    AdaptiveKL,
    assemble_rewards,
    explained_variance,
    gae,
    kl,
    masked_mean,
    policy_loss,
    value_loss,
    whiten,
)
from danlu.alignment.ppo_config import PPOConfig
from danlu.alignment.rollout import Rollout
from danlu.model.score import ScoreModel
from danlu.training.loop import Loss


class PPO(Learner[PPOConfig]):
    """Batches, objective and metrics of PPO for `train_steps`.

    Args:
        learned: policy and value network.
    """

    name = "ppo"

    def __init__(self, learned: Learned, setting: Setting, config: PPOConfig) -> None:
        super().__init__(learned, setting, config)
        assert learned.value is not None
        self.controller = AdaptiveKL(config.beta, config.kl_target, config.kl_horizon)
        self.beta = config.beta
        self.ptx_coef = config.ptx_coef

    def prepare(self, experience: Experience, pieces: Sequence[Tensor]) -> Experience:
        config, mask, value = self.config, experience.mask, self.learned.value
        assert isinstance(value, ScoreModel)
        self.beta = self.controller.beta  # what this batch's rewards are made with
        values = score_in_pieces(experience.rollout, pieces, self.setting.world, lambda rows: token_values(value, rows))
        rewards = assemble_rewards(
            self.given_scores(experience),
            experience.logprobs,
            experience.ref_logprobs,
            mask,
            self.beta,
            kind=config.kl_kind,
            missing_eos_score=None,  # replaced already
        )
        if config.whiten_rewards:
            rewards = whiten(rewards, mask, shift_mean=False)
        advantages, returns = gae(rewards, values, mask, config.gamma, config.lam)
        if config.whiten_advantages:
            advantages = whiten(advantages, mask)
        return replace(experience, values=values, advantages=advantages, returns=returns)

    def episode_loss(self, learned: Learned, experience: Experience) -> Loss:
        config, mask = self.config, experience.mask
        assert isinstance(learned.value, ScoreModel)
        assert experience.advantages is not None
        assert experience.values is not None
        assert experience.returns is not None
        logprobs, entropies = self.policy_logprobs(learned.policy, experience.rollout)
        self.note_ratio(logprobs, experience)
        policy = policy_loss(logprobs, experience.logprobs, experience.advantages, mask, config.clip)
        values = token_values(learned.value, experience.rollout)
        value = value_loss(values, experience.values, experience.returns, mask, config.value_clip)
        return Loss(
            policy.total + config.value_coef * value.total,
            int(policy.count),
            {
                "policy": policy.total.detach(),
                "value": value.total.detach(),
                "value_clipfrac": value.metrics["clipfrac"],
                "entropy": entropies.sum(),
                **policy.metrics,
            },
        )

    def iteration_metrics(self, experience: Experience) -> dict[str, float]:
        assert experience.values is not None
        assert experience.returns is not None
        explained = float(explained_variance(experience.values, experience.returns, experience.mask))
        return {
            "val/explained_variance": explained if explained == explained else 0.0,
            "val/value_avg": float(masked_mean(experience.values, experience.mask)),
            "val/return_avg": float(masked_mean(experience.returns, experience.mask)),
        }

    def end_of_iteration(self, experience: Experience) -> None:
        if self.config.adaptive_kl:
            per_response = kl(experience.logprobs, experience.ref_logprobs).mul(experience.mask).sum(1)
            self.controller.update(float(per_response.mean()), self.config.batch_size)

    def progress(self) -> dict[str, Any]:
        return super().progress() | {"beta": self.controller.beta}

    def restore(self, progress: Mapping[str, Any]) -> None:
        super().restore(progress)
        self.controller.beta = progress["beta"]


def token_values(value: ScoreModel, rollout: Rollout) -> Tensor:
    """(b, t - 1) values of the state before each token from the second on."""
    places = (but_last(rollout.positions), but_last(rollout.segments))
    return value(rollout.tokens[:, :-1].contiguous(), *places)
