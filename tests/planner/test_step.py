"""The step-time model: what must hold whatever its coefficients are fitted to."""

import itertools
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from danlu.hardware.catalogue import find_chip
from danlu.planner.accelerator import accelerator
from danlu.planner.cases import Job, stack
from danlu.planner.coefficients import calibration
from danlu.planner.layout import Layout
from danlu.planner.precision import Precision
from danlu.planner.predict import at_rate, predict, predict_all
from danlu.planner.software import software_for
from danlu.planner.step import TERMS, local_params, step
from danlu.planner.uncertainty import sensitivities

MakeJob = Callable[..., Job]
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)


def seconds(job: Job) -> float:
    """Step time of one job."""
    return float(step(stack([job]), calibration().coefficients).seconds[0])


def test_terms_sum_to_the_step(make_job: MakeJob) -> None:
    jobs = [make_job("llama2-70b", tp=8, pp=4, vpp=5, dp=4), make_job("mixtral-8x7b", "H100", dp=16, ep=8)]
    for found in predict_all(jobs):
        assert tuple(found.terms) == TERMS
        assert sum(found.terms.values()) == pytest.approx(found.seconds)
        assert found.low < found.seconds < found.high
        assert all(value >= 0 for value in found.terms.values())


@SHARED
@given(
    doublings=st.integers(0, 5),
    model=st.sampled_from(["llama2-7b", "llama2-70b", "mixtral-8x7b"]),
    axis=st.sampled_from(["dp", "tp", "pp"]),
)
def test_more_chips_are_never_slower_in_an_ideal_network(
    make_job: MakeJob, doublings: int, model: str, axis: str
) -> None:
    ideal = replace(calibration().coefficients, jitter=0.0, latency_in=0.0, latency_out=0.0)
    sizes = {"tp": [1, 2, 4, 8], "pp": [1, 2, 4, 8], "dp": [2**k for k in range(doublings + 2)]}[axis]
    times = []
    for size in sizes:
        job = make_job(model, batch=1024, ideal_network=True, **{axis: size})
        times.append(float(step(stack([job]), ideal).seconds[0]))
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(times))


@SHARED
@given(
    factor=st.floats(1.0, 8.0), field=st.sampled_from(["wide_rate", "narrow_rate", "bandwidth", "link_in", "link_out"])
)
def test_a_faster_part_never_slows_a_step(make_job: MakeJob, factor: float, field: str) -> None:
    job = make_job("llama2-70b", tp=8, pp=2, dp=4)
    better = replace(job.accelerator, **{field: getattr(job.accelerator, field) * factor})
    assert seconds(replace(job, accelerator=better)) <= seconds(job) * (1 + 1e-9)


def test_time_grows_with_the_batch_and_per_token_falls(make_job: MakeJob) -> None:
    small, large = (make_job("llama2-70b", tp=8, pp=4, dp=2, batch=batch) for batch in (64, 512))
    assert seconds(small) < seconds(large) < 8 * seconds(small)


def test_interleaving_shrinks_the_bubble(make_job: MakeJob) -> None:
    plain, inter = (predict(make_job("llama2-70b", tp=8, pp=8, vpp=vpp, batch=32)) for vpp in (1, 5))
    assert inter.terms["pipeline bubble"] == pytest.approx(plain.terms["pipeline bubble"] / 5)
    assert inter.terms["pipeline transfer"] > plain.terms["pipeline transfer"]


def test_tensor_parallelism_across_nodes_costs_more_than_inside(make_job: MakeJob) -> None:
    inside, across = (predict(make_job("gpt3", seq_len=2048, tp=tp, batch=16)) for tp in (8, 16))
    assert across.terms["tensor parallel"] > 1.5 * inside.terms["tensor parallel"]


def test_recomputation_costs_a_forward_pass(make_job: MakeJob) -> None:
    none, full = (predict(make_job(recompute=level)) for level in ("none", "full"))
    assert none.terms["recompute"] == 0
    assert 1.15 < full.seconds / none.seconds < 1.4


def test_eight_bits_speed_products_and_nothing_else(make_job: MakeJob) -> None:
    wide, narrow = (predict(make_job("llama3-8b", "H100", precision=name, dp=8)) for name in ("bf16", "fp8"))
    assert narrow.terms["matrix products"] < 0.7 * wide.terms["matrix products"]
    assert narrow.terms["attention"] == wide.terms["attention"]
    assert narrow.terms["memory traffic"] > wide.terms["memory traffic"]


def test_thin_products_are_less_efficient(make_job: MakeJob) -> None:
    whole, cut = (predict(make_job("llama2-7b", tp=tp, ideal_network=True)) for tp in (1, 8))
    assert cut.terms["matrix products"] > whole.terms["matrix products"] / 8 * 1.02


def test_full_sharding_gathers_again_only_without_a_pipeline(make_job: MakeJob) -> None:
    alone = [predict(make_job("llama2-70b", tp=8, dp=8, sharding=z, batch=512)) for z in (1, 3)]
    assert alone[1].terms["data parallel"] > alone[0].terms["data parallel"]
    piped = [predict(make_job("llama2-70b", tp=8, pp=4, dp=8, sharding=z, batch=512)) for z in (1, 3)]
    assert piped[1].terms["data parallel"] == piped[0].terms["data parallel"]


def test_experts_travel_less_when_their_nodes_are_bounded(make_job: MakeJob) -> None:
    job = make_job("deepseek-v3", "H800", dp=256, ep=64, batch=2048)
    assert job.shape.moe is not None
    free = replace(job, shape=replace(job.shape, moe=replace(job.shape.moe, node_limit=0)))
    bound = replace(job, shape=replace(job.shape, moe=replace(job.shape.moe, node_limit=2)))
    assert predict(bound).terms["expert exchange"] < predict(free).terms["expert exchange"]


