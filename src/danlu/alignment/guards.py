"""What is watched while a policy learns from rewards, and when to warn or stop: pure functions of the metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from danlu.common.errors import DanluError

Action = Literal["stop", "warn", "off"]

_WINDOW = 8
"""Iterations over which score and gold are compared."""


@dataclass(frozen=True)
class GuardConfig:
    """Limits of healthy learning. A limit that is passed stops the run (what was learned is kept) or warns once."""

    kl_budget: float = 50.0
    """Most KL from the reference (nats a response); far beyond it rewards no longer mean what they meant (Huang et al.
    2024, arXiv 2403.17031, saw a 1B policy fail from about 50 on)."""
    kl_action: Action = "stop"
    missing_eos: float = 0.5
    """Largest share of responses without an end token."""
    missing_eos_action: Action = "warn"
    length_drift: float = 3.0
    """Largest factor between the mean length of the responses and that of the first ones, either way."""
    length_action: Action = "warn"
    entropy_share: float = 0.1
    """Least entropy (nats a token), as a share of the first iteration's."""
    entropy_action: Action = "warn"
    explained_variance: float = 0.0
    """Least explained variance of the values, from the fifth iteration on."""
    explained_variance_action: Action = "warn"
    ratio: float = 20.0
    """Largest probability ratio of a token between the policy and the one that drew it."""
    ratio_action: Action = "warn"
    same_scores_action: Action = "warn"
    """When all scores of an iteration are equal: there is nothing to learn from."""
    misleading_action: Action = "warn"
    """When, where gold is measured, the score has risen over the last iterations while gold has fallen."""
    patience: int = 3
    """Iterations in a row that a limit must be passed, but for the KL budget's and gold's, which count at once."""

    def __post_init__(self) -> None:
        positive = {"kl_budget": self.kl_budget, "length_drift": self.length_drift, "ratio": self.ratio}
        for name, value in positive.items():
            if not value > 0.0:
                raise DanluError(f"the guard {name} is {value:g}.", "Give a number above 0, or turn the guard off.")
        if self.patience < 1:
            raise DanluError(f"the guards' patience is {self.patience}.", "Give 1 or more.")


@dataclass(frozen=True)
class Alarm:
    """A limit that was passed."""

    guard: str
    """Its name."""
    action: Action
    """`stop` or `warn`."""
    words: str
    """What was seen and what it may mean, for a person."""


@dataclass
class Watch:
    """The guards' memory: what the first iteration was like, and how often each limit was passed in a row.

    Plain numbers, so that a checkpoint keeps it: `Watch(**vars(watch))`.
    """

    first: dict[str, float] = field(default_factory=dict)
    """Length and entropy of the first iteration."""
    passed: dict[str, int] = field(default_factory=dict)
    """Iterations in a row for which a limit has been passed."""
    warned: list[str] = field(default_factory=list)
    """Guards that have warned; each does once."""
    iterations: int = 0
    """How many were looked at."""
    proxies: list[float] = field(default_factory=list)
    """The last mean scores, where gold is measured beside them."""
    golds: list[float] = field(default_factory=list)
    """The last mean gold scores."""

    def look(self, metrics: Mapping[str, float], config: GuardConfig) -> list[Alarm]:
        """Look at an iteration's metrics.

        Args:
            metrics: under TRL's names, with `val/length`, `val/missing_eos` (share), `val/ratio_max`, `val/score_std`
                and, where there are values, `val/explained_variance`.

        Returns:
            New alarms: at most one warning for each guard in a run.
        """
        from danlu.alignment.overoptimisation import proxy_misleads  # scipy.stats takes a second to import

        self.iterations += 1
        length, entropy = metrics["val/length"], metrics["policy/entropy_avg"]
        first = self.first or {"length": length, "entropy": entropy}
        self.first = first
        drift = length / first["length"] if first["length"] > 0 else 1.0
        explained = metrics.get("val/explained_variance", math.nan)
        kl = metrics["objective/kl"]
        if "objective/gold" in metrics:
            self.proxies = [*self.proxies, metrics["objective/scores"]][-_WINDOW:]
            self.golds = [*self.golds, metrics["objective/gold"]][-_WINDOW:]
        missing, ratio = metrics["val/missing_eos"], metrics["val/ratio_max"]
        limit = config.length_drift
        checks: list[tuple[str, Action, bool, str]] = [
            (
                "kl",
                config.kl_action,
                kl > config.kl_budget,
                f"the KL from the reference is {kl:.3g} nats a response, over the budget of {config.kl_budget:g}:"
                " the reward model is being used outside of what it has seen; a larger beta holds the policy nearer",
            ),
            (
                "missing_eos",
                config.missing_eos_action,
                missing > config.missing_eos,
                f"{missing:.0%} of the responses have no end token: the policy has forgotten to stop, or"
                " max_new_tokens is too small for what it was taught to write",
            ),
            (
                "length",
                config.length_action,
                not 1 / limit <= drift <= limit,
                f"responses have {length:.3g} tokens, {drift:.2g} times as many as at first: the reward may pay for"
                " length alone",
            ),
            (
                "entropy",
                config.entropy_action,
                entropy < config.entropy_share * first["entropy"],
                f"the entropy is {entropy:.2g} nats a token, {first['entropy']:.2g} at first: the policy says the same"
                " thing over and over; a larger beta or a smaller lr keeps more variety",
            ),
            (
                "explained_variance",
                config.explained_variance_action,
                self.iterations >= 5 and explained < config.explained_variance,
                f"the values explain {explained:.2g} of the returns' variance, less than a constant would: value_lr is"
                " too large, or too small to follow",
            ),
            (
                "ratio",
                config.ratio_action,
                ratio > config.ratio,
                f"a token became {ratio:.3g} times as likely within one iteration: lr is too large, or too many epochs",
            ),
            (
                "same_scores",
                config.same_scores_action,
                metrics["val/score_std"] == 0.0,
                "all responses have the same score: there is nothing to learn from (a reward that reads the wrong"
                " place, or a task that never, or always, succeeds)",
            ),
            (
                "misleading",
                config.misleading_action,
                len(self.golds) == _WINDOW and proxy_misleads(self.proxies, self.golds, _WINDOW),
                f"over the last {_WINDOW} batches the score has risen while gold has fallen: the policy exploits the"
                " reward model's errors; stop earlier, raise beta, or rank what it writes now",
            ),
        ]
        alarms = []
        for guard, action, passed, words in checks:
            self.passed[guard] = self.passed.get(guard, 0) + 1 if passed else 0
            enough = self.passed[guard] >= (1 if guard in ("kl", "misleading") else config.patience)
            if action == "off" or not enough or (action == "warn" and guard in self.warned):
                continue
            self.warned.append(guard)
            alarms.append(Alarm(guard, action, words))
        return alarms
