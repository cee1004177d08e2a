"""The search over layouts."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.planner.cases import Job
from danlu.planner.layout import Layout, check_layout, why_impossible
from danlu.planner.models import model_shape
from danlu.planner.predict import predict
from danlu.planner.search import cannot_fit, front_over_counts, search_layouts

MakeJob = Callable[..., Job]


def test_the_best_is_the_fastest_that_fits(make_job: MakeJob) -> None:
    job = make_job("llama2-70b", batch=512)
    found = search_layouts(job, 64, keep=50)
    assert found.options
    assert found.fitting <= found.tried
    rates = [option.tokens_per_second for option in found.options]
    assert rates == sorted(rates, reverse=True)
    for option in found.options[:10]:
        again = predict(replace(job, layout=option.layout, batch=option.batch))
        assert again.verdict != "does not fit"
        assert again.seconds == pytest.approx(option.seconds)
        assert again.memory_bytes == pytest.approx(option.memory_bytes)
        assert why_impossible(option.layout, job.shape, 64, option.batch, job.seq_len) is None


def test_the_front_trades_time_for_memory(make_job: MakeJob) -> None:
    front = search_layouts(make_job("llama2-70b", batch=512), 64).front
    assert len(front) > 2
    assert [one.tokens_per_second for one in front] == sorted((one.tokens_per_second for one in front), reverse=True)
    assert [one.memory_bytes for one in front] == sorted((one.memory_bytes for one in front), reverse=True)


def test_nothing_on_the_front_over_counts_is_beaten(make_job: MakeJob) -> None:
    found = front_over_counts(make_job("llama2-7b", batch=512), [8, 16, 32])
    assert {one.chips for one in found} == {8, 16, 32}
    for one in found:
        assert not any(
            other.chips <= one.chips
            and other.option.tokens_per_second > one.option.tokens_per_second
            and other.option.memory_bytes < one.option.memory_bytes
            for other in found
        )


def test_one_chip_shards_nothing(make_job: MakeJob) -> None:
    best = search_layouts(make_job("gpt2", "A100", seq_len=1024), 1).options[0].layout
    assert (best.chips, best.sharding, best.tp) == (1, 0, 1)


def test_experts_are_spread(make_job: MakeJob) -> None:
    best = search_layouts(make_job("deepseek-v3", "H800", batch=4096, precision="fp8"), 2048).options[0].layout
    assert best.ep > 1
    assert model_shape("deepseek-v3").moe


def test_long_sequences_are_cut(make_job: MakeJob) -> None:
    job = make_job("llama3.1-405b", "H100", seq_len=131072, batch=128)
    assert search_layouts(job, 4096).options[0].layout.cp > 1


def test_what_cannot_fit_says_what_would(make_job: MakeJob) -> None:
    job = make_job("llama3.1-405b", batch=64)
    found = search_layouts(job, 8)
    assert not found.options
    assert found.thriftiest.memory_bytes > 80 * 2**30
    error = cannot_fit(job, 8, found)
    assert "does not fit on 8" in error.cause
    assert "fits on 64 of these" in error.remedy or "fits on 128 of these" in error.remedy


def test_a_prime_number_of_chips_finds_no_batch(make_job: MakeJob) -> None:
    with pytest.raises(DanluError, match="divides a batch"):
        search_layouts(make_job("llama2-7b", batch=3), 1009)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15)
@given(count=st.integers(1, 64), batch=st.integers(1, 300))
def test_any_count_gives_layouts_that_can_be(make_job: MakeJob, count: int, batch: int) -> None:
    job = make_job("gpt2", seq_len=1024, batch=batch)
    try:
        found = search_layouts(job, count)
    except DanluError:
        return  # no layout divides the batch on so many
    for option in found.options:
        check_layout(option.layout, job.shape, count, option.batch, 1024)
        assert abs(option.batch - batch) <= 0.25 * batch


@pytest.mark.parametrize(
    ("layout", "chips", "why"),
    [
        (Layout(tp=3), 3, "does not divide 32 heads"),
        (Layout(pp=40), 40, "40 pipeline stages for 32 layers"),
        (Layout(tp=2), 4, "not 4 chips"),
        (Layout(vpp=2), 1, "interleaving needs a pipeline"),
        (Layout(ep=2, dp=2), 2, "without experts"),
        (Layout(dp=5), 5, "do not divide a batch"),
        (Layout(cp=3), 3, "does not divide 4096 tokens"),
    ],
)
def test_impossible_layouts_say_why(layout: Layout, chips: int, why: str) -> None:
    assert why in (why_impossible(layout, model_shape("llama2-7b"), chips, 128, 4096) or "")
    with pytest.raises(DanluError, match="impossible"):
        check_layout(layout, model_shape("llama2-7b"), chips, 128, 4096)


def test_impossible_experts_say_why() -> None:
    shape = model_shape("mixtral-8x7b")
    assert "does not divide 8 experts" in (why_impossible(Layout(ep=3, dp=3), shape, 3, 3, 4096) or "")
    assert "more than tp x cp x dp" in (why_impossible(Layout(ep=8, dp=4), shape, 4, 4, 4096) or "")