def test_hidden_exchange_costs_less(make_job: MakeJob) -> None:
    job = make_job("deepseek-v3", "H800", dp=256, ep=64, batch=2048)
    hidden = replace(job, software=software_for("HAI-LLM", "NVIDIA", 2023, "bf16"))
    assert predict(hidden).terms["expert exchange"] < predict(job).terms["expert exchange"]


def test_cut_experts_share_parameters_and_exchange(make_job: MakeJob) -> None:
    whole, cut = (make_job("mixtral-8x7b", tp=4, dp=4, ep=4, expert_tp=etp, batch=256) for etp in (1, 4))
    experts = [float(local_params(stack([job]))[1][0]) for job in (whole, cut)]
    assert experts[1] == pytest.approx(experts[0] / 4)


def test_unaligned_heads_are_slow_where_attention_is_not_fused(make_job: MakeJob) -> None:
    # BLOOM's authors: at a width of 13824, 64 heads took 121 s a step and 128 heads, 108 wide, 163 s.
    from danlu.planner.shape import ModelShape

    legacy = software_for("Megatron-DeepSpeed", "NVIDIA", 2020, "fp16")
    job = replace(make_job("gpt3", seq_len=2048, tp=8, precision="fp16"), software=legacy)
    shapes = [ModelShape("x", 84, 13824, heads, heads, 13824 // heads, 55296, 250680, 2) for heads in (64, 128)]
    few, many = (seconds(replace(job, shape=shape)) for shape in shapes)
    assert 1.15 < many / few < 1.8


def test_megatron_is_old_or_tuned_by_chip_and_mindspeed_neither() -> None:
    assert software_for("Megatron-LM", "NVIDIA", 2020, "fp16").attention == "unfused"
    assert software_for("Megatron-Core 0.7", "NVIDIA", 2022, "bf16").tuned
    assert not software_for("MindSpeed-LLM (ModelLink) Mcore", "Huawei", 2023, "bf16").tuned
    assert not software_for("", "NVIDIA", 2022, "bf16").tuned
    assert [software_for(name, "NVIDIA", 2023, "fp8", experts=True).tuned for name in ("", "torchtitan")] == [
        True,
        False,
    ]
    assert not software_for("", "NVIDIA", 2023, "fp8").tuned
    assert not software_for("", "NVIDIA", 2023, "bf16", experts=True).tuned


def test_intervals_widen_with_what_is_unknown(make_job: MakeJob) -> None:
    known = predict(make_job("llama3-8b", "H100"))
    unseen = predict(make_job("llama3-8b", "MI300X"))
    experts = predict(make_job("mixtral-8x7b", "H100"))
    guessed = predict(make_job("mixtral-8x7b", "MI300X"), assumed=True)
    widths = [found.high / found.seconds for found in (known, unseen, experts, guessed)]
    assert 1.1 < widths[0] < min(widths[1], widths[2]) < max(widths[1], widths[2]) < widths[3] < 2
    assert known.seconds / known.low == pytest.approx(widths[0])


def test_sensitivities_are_the_derivatives_of_the_step_time(make_job: MakeJob) -> None:
    k = calibration().coefficients
    jobs = [make_job(tp=8, dp=8), make_job("deepseek-v3", "H100", dp=128, ep=64, sharding=1)]
    slopes = sensitivities(stack(jobs), k)
    for place, item in enumerate(fields(k)):
        value = getattr(k, item.name)
        ends = [step(stack(jobs), replace(k, **{item.name: value * f})).seconds for f in (0.999, 1.001)]
        assert np.allclose(slopes[:, place], np.log(ends[1] / ends[0]) / np.log(1.001 / 0.999), atol=2e-3), item.name


def test_a_step_that_hangs_on_an_uninformed_coefficient_is_less_sure(make_job: MakeJob) -> None:
    open_attention = np.diag([1.0 if item.name == "flash" else 0.0 for item in fields(calibration().coefficients)])
    given = calibration()
    spread = replace(given.spread, covariance=tuple(map(tuple, open_attention.tolist())))
    short, long = (
        predict(make_job("llama3-8b", "H100", seq_len=length), given=replace(given, spread=spread))
        for length in (1024, 32768)
    )
    assert long.high / long.seconds > 1.3 * short.high / short.seconds


def test_a_given_rate_replaces_the_model(make_job: MakeJob) -> None:
    found = at_rate(predict(make_job("gpt3", "V100", seq_len=2048, tp=8, pp=16, batch=1536, precision="fp16")), 28.0)
    flops = 6 * found.job.shape.params() * found.tokens
    assert flops / found.seconds / found.job.layout.chips == pytest.approx(28e12)
    assert sum(found.terms.values()) == pytest.approx(found.seconds)


def test_many_jobs_at_once_are_the_same_as_one_by_one(make_job: MakeJob) -> None:
    jobs = [make_job(dp=dp) for dp in (1, 2, 8)] + [make_job("deepseek-v3", "H100", dp=128, ep=64)]
    together = step(stack(jobs), calibration().coefficients).seconds
    assert np.allclose(together, [seconds(job) for job in jobs])


def test_a_missing_link_says_which_figure_to_give() -> None:
    from danlu.common.errors import DanluError

    with pytest.raises(DanluError) as caught:
        accelerator(find_chip("RTX 4090"), Precision("bf16"))
    assert "link_out_gbit_s" in caught.value.remedy


def test_layout_names_its_chips() -> None:
    assert Layout(tp=8, pp=4, cp=2, dp=3).chips == 192
    assert "etp4" in Layout(tp=4, ep=8, dp=8, expert_tp=4).describe()
