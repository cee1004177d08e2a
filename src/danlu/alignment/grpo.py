"""GRPO: several responses a prompt, each judged beside the others of its group, without a value network.

Shao et al. 2024, DeepSeekMath (arXiv 2402.03300), section 4.1. Losses are means over a step's tokens, so that a long
response weighs as much as it has tokens (Yu et al. 2025, DAPO, arXiv 2503.14476); the paper's mean over each response
first would favour short right answers and long wrong ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from danlu.alignment.experience import Experience
from danlu.alignment.learner import Learned, Learner, Setting
from danlu.alignment.maths import group_advantages, kl, kl_loss, policy_loss
from danlu.alignment.ppo_config import GRPOConfig
from danlu.training.loop import Loss


class GRPO(Learner[GRPOConfig]):
    """Batches, objective and metrics of GRPO for `train_steps`.

    Args:
        learned: the policy alone.
    """

    name = "grpo"

    def __init__(self, learned: Learned, setting: Setting, config: GRPOConfig) -> None:
        super().__init__(learned, setting, config)
        self.group_size = config.group_size
        self.beta = config.beta

    def prepare(self, experience: Experience, pieces: Sequence[Tensor]) -> Experience:
        config, mask = self.config, experience.mask
        rewards = self.given_scores(experience)
        if config.kl_in == "reward":
            kind = "k3" if config.kl_kind == "k3+" else config.kl_kind
            penalties = kl(experience.logprobs, experience.ref_logprobs, kind).mul(mask).sum(1)
            rewards = rewards - config.beta * penalties
        advantages = group_advantages(rewards, config.group_size, config.scale)
        return replace(experience, advantages=torch.where(mask, advantages[:, None], 0.0))

    def episode_loss(self, learned: Learned, experience: Experience) -> Loss:
        config, mask = self.config, experience.mask
        assert experience.advantages is not None
        logprobs, entropies = self.policy_logprobs(learned.policy, experience.rollout)
        self.note_ratio(logprobs, experience)
        policy = policy_loss(logprobs, experience.logprobs, experience.advantages, mask, config.clip)
        total = policy.total
        metrics = {"policy": policy.total.detach(), "entropy": entropies.sum(), **policy.metrics}
        if config.kl_in == "loss":
            divergence = kl_loss(logprobs, experience.ref_logprobs, mask, config.kl_kind)
            total = total + config.beta * divergence.total
            metrics["kl"] = divergence.total.detach()
        return Loss(total, int(policy.count), metrics)

    def iteration_metrics(self, experience: Experience) -> dict[str, float]:
        groups = experience.scores.view(-1, self.config.group_size)
        same = groups.max(1).values == groups.min(1).values
        return {"val/same_scores": float(same.float().mean())}
