"""The run around the step: ramp-up, checkpoints, failures and restarts; steady time and goodput kept apart."""

import math
from dataclasses import dataclass, replace

from danlu.planner.predict import Prediction

LARGEST_BATCH = 16_777_216
"""Tokens: the largest batch of Llama 3 405B (Grattafiori et al. 2024, section 3.4.1)."""
CHIP_HOURS_BETWEEN_FAILURES = 50_700.0
"""54 days x 24 h x 16,384 chips / 419 unexpected interruptions (Grattafiori et al. 2024, Llama 3, section 3.3.4)."""


@dataclass(frozen=True)
class Operations:
    """How a cluster is run; every figure can be given."""

    chip_hours_between_failures: float = CHIP_HOURS_BETWEEN_FAILURES
    restart_seconds: float = 900.0
    """From a failure to the next step: detection, replacement, loading. Assumed: a quarter of an hour."""
    checkpoint_bandwidth: float = 2e9
    """Bytes/s a node of 8 chips writes to storage. Assumed: a tenth of what its network cards carry."""
    checkpoint_bytes_per_parameter: float = 14.0
    """The 16-bit weight, its 32-bit copy and two moments."""
    ramp_share: float = 0.01
    """Share of the tokens that pass at a smaller batch while it ramps up (PaLM and Llama 3 take some percent)."""
    ramp_slowdown: float = 1.5
    """How much slower a token passes there."""
    evaluation_share: float = 0.01
    """Share of the time spent on evaluation and other stops. Assumed."""


@dataclass(frozen=True)
class EndToEnd:
    """A whole run."""

    tokens: float
    steady_seconds: float
    """Steps alone, as the step-time model has them."""
    ramp_seconds: float
    """What the smaller batches of the beginning add."""
    checkpoint_seconds: float
    failure_seconds: float
    """Work lost to failures, and restarts."""
    evaluation_seconds: float
    checkpoint_interval: float
    """Seconds between checkpoints that lose the least (Young 1974)."""
    failures: float
    """Expected number of failures."""
    chips: int

    @property
    def wall_seconds(self) -> float:
        """From the first step to the last."""
        return (
            self.steady_seconds
            + self.ramp_seconds
            + self.checkpoint_seconds
            + self.failure_seconds
            + self.evaluation_seconds
        )

    @property
    def goodput(self) -> float:
        """Steady time over wall time."""
        return self.steady_seconds / self.wall_seconds

    @property
    def chip_hours(self) -> float:
        """Chips times wall hours."""
        return self.wall_seconds * self.chips / 3600


def end_to_end(step: Prediction, tokens: float, operations: Operations | None = None) -> EndToEnd:
    """The whole run over `tokens` at the pace of a predicted step.

    With a checkpoint of d seconds and a mean time M between failures, checkpoints every sqrt(2 d M) seconds lose the
    least; a share d / tau goes into writing and (tau / 2 + restart) / M into failures (Young 1974; Daly 2006).
    """
    given = operations or Operations()
    chips = step.job.layout.chips
    steady = tokens / step.tokens_per_second
    ramp = steady * given.ramp_share * (given.ramp_slowdown - 1)
    writers = max(1.0, chips / 8)
    size = given.checkpoint_bytes_per_parameter * step.job.shape.params()
    writing = size / (writers * given.checkpoint_bandwidth)
    between = given.chip_hours_between_failures * 3600 / chips
    interval = min(math.sqrt(2 * writing * between), between)
    base = steady + ramp
    saving = base * writing / interval
    lost_share = min((interval / 2 + given.restart_seconds) / between, 0.9)
    failing = (base + saving) * lost_share / (1 - lost_share)
    stops = (base + saving + failing) * given.evaluation_share
    return EndToEnd(
        tokens=tokens,
        steady_seconds=steady,
        ramp_seconds=ramp,
        checkpoint_seconds=saving,
        failure_seconds=failing,
        evaluation_seconds=stops,
        checkpoint_interval=interval,
        failures=(base + saving + failing) / between,
        chips=chips,
    )


def without_stops(run: EndToEnd) -> EndToEnd:
    """A run whose pace counts its stops already, as a rate quoted over the whole of it does."""
    return replace(run, ramp_seconds=0.0, checkpoint_seconds=0.0, failure_seconds=0.0, evaluation_seconds=0.0)
