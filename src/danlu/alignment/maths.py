"""The arithmetic of alignment: pure functions of tensors, masked, with known answers.

Conventions. Tensors of tokens are (B, T); `mask` (B, T) is true (or 1) at the real tokens of the responses. Whatever
stands where the mask is false, NaN included, changes nothing, and results there are 0. A loss comes as a sum with the
count to divide it by (`Loss`), so that neither micro-batches nor the number of processes change the gradient.

Sources: PPO, Schulman et al. 2017 (arXiv 1707.06347); GAE, Schulman et al. 2015 (1506.02438); adaptive KL, Ziegler et
al. 2019 (1909.08593); ranking loss, InstructGPT, Ouyang et al. 2022 (2203.02155); KL estimators, Schulman 2020
(joschu.net/blog/kl-approx.html); best-of-n, Gao et al. 2022 (2210.10760).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

KLKind = Literal["k1", "k2", "k3"]

_SERIES = 0.05
"""Below this distance k3 is summed as a series: exp(-d) - 1 + d would lose its digits to cancellation."""


@dataclass(frozen=True)
class Loss:
    """A loss as the training loop wants it: sums, to be divided by the global count."""

    total: Tensor
    """Sum of the loss; carries the gradient."""
    count: Tensor
    """What to divide by: real tokens, or comparisons in units of prompts."""
    metrics: dict[str, Tensor]
    """Sums of what is reported, to be divided by the same count; without gradient."""

    @property
    def mean(self) -> Tensor:
        """The loss where this batch is the whole batch; 0 where nothing is real."""
        return self.total / self.count.clamp(min=torch.finfo(self.total.dtype).tiny)


def masked_mean(x: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Mean of `x` over the real tokens, of all or along `dim`; 0 where there are none."""
    real = mask.bool()
    kept = torch.where(real, x, 0.0)
    if dim is None:
        return kept.sum() / real.sum().clamp(min=1)
    return kept.sum(dim) / real.sum(dim).clamp(min=1)


