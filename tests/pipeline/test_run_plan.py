from dataclasses import replace
from pathlib import Path

import pytest

from danlu.common.files import write_json
from danlu.common.strict import to_mapping
from danlu.hardware.speed import Speed
from danlu.model.config import ModelConfig
from danlu.pipeline.elsewhere import elsewhere, shape_of
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.memory import GROWTH
from danlu.pipeline.plan import model_of_width
from danlu.pipeline.run_plan import RunPlan, judge_plan, nominal_target, plan_lines, plan_run, read_run_plan
from danlu.scaling.config import LadderConfig
from danlu.scaling.design import LadderPlan, design_ladder
from danlu.tokens.build import TokensSummary
from danlu.training.config import TrainingConfig
from danlu.training.rehearsal import Rehearsal

_RATE = 4e11  # FLOP/s that the fake machine reaches, of a peak of 8e11
_SPEED = Speed("cpu", "bf16", {"bf16": 8e11}, ())
_TRAINING = TrainingConfig(context=64)
_TOKENS = TokensSummary(1024, "", 5_000_000, 100, 15_000_000, 100_000, 10, 300_000)


def _rehearse(model: ModelConfig, batch: int, threads: int | None) -> Rehearsal:
    token = model.flops_per_token(64) / _RATE
    return Rehearsal(batch * token, 0.01, 3, 500_000_000 + model.hidden_size, 0.25, token / 3)


@pytest.fixture(scope="module")
def ladder() -> LadderPlan:
    return design_ladder(5e13, context=64, vocab_size=1024, config=LadderConfig())


@pytest.fixture(scope="module")
def plan(ladder: LadderPlan) -> RunPlan:
    return plan_run(ladder, _TOKENS, _TRAINING, _SPEED, _rehearse)


def test_time_is_compute_at_the_rehearsed_rate(plan: RunPlan, ladder: LadderPlan) -> None:
    assert plan.ladder_seconds == pytest.approx(ladder.flops / _RATE, rel=1e-6)
    assert plan.target_seconds == pytest.approx(ladder.target_flops / _RATE, rel=0.01)  # whole batches
    assert plan.target.fraction == pytest.approx(0.5)
    assert [each.name for each in plan.trainings] == [*(rung.name for rung in ladder.rungs), "target"]


def test_evaluations_and_checkpoints_come_on_top(plan: RunPlan) -> None:
    target = plan.target
    forward = _TOKENS.heldout_tokens * target.model.flops_per_token(64) / _RATE / 3
    assert target.evaluation_seconds == pytest.approx(_TRAINING.evaluations * forward)
    assert target.checkpoint_seconds >= 0.25 * _TRAINING.evaluations
    assert plan.wall_seconds > plan.ladder_seconds + plan.target_seconds
    assert plan.wall_seconds_low < plan.wall_seconds < plan.wall_seconds_high


def test_memory_is_the_most_that_any_rehearsal_held(plan: RunPlan) -> None:
    assert plan.memory_bytes == GROWTH * max(each.peak_memory_bytes for each in plan.trainings)
    assert plan.memory_bytes_low < plan.memory_bytes < plan.memory_bytes_high


def test_rungs_side_by_side_take_less_time_but_no_less_training(plan: RunPlan, ladder: LadderPlan) -> None:
    asked = []

    def rehearse(model: ModelConfig, batch: int, threads: int | None) -> Rehearsal:
        asked.append(threads)
        return _rehearse(model, batch, threads)

    two = plan_run(ladder, _TOKENS, _TRAINING, _SPEED, rehearse, at_once=2, threads=1)
    assert set(asked[:-1]) == {1}
    assert asked[-1] is None  # the target has the machine to itself
    assert two.ladder_seconds == plan.ladder_seconds
    whole = [each.seconds + each.evaluation_seconds + each.checkpoint_seconds for each in plan.trainings]
    saved = plan.wall_seconds - two.wall_seconds
    assert sum(whole[:-1]) / 2 - max(whole[:-1]) <= saved <= sum(whole[:-1]) / 2


