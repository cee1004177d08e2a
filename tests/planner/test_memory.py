"""Memory of a chip: known sums, monotony and verdicts."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from danlu.planner.cases import Job, stack
from danlu.planner.coefficients import calibration
from danlu.planner.memory import MEMORY_PARTS, activation_bytes, memory
from danlu.planner.models import model_shape
from danlu.planner.predict import first_that_fits, least_recompute, predict
from danlu.planner.shape import ModelShape
from danlu.planner.software import software_for

MakeJob = Callable[..., Job]
GIB = 2.0**30


def total(job: Job) -> float:
    """Bytes of the fullest chip."""
    return float(memory(stack([job]), calibration().memory).total[0])


def test_a_plain_replica_holds_eighteen_bytes_a_parameter(make_job: MakeJob) -> None:
    parts = predict(make_job("llama2-7b", sharding=0)).memory_parts
    params = model_shape("llama2-7b").params()
    assert parts["weights"] == pytest.approx(2 * params, rel=1e-5)
    assert parts["gradients"] == pytest.approx(4 * params, rel=1e-5)  # summed in 32 bits
    assert parts["optimizer"] == pytest.approx(12 * params, rel=1e-5)  # a 32-bit copy and two moments
    assert tuple(parts) == MEMORY_PARTS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
@given(
    axis=st.sampled_from(["tp", "pp", "dp", "cp"]),
    stage=st.sampled_from([1, 2, 3]),
    model=st.sampled_from(["llama2-70b", "deepseek-v3", "mixtral-8x22b"]),
)
def test_memory_falls_with_sharding(make_job: MakeJob, axis: str, stage: int, model: str) -> None:
    sizes = [total(make_job(model, "H100", batch=512, sharding=stage, **{axis: size})) for size in (1, 2, 4, 8)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(sizes))


@pytest.mark.parametrize("model", ["llama2-7b", "mixtral-8x7b"])
def test_every_zero_stage_holds_less(make_job: MakeJob, model: str) -> None:
    sizes = [total(make_job(model, dp=16, sharding=stage)) for stage in (0, 1, 2, 3)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[3] < sizes[0] / 2


def test_expert_parallelism_shares_the_experts(make_job: MakeJob) -> None:
    sizes = [predict(make_job("deepseek-v3", "H100", dp=64, ep=ep)).memory_parts["weights"] for ep in (1, 8, 64)]
    assert sizes == sorted(sizes, reverse=True)
    # 653.6e9 of its parameters are routed experts.
    assert sizes[2] < sizes[0] / 20


def test_recomputation_keeps_less(make_job: MakeJob) -> None:
    parts = [
        predict(make_job("llama2-70b", tp=8, pp=4, recompute=level)).memory_parts["activations"]
        for level in ("none", "selective", "full")
    ]
    assert parts == sorted(parts, reverse=True)


def test_activations_of_a_gpt_layer(make_job: MakeJob) -> None:
    # Korthikanti et al. 2022, section 4: 34 s b h + 5 a s^2 b for one rank; here without the masks of dropout, which
    # are 1 byte each after attention and network (2 s b h) beside the scores' (in the 5).
    shape = ModelShape("gpt", 48, 6144, 64, 64, 96, 24576, 51200, 2)
    legacy = software_for("Megatron-LM", "NVIDIA", 2020, "fp16")
    job = replace(make_job("gpt3", seq_len=2048, batch=4), shape=shape, software=legacy)
    found = float(activation_bytes(stack([job]), np.zeros(1))[0])
    tokens, hidden = 2048, 6144
    assert found == pytest.approx(tokens * hidden * 32 + 5 * 64 * 2048 * 2048, rel=0.07)


def test_a_pipeline_keeps_as_many_micro_batches_as_stages(make_job: MakeJob) -> None:
    two, eight = (predict(make_job("llama2-70b", tp=8, pp=pp, batch=256)).memory_parts["activations"] for pp in (2, 8))
    assert eight == pytest.approx(two, rel=0.01)  # a quarter of the layers, four times the micro-batches


def test_verdicts(make_job: MakeJob) -> None:
    assert predict(make_job("llama2-7b", sharding=0)).verdict == "does not fit"
    assert predict(make_job("llama2-7b", dp=8)).verdict in ("fits", "tight")
    assert predict(make_job("gpt2", seq_len=1024)).verdict == "fits"


def test_the_least_recomputation_that_fits_is_chosen(make_job: MakeJob) -> None:
    job = make_job("llama2-7b", dp=8, seq_len=16384, batch=64)
    chosen = least_recompute(job)
    assert chosen.recompute != "none"
    assert predict(replace(job, layout=chosen)).verdict != "does not fit"
    lighter = replace(job.layout, recompute="none")
    assert predict(replace(job, layout=lighter)).verdict == "does not fit"
    assert first_that_fits(job, [lighter, chosen]) == chosen


def test_operator_checkpointing_and_pytorchs_loss(make_job: MakeJob) -> None:
    # torchtitan's selective recomputation keeps query, value, gate and output of a layer's seven products, and its
    # cross-entropy 12 bytes a logit: 82.4, 77.0 and 76.8 GiB were printed for this run (eager, compiled, fp8).
    titan = software_for("torchtitan", "NVIDIA", 2022, "bf16")
    layout = {"dp": 8, "sharding": 3, "micro_batch": 2, "recompute": "selective"}
    job = replace(make_job("llama3-8b", "H100", seq_len=8192, batch=16, **layout), software=titan)
    tokens, need = 2 * 8192, predict(job)
    kept = 2 * 32 * tokens * (2 * 4096 + 4096 + 1024 + 4096 + 14336)  # bytes of all layers
    assert need.memory_parts["activations"] == pytest.approx(kept, rel=0.35)  # and one layer at work
    assert need.memory_parts["logits"] == pytest.approx(12 * tokens * 128256)
    assert need.memory_bytes / GIB == pytest.approx(78.7, rel=0.05)
    plain = predict(replace(job, software=software_for("", "NVIDIA", 2022, "bf16")))
    assert plain.memory_parts["activations"] > need.memory_parts["activations"]
    assert plain.terms["recompute"] < need.terms["recompute"]