def whiten(
    x: Tensor,
    mask: Tensor,
    shift_mean: bool = True,
    *,
    unbiased: bool = False,
    reduce: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Scale `x` to variance one over the real tokens.

    Args:
        x, mask: (B, T).
        shift_mean: make the mean zero too (advantages); else keep it (rewards).
        unbiased: divide by count - 1 for the variance. The default, the biased one, is that of OpenAI's code.
        reduce: adds a tensor up over all processes, so that the moments are global; None: this process's own.

    Returns:
        (B, T); constant input gives zeros (plus the mean where it is kept).
    """
    add_up = reduce or (lambda sums: sums)
    real = mask.bool()
    kept = torch.where(real, x, 0.0)
    count, total = add_up(torch.stack([real.sum().to(x.dtype), kept.sum()]))
    mean = total / count.clamp(min=1)
    deviation = torch.where(real, x - mean, 0.0)
    squares = add_up(deviation.square().sum())
    variance = squares / (count - 1 if unbiased else count).clamp(min=1)
    white = deviation * torch.rsqrt(variance + 1e-8)  # the epsilon of OpenAI's code
    return white if shift_mean else torch.where(real, white + mean, 0.0)


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation.

    A_t = delta_t + gamma lam A_t+1 with delta_t = r_t + gamma V_t+1 - V_t, where t + 1 is the next real token; after
    the last one value and advantage are 0. Masked tokens between real ones (a tool's output, say) are passed over as
    if they were not there.

    Args:
        rewards, values, mask: (B, T).

    Returns:
        advantages and returns (advantages + values), (B, T) each. Without gradient: both are targets.
    """
    with torch.no_grad():
        real = mask.bool()
        advantages = torch.zeros_like(values)
        next_value = torch.zeros_like(values[..., 0])
        next_advantage = torch.zeros_like(next_value)
        for t in reversed(range(values.shape[-1])):
            here, value = real[..., t], values[..., t]
            delta = rewards[..., t] + gamma * next_value - value
            next_advantage = torch.where(here, delta + gamma * lam * next_advantage, next_advantage)
            next_value = torch.where(here, value, next_value)
            advantages[..., t] = torch.where(here, next_advantage, 0.0)
        return advantages, torch.where(real, advantages + values, 0.0)


def kl(logprobs: Tensor, ref_logprobs: Tensor, kind: KLKind = "k1") -> Tensor:
    """Estimates of KL(policy || reference) from the log-probabilities (nats) of tokens drawn from the policy.

    With d = logprobs - ref_logprobs: k1 = d (unbiased, may be negative), k2 = d^2 / 2 (biased, positive),
    k3 = exp(-d) - 1 + d (unbiased, positive; computed without cancellation for small d).

    Returns:
        one estimate a token, of the inputs' shape.
    """
    d = logprobs - ref_logprobs
    match kind:
        case "k1":
            return d
        case "k2":
            return d.square() / 2
        case "k3":
            near = d.abs() < _SERIES
            s = torch.where(near, d, 0.0)  # so that a large d cannot put NaN into the gradient of this branch
            series = s * s / 2 * (1 - s / 3 * (1 - s / 4 * (1 - s / 5 * (1 - s / 6))))
            return torch.where(near, series, torch.expm1(-d) + d)
    raise ValueError(f"no KL estimator is called {kind!r}; there are k1, k2 and k3")


def assemble_rewards(
    scores: Tensor,
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    beta: float,
    *,
    kind: KLKind = "k1",
    ended: Tensor | None = None,
    missing_eos_score: float | None = -1.0,
) -> Tensor:
    """Rewards of PPO: the KL penalty at every real token, and the score at the last one.

    The last real token is the end-of-sequence token where there is one (OpenAI's convention; TRL puts the score one
    later). So a row adds up to score - beta sum(KL).

    Args:
        scores: (B,), the reward model's.
        logprobs, ref_logprobs, mask: (B, T).
        beta: weight of the penalty (score per nat).
        kind: the estimator of the KL.
        ended: (B,), whether a response has its end-of-sequence token.
        missing_eos_score: replaces the score of a response that has not (N+ implementation details); None keeps it.

    Returns:
        (B, T), without gradient.

    Raises:
        ValueError: a row has no real token, so that its score has no place.
    """
    with torch.no_grad():
        real = mask.bool()
        if not bool(real.any(-1).all()):
            raise ValueError("a response without any token has no place for its score; it must have its EOS at least")
        if ended is not None and missing_eos_score is not None:
            scores = torch.where(ended.bool(), scores, missing_eos_score)
        rewards = torch.where(real, -beta * kl(logprobs, ref_logprobs, kind), 0.0)
        positions = torch.arange(real.shape[-1], device=real.device)
        last = torch.where(real, positions, -1).amax(-1, keepdim=True)
        return rewards.scatter_add(-1, last, scores.to(rewards.dtype).unsqueeze(-1))


def policy_loss(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Loss:
    """PPO's clipped objective, as a loss: the sum over real tokens of max(-A ratio, -A clip(ratio, 1 -+ clip)).

    Args:
        logprobs, old_logprobs, advantages, mask: (B, T); gradient flows through `logprobs` alone.

    Returns:
        count: real tokens. Metrics: `clipfrac` (tokens where the clipped term rules), `approxkl` (half the squared
        log-ratio), `ratio` and `ratio_square`.
    """
    real = mask.bool()
    log_ratio = torch.where(real, logprobs - old_logprobs.detach(), 0.0)
    ratio = log_ratio.exp()
    advantages = torch.where(real, advantages.detach(), 0.0)
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    with torch.no_grad():
        metrics = {
            "clipfrac": (clipped > plain).sum().to(ratio.dtype),
            "approxkl": log_ratio.square().sum() / 2,
            "ratio": torch.where(real, ratio, 0.0).sum(),
            "ratio_square": torch.where(real, ratio.square(), 0.0).sum(),
        }
    return Loss(torch.maximum(plain, clipped).sum(), real.sum(), metrics)


def kl_loss(logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, kind: KLKind | Literal["k3+"] = "k3+") -> Loss:
    """The KL from the reference as a term of a loss, summed over the real tokens.

    Tokens were drawn from (nearly) the policy of `logprobs`; the gradient flows through them as numbers, not through
    how they were drawn. Then k2's gradient is that of KL(policy || reference), k3's that of KL(reference || policy),
    and k1's is zero in expectation. `k3+` has k3's number and k2's gradient.

    Args:
        logprobs, ref_logprobs, mask: (B, T).
    """
    real = mask.bool()
    logprobs, ref_logprobs = (torch.where(real, x, 0.0) for x in (logprobs, ref_logprobs.detach()))
    if kind == "k3+":
        slope = kl(logprobs, ref_logprobs, "k2")
        terms = kl(logprobs.detach(), ref_logprobs, "k3") + slope - slope.detach()
    else:
        terms = kl(logprobs, ref_logprobs, kind)
    return Loss(terms.sum(), real.sum(), {})


def group_advantages(
    scores: Tensor, group_size: int, scale: Literal["batch", "group", "none"] = "batch", eps: float = 1e-4
) -> Tensor:
    """Advantages of GRPO (Shao et al. 2024, arXiv 2402.03300, section 4.1.2): scores beside those of their group.

    Args:
        scores: (B,), the responses to one prompt next to one another.
        group_size: divides B.
        scale: divide by the standard deviation of the batch, of the group (as in the paper), or not at all (Liu et al.
            2025, arXiv 2503.20783). Unbiased deviations, as TRL's and verl's.
        eps: added to the deviation (TRL's).

    Returns:
        (B,), without gradient; each group adds up to zero.
    """
    groups = scores.detach().view(-1, group_size)
    centred = groups - groups.mean(1, keepdim=True)
    match scale:
        case "group":
            centred = centred / (groups.std(1, keepdim=True) + eps)
        case "batch":
            centred = centred / (scores.detach().std() + eps)
        case "none":
            pass
    return centred.flatten()


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float) -> Loss:
    """Half the squared error of the values, those clipped to old_values -+ clip counting where they are worse.

    Args:
        values, old_values, returns, mask: (B, T); gradient flows through `values` alone.

    Returns:
        count: real tokens. Metrics: `clipfrac` (tokens where the clipped term rules), `error` (half the squared error
        without clipping).
    """
    real = mask.bool()
    values = torch.where(real, values, 0.0)
    old_values = torch.where(real, old_values.detach(), 0.0)
    returns = torch.where(real, returns.detach(), 0.0)
    near = torch.maximum(torch.minimum(values, old_values + clip), old_values - clip)
    plain, clipped = (values - returns).square(), (near - returns).square()
    with torch.no_grad():
        metrics = {"clipfrac": (clipped > plain).sum().to(values.dtype), "error": plain.sum() / 2}
    return Loss(torch.maximum(plain, clipped).sum() / 2, real.sum(), metrics)


def ranking_loss(scores: Tensor, ranks: Tensor, *, margin: float = 0.0) -> Loss:
    """InstructGPT's loss of rankings: the Bradley-Terry loss of all pairs of a prompt's completions, ties dropped.

    A pair adds -log sigmoid(r_w - r_l - margin) / C(K, 2), K being the prompt's number of completions. The count is
    the pairs left after ties in the same unit: the number of prompts where there are no ties, and the mean loss of
    equal scores is ln 2 always.

    Args:
        scores: (K,) or (B, K), the reward model's.
        ranks: the same shape, whole numbers; lower is better, equal is tied, negative means no completion here.
        margin: how much better a preferred completion has to score before its loss falls under ln 2.

    Returns:
        Metrics: `accuracy` (pairs in the right order, equal scores half), in the count's unit.
    """
    present = ranks >= 0
    num_present = present.sum(-1)
    pairs_of_prompt = (num_present * (num_present - 1) / 2).clamp(min=1)
    better = ranks.unsqueeze(-1) < ranks.unsqueeze(-2)  # (..., K, K): row preferred to column
    better = better & present.unsqueeze(-1) & present.unsqueeze(-2)
    scores = torch.where(present, scores, 0.0)
    difference = scores.unsqueeze(-1) - scores.unsqueeze(-2)
    weights = better.to(scores.dtype) / pairs_of_prompt.to(scores.dtype)[..., None, None]
    total = (F.softplus(margin - difference) * weights).sum()
    with torch.no_grad():
        right = (difference > 0).to(scores.dtype) + (difference == 0).to(scores.dtype) / 2
        metrics = {"accuracy": (right * weights).sum()}
    return Loss(total, weights.sum(), metrics)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over the real tokens: 1 is perfect, 0 no better than a constant.

    NaN where the returns do not vary (there is nothing to explain).
    """
    real = mask.bool()
    error = torch.where(real, returns - values, 0.0)
    spread = masked_mean((returns - masked_mean(returns, real)).square(), real)
    missed = masked_mean((error - masked_mean(error, real)).square(), real)
    return torch.where(spread > 0, 1 - missed / spread, math.nan)


def best_of_n_kl(n: int) -> float:
    """KL (nats) of the best of n samples from their model: log n - (n - 1) / n.

    Exact where no two samples score the same, an upper bound otherwise (Beirami et al. 2024, arXiv 2401.01879).
    """
    if n < 1:
        raise ValueError(f"the best of {n} samples means nothing")
    return math.log(n) - (n - 1) / n


@dataclass
class AdaptiveKL:
    """A weight of the KL penalty that steers the KL towards a target (Ziegler et al. 2019, section 2.2).

    Its whole state is `beta`: a checkpoint keeps that number.
    """

    beta: float = 0.15
    """The weight now (score per nat)."""
    target: float = 6.0
    """KL of a whole response (nats) that is aimed at."""
    horizon: float = 10_000.0
    """Episodes over which a constant error of 20% or more would change beta by a factor of about e^0.2."""

    def update(self, kl: float, num_episodes: int) -> float:
        """Take note of the mean KL (nats a response) of so many episodes; the new weight."""
        error = min(max(kl / self.target - 1.0, -0.2), 0.2)
        self.beta *= 1.0 + error * num_episodes / self.horizon
        return self.beta