def test_a_shape_that_is_run_twice_is_rehearsed_once(ladder: LadderPlan) -> None:
    seen: list[tuple[ModelConfig, int]] = []

    def rehearse(model: ModelConfig, batch: int, threads: int | None) -> Rehearsal:
        seen.append((model, batch))
        return _rehearse(model, batch, threads)

    twice = replace(ladder, rungs=(*ladder.rungs, replace(ladder.rungs[0], name="again", seed=1)))
    plan_run(twice, _TOKENS, _TRAINING, _SPEED, rehearse)
    assert len(seen) == len(set(seen))


def test_the_nominal_target_keeps_the_ladders_tokens_a_parameter(ladder: LadderPlan) -> None:
    model = nominal_target(ladder.target_flops, ladder.tokens_per_parameter, 1024, 64)
    tokens = ladder.target_flops / model.flops_per_token(64)
    assert tokens / model.num_parameters("matmul") == pytest.approx(ladder.tokens_per_parameter, rel=0.35)


def test_the_plan_is_read_as_it_was_written(plan: RunPlan, tmp_path: Path) -> None:
    write_json(tmp_path / "plan.json", to_mapping(plan))
    assert read_run_plan(tmp_path / "plan.json") == plan
    assert any("GB" in line for line in plan_lines(plan))


def _finished(folder: RunFolder, plan: RunPlan) -> None:
    write_json(folder.plan, to_mapping(plan))
    for name, seconds in (("w24/trunk", 7.0), ("w24/100k", 2.0), ("w32/trunk", 11.0)):
        write_json(folder.ladder / name / "result.json", {"seconds": seconds})
    result = {"seconds": plan.target_seconds * 1.05, "peak_memory_bytes": plan.memory_bytes * 1.5}
    write_json(folder.pretrain / "result.json", result)


def test_the_verdict_sets_the_plan_beside_what_was_measured(plan: RunPlan, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    _finished(folder, plan)
    judged = {each.name: each for each in judge_plan(folder, "9999-01-01T00:00:00+00:00")}
    assert judged["ladder_seconds"].measured == 20.0
    assert judged["target_seconds"].relative_error == pytest.approx(0.05)
    assert judged["target_seconds"].inside
    assert not judged["memory_bytes"].inside
    assert "wall_seconds" not in judged  # no records of the stages


@pytest.mark.parametrize(("recorded", "known"), [(1.2, True), (0.1, False)])
def test_the_whole_is_judged_unless_a_stage_was_continued(
    plan: RunPlan, tmp_path: Path, recorded: float, known: bool
) -> None:
    folder = RunFolder(tmp_path)
    _finished(folder, plan)
    for stage, seconds in ((folder.ladder, 20.0), (folder.pretrain, plan.target_seconds)):
        write_json(stage / "stage.json", {"seconds": seconds * 1.05 * recorded})
    judged = {each.name: each for each in judge_plan(folder, "9999-01-01T00:00:00+00:00")}
    assert ("wall_seconds" in judged) == known


def test_a_plan_made_after_the_forecast_is_not_judged(plan: RunPlan, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert judge_plan(folder, "9999-01-01") == ()
    _finished(folder, plan)
    assert judge_plan(folder, "2000-01-01T00:00:00+00:00") == ()


def test_the_planner_counts_the_models_parameters_as_the_model_does() -> None:
    model = model_of_width(96, 1024, 64)
    assert shape_of(model).params() == model.num_parameters("all")


def test_other_chips_are_told_fastest_first_and_gaps_with_their_reason() -> None:
    model = model_of_width(512, 8192, 256)
    found = elsewhere([(model, 65_536, 10**9)], 256, chips=("V100", "H100", "MLU590"))
    assert [each.chip for each in found] == ["H100 SXM 80GB", "V100 SXM2 32GB", "MLU590"]
    fast, slow, unknown = found
    assert fast.seconds and slow.seconds and fast.seconds < slow.seconds  # noqa: PT018
    assert fast.seconds_low and fast.seconds_high and fast.seconds_low < fast.seconds < fast.seconds_high  # noqa: PT018
    assert fast.fits == "fits"
    assert fast.usd is not None
    assert unknown.seconds is None
    assert "no published" in unknown.why_not
