"""Guards: each fires for its own reason, once, and not before its time."""

from dataclasses import replace

import pytest

from danlu.alignment.guards import GuardConfig, Watch
from danlu.common.errors import DanluError

HEALTHY = {
    "objective/kl": 2.0,
    "val/length": 20.0,
    "policy/entropy_avg": 1.5,
    "val/missing_eos": 0.05,
    "val/ratio_max": 1.4,
    "val/score_std": 0.3,
    "val/explained_variance": 0.4,
    "objective/scores": 0.1,
}
CONFIG = GuardConfig(patience=2)
SICK = {
    "kl": {"objective/kl": 80.0},
    "missing_eos": {"val/missing_eos": 0.9},
    "length": {"val/length": 100.0},
    "entropy": {"policy/entropy_avg": 0.01},
    "explained_variance": {"val/explained_variance": -0.5},
    "ratio": {"val/ratio_max": 50.0},
    "same_scores": {"val/score_std": 0.0},
}


def healthy_watch(iterations: int = 6) -> Watch:
    watch = Watch()
    for _ in range(iterations):
        assert watch.look(HEALTHY, CONFIG) == []
    return watch


@pytest.mark.parametrize("guard", SICK)
def test_each_guard_fires_for_its_own_reason(guard: str) -> None:
    watch, seen = healthy_watch(), []
    for _ in range(4):
        seen.append([alarm.guard for alarm in watch.look(HEALTHY | SICK[guard], CONFIG)])
    if guard == "kl":  # stops, at once
        assert seen[0] == ["kl"]
    else:  # warns once, when its patience is at its end
        assert seen == [[], [guard], [], []]


def test_what_passes_by_is_forgiven() -> None:
    watch = healthy_watch()
    for _ in range(5):
        assert watch.look(HEALTHY | SICK["ratio"], CONFIG) == []
        assert watch.look(HEALTHY, CONFIG) == []


def test_a_guard_can_be_turned_off_or_made_to_stop() -> None:
    watch = healthy_watch()
    off = replace(CONFIG, ratio_action="off", entropy_action="stop")
    for _ in range(3):
        alarms = watch.look(HEALTHY | SICK["ratio"] | SICK["entropy"], off)
    assert [(alarm.guard, alarm.action) for alarm in alarms] == [("entropy", "stop")]


def test_shorter_responses_drift_too() -> None:
    watch = healthy_watch()
    for _ in range(2):
        alarms = watch.look(HEALTHY | {"val/length": 2.0}, CONFIG)
    assert [alarm.guard for alarm in alarms] == ["length"]


def test_a_rising_score_with_falling_gold_is_called_out() -> None:
    watch, seen = Watch(), []
    for step in range(12):
        metrics = HEALTHY | {"objective/scores": 0.1 * step, "objective/gold": 0.8 - 0.02 * step}
        seen += [alarm.guard for alarm in watch.look(metrics, CONFIG)]
    assert seen == ["misleading"]


def test_the_memory_is_plain_and_continues() -> None:
    one, other = healthy_watch(), healthy_watch(3)
    other = Watch(**vars(other))
    for _ in range(3):
        other.look(HEALTHY, CONFIG)
    assert other == one


def test_wrong_limits_are_refused() -> None:
    with pytest.raises(DanluError, match="kl_budget"):
        GuardConfig(kl_budget=0.0)
    with pytest.raises(DanluError, match="patience"):
        GuardConfig(patience=0)
