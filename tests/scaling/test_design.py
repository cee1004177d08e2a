"""The ladder keeps to its share, its distance from the target, and the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.scaling.config import LadderConfig
from danlu.scaling.design import design_ladder


def design(flops: float, unique: int | None = None):
    batch = {"context": 128, "vocab_size": 1024, "cooldown": 0.4}
    return design_ladder(
        flops,
        config=LadderConfig(),
        unique_tokens=unique,
        batch_tokens=lambda tokens: 128 * max(1, round(tokens**0.5 / 128)),
        **batch,
    )


@settings(max_examples=15, deadline=None)
@given(st.floats(3e13, 1e18))
def test_share_and_reach(flops):
    plan = design(flops)
    assert plan.flops <= 0.10 * plan.target_flops * 1.0001
    assert plan.flops == pytest.approx(sum(rung.flops for rung in plan.rungs))
    assert max(rung.flops for rung in plan.rungs) <= plan.target_flops / 10 * 1.0001
    assert len({rung.model for rung in plan.rungs}) >= 3
    assert len({rung.name for rung in plan.rungs}) == len(plan.rungs)
    for rung in plan.rungs:
        assert all(horizon % rung.batch_tokens == 0 for horizon in rung.horizons)
        assert list(rung.horizons) == sorted(rung.horizons)


@pytest.mark.parametrize("flops", [4e13, 1e15])
def test_the_rungs_are_a_staircase_towards_the_target(flops):
    """Small models run long and large ones short, at about equal compute."""
    plan = design(flops)
    first = [rung for rung in plan.rungs if rung.seed == 0 and rung.lr_factor == 1]
    assert [rung.horizons[-1] for rung in first] == sorted((r.horizons[-1] for r in first), reverse=True)
    assert max(r.flops for r in first) < 1.2 * min(r.flops for r in first)
    again = [rung for rung in plan.rungs if rung.seed]
    assert {rung.horizons for rung in again} <= {(rung.horizons[0],) for rung in first}


def test_a_small_budget_has_two_sizes_that_go_on_for_longer():
    plan = design(3e12)
    assert len(plan.rungs) == len({rung.model for rung in plan.rungs}) == 2
    assert min(rung.horizons[0] for rung in plan.rungs) > 50_000
    assert plan.flops <= 0.10 * plan.target_flops * 1.0001
    assert any("2 sizes" in str(warning) for warning in plan.warnings)
    assert any("another seed" in str(warning) for warning in plan.warnings)


def test_a_sweep_is_run_at_half_and_twice_the_rates():
    config = LadderConfig(swept_sizes=2)
    plan = design_ladder(4e14, context=128, vocab_size=1024, config=config, batch_tokens=lambda tokens: 1024)
    assert sorted(rung.lr_factor for rung in plan.rungs if rung.lr_factor != 1) == [0.5, 0.5, 2.0, 2.0]
    assert plan.flops <= 0.10 * plan.target_flops


def test_pure():
    assert design(1e15) == design(1e15)


def test_a_short_text_lowers_the_budget_and_says_so():
    plan = design(1e16, unique=2_000_000)
    assert plan.target_flops < plan.asked_flops == 1e16
    assert any("distinct tokens" in str(warning) for warning in plan.warnings)


def test_too_little_is_an_error_with_the_smallest_that_would_do():
    with pytest.raises(DanluError, match="too small for any model") as caught:
        design(1e9)
    assert "smallest needs" in caught.value.remedy
    with pytest.raises(DanluError, match="training tokens are too few"):
        design(1e15, unique=20_000)
