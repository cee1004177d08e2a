import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig
from danlu.generation.sampling import RandomStreams, choose

PLAIN = SamplingConfig(temperature=1.0, top_p=1.0)


def many(logits: torch.Tensor, config: SamplingConfig, count: int = 20_000) -> torch.Tensor:
    """How often each token is drawn from one row of logits, each draw by another prompt."""
    streams = RandomStreams(config.seed, torch.arange(count), 1, len(logits))
    drawn, _ = choose(logits.expand(count, -1), streams, 0, config)
    return torch.bincount(drawn, minlength=len(logits))


def nucleus_by_sorting(logits: torch.Tensor, config: SamplingConfig) -> torch.Tensor:
    """The distribution after all filters, worked out the slow way in double precision."""
    p = torch.softmax(logits.double() / config.temperature, -1)
    if config.top_k:
        p[p < p.topk(min(config.top_k, len(p))).values[-1]] = 0
    p /= p.sum()
    order = p.argsort(descending=True, stable=True)
    before = p[order].cumsum(0) - p[order]
    kept = torch.zeros(len(p), dtype=torch.bool)
    kept[order[before < config.top_p]] = True
    kept &= p >= config.min_p * p.max()
    p[~kept] = 0
    return p / p.sum()


@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        SamplingConfig(temperature=0.5, top_p=1.0),
        SamplingConfig(temperature=2.0, top_p=1.0, seed=7),
        SamplingConfig(temperature=1.0, top_p=0.7),
        SamplingConfig(temperature=1.5, top_p=0.05),
        SamplingConfig(temperature=1.0, top_k=5, top_p=1.0),
        SamplingConfig(temperature=1.0, top_k=8, top_p=0.6),
        SamplingConfig(temperature=1.0, top_p=1.0, min_p=0.2),
        SamplingConfig(temperature=1.3, top_k=20, top_p=0.9, min_p=0.05),
    ],
    ids=str,
)
def test_frequencies_are_the_filtered_distribution(config: SamplingConfig) -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(3)) * 1.5
    expected = nucleus_by_sorting(logits, config).numpy()
    seen = many(logits, config).numpy()
    assert seen[expected == 0].sum() == 0
    common = expected > 0
    if common.sum() > 1:
        assert stats.chisquare(seen[common], expected[common] * seen.sum()).pvalue > 1e-3


@settings(deadline=None, max_examples=60)
@given(
    logits=st.lists(st.floats(-8, 8, width=16), min_size=2, max_size=30),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.05, 1.0),
    min_p=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_nothing_is_drawn_from_outside_the_filters(logits: list[float], top_k: int, top_p: float, min_p: float) -> None:
    config = SamplingConfig(temperature=0.9, top_k=top_k, top_p=top_p, min_p=min_p)
    row = torch.tensor(logits)
    seen = many(row, config, 200)
    p = torch.softmax(row.double() / 0.9, -1)
    allowed = torch.ones(len(p), dtype=torch.bool)
    if top_k and top_k < len(p):
        allowed &= p >= p.topk(top_k).values[-1]
    likelier = torch.stack([p[p > q * (1 + 1e-6)].sum() for q in p])
    allowed &= likelier <= top_p + 1e-5  # top_k only makes the nucleus smaller
    allowed &= p >= min_p * p.max() * (1 - 1e-5)
    assert seen[~allowed].sum() == 0


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = torch.randn(6, 40, generator=torch.Generator().manual_seed(4))
    streams = RandomStreams(0, torch.arange(6), 1, 40)
    drawn, logprobs = choose(logits, streams, 0, SamplingConfig(temperature=0.0))
    assert torch.equal(drawn, logits.argmax(-1))
    torch.testing.assert_close(logprobs, logits.log_softmax(-1).amax(-1))


def test_logprobs_are_those_of_the_unfiltered_distribution_at_the_temperature() -> None:
    logits = torch.randn(9, 40, generator=torch.Generator().manual_seed(5)) * 3
    for config in (SamplingConfig(0.7, top_p=0.5), SamplingConfig(1.6, top_k=3), PLAIN):
        drawn, logprobs = choose(logits, RandomStreams(0, torch.arange(9), 1, 40), 0, config)
        expected = (logits / config.temperature).log_softmax(-1).gather(-1, drawn[:, None])[:, 0]
        torch.testing.assert_close(logprobs, expected)


def test_top_k_of_the_whole_vocabulary_changes_nothing() -> None:
    logits = torch.randn(64, 40, generator=torch.Generator().manual_seed(6))
    streams = RandomStreams(2, torch.arange(64), 1, 40)
    everything = SamplingConfig(temperature=1.0, top_k=40, top_p=1.0)
    assert torch.equal(choose(logits, streams, 0, PLAIN)[0], choose(logits, streams, 0, everything)[0])


def test_noise_is_exponential_and_without_pattern() -> None:
    streams = RandomStreams(11, torch.arange(64), 16, 1000)
    noise = torch.stack([-streams.exponential(step) for step in range(16)]).numpy()  # (steps, prompts, tokens)
    assert stats.kstest(noise.ravel()[::7], "expon").pvalue > 1e-3
    uniform = np.exp(-noise)
    for name, pairs in {
        "steps": (uniform[1:], uniform[:-1]),
        "prompts": (uniform[:, 1:], uniform[:, :-1]),
        "tokens": (uniform[..., 1:], uniform[..., :-1]),
    }.items():
        correlation = np.corrcoef(pairs[0].ravel(), pairs[1].ravel())[0, 1]
        assert abs(correlation) < 5 / math.sqrt(pairs[0].size), name
    low_bits = ((uniform * 2**20).astype(np.int64) & 15).ravel()
    assert stats.chisquare(np.bincount(low_bits, minlength=16)).pvalue > 1e-3


def test_a_stream_belongs_to_its_seed_prompt_and_step() -> None:
    one = RandomStreams(1, torch.tensor([5, 9]), 4, 100)
    assert torch.equal(one.exponential(2)[1], RandomStreams(1, torch.tensor([9]), 3, 100).exponential(2)[0])
    assert not torch.equal(one.exponential(2)[0], one.exponential(2)[1])
    assert not torch.equal(one.exponential(2), one.exponential(3))
    assert not torch.equal(one.exponential(2), RandomStreams(2, torch.tensor([5, 9]), 4, 100).exponential(2))
    chosen = torch.tensor([[3, 99], [0, 3]])
    assert torch.equal(one.exponential(2, chosen), one.exponential(2).gather(1, chosen))
    one.keep(torch.tensor([1]))
    assert torch.equal(one.exponential(2)[0], RandomStreams(1, torch.tensor([9]), 3, 100).exponential(2)[0])


@pytest.mark.parametrize(
    "config",
    [PLAIN, SamplingConfig(0.0), SamplingConfig(0.8), SamplingConfig(1.5, top_p=0.1), SamplingConfig(1.0, min_p=0.05)],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_pass_makes_the_same_choices(
    dtype: torch.dtype, config: SamplingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = (torch.randn(500, 303, generator=torch.Generator().manual_seed(7)) * 2).to(dtype)
    logits, streams = wide[:, :300], RandomStreams(5, torch.arange(500), 2, 300)
    fused, fused_logprobs = choose(logits, streams, 1, config)
    monkeypatch.setattr("danlu.generation.sampling.kernels_for", lambda x: None)
    plain, plain_logprobs = choose(logits, streams, 1, config)
    assert (fused != plain).sum() <= 1  # they differ in the last bits of exponentials and logarithms
    same = fused == plain
    torch.testing.assert_close(fused_logprobs[same], plain_logprobs[same])


@pytest.mark.parametrize("config", [PLAIN, SamplingConfig(0.0), SamplingConfig(0.8), SamplingConfig(0.8, top_k=3)])
def test_a_broken_model_gives_some_token_and_does_not_hang(config: SamplingConfig) -> None:
    logits = torch.full((3, 20), torch.nan)
    logits[1, :10] = 1.0
    logits[2] = -torch.inf
    drawn, _ = choose(logits, RandomStreams(0, torch.arange(3), 1, 20), 0, config)
    assert bool(((drawn >= 0) & (drawn < 20)).all())


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": 1e-9},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": 2.0},
        {"top_k": -1},
        {"max_new_tokens": 0},
        {"stop": ("",)},
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DanluError):
        SamplingConfig(**wrong)  # type: ignore[arg-type]
