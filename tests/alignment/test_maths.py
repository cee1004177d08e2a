"""The known answers, the properties, and an oracle: each function written again as plain loops over floats."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from danlu.alignment.maths import (
    AdaptiveKL,
    assemble_rewards,
    best_of_n_kl,
    explained_variance,
    gae,
    group_advantages,
    kl,
    kl_loss,
    masked_mean,
    policy_loss,
    ranking_loss,
    value_loss,
    whiten,
)

REWARDS = [-0.1, 0.05, -0.02, 0.0, 1.0]
VALUES = [0.2, 0.3, 0.1, 0.4, 0.5]
ADVANTAGES = [0.603190625, 0.6349375, 0.82625, 0.575, 0.5]


def row(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


def close(found: Tensor, expected: object, atol: float = 1e-9) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=atol, rtol=0)


@st.composite
def batches(draw: st.DrawFn, num: int, low: float = -3.0, high: float = 3.0) -> tuple[Tensor, ...]:
    """Tensors (B, T) and a mask; NaN stands where the mask is false."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 7)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    mask = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.3, 0.8, 1.0]))
    mask[0, 0] = True
    made = [torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low for _ in range(num)]
    return (*(torch.where(mask, x, math.nan) for x in made), mask)


# Advantages


def test_gae_known_answer() -> None:
    advantages, returns = gae(row(*REWARDS), row(*VALUES), torch.ones(1, 5), 1.0, 0.95)
    close(advantages, [ADVANTAGES])
    close(returns, [[0.803190625, 0.9349375, 0.92625, 0.975, 1.0]])


def test_gae_with_lambda_one_sums_the_future_whatever_the_values() -> None:
    for values in (VALUES, [9.0, -4.0, 2.0, 0.0, 1.0]):
        _, returns = gae(row(*REWARDS), row(*values), torch.ones(1, 5), 1.0, 1.0)
        close(returns, [[sum(REWARDS[t:]) for t in range(5)]])


def test_gae_with_lambda_zero_is_one_step_ahead() -> None:
    advantages, _ = gae(row(*REWARDS), row(*VALUES), torch.ones(1, 5), 0.9, 0.0)
    following = [*VALUES[1:], 0.0]
    close(advantages, [[r + 0.9 * n - v for r, v, n in zip(REWARDS, VALUES, following, strict=True)]])


def loop_gae(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    deltas = [r + gamma * (values[t + 1] if t + 1 < len(values) else 0.0) - values[t] for t, r in enumerate(rewards)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas))) for t in range(len(deltas))]


@given(batches(2), st.floats(0, 1), st.floats(0, 1))
def test_gae_equals_the_loop_over_the_real_tokens(batch: tuple[Tensor, ...], gamma: float, lam: float) -> None:
    rewards, values, mask = batch
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    for r, v, m, a, g in zip(rewards, values, mask, advantages, returns, strict=True):
        expected = loop_gae(r[m].tolist(), v[m].tolist(), gamma, lam)
        close(a[m], expected)
        close(g[m], [x + y for x, y in zip(expected, v[m].tolist(), strict=True)])
        assert (a[~m] == 0).all()
        assert (g[~m] == 0).all()


# Whitening


def test_whiten_known_answers() -> None:
    a, mask = row(*ADVANTAGES), torch.ones(1, 5)
    close(whiten(a, mask), [[-0.226937, 0.064922, 1.823718, -0.486102, -1.175601]], 2e-6)
    close(whiten(a, mask, unbiased=True), [[-0.202979, 0.058068, 1.631183, -0.434783, -1.051490]], 2e-6)
    rewards = torch.arange(12, 21, dtype=torch.float64).reshape(3, 3) / 10
    expected = [[0.0508, 0.4381, 0.8254], [1.2127, 1.6, 1.9873], [2.3746, 2.7619, 3.1492]]
    close(whiten(rewards, torch.ones(3, 3), shift_mean=False), expected, 6e-5)


@given(batches(1), st.booleans(), st.booleans())
def test_whiten_equals_the_loop(batch: tuple[Tensor, ...], shift: bool, unbiased: bool) -> None:
    x, mask = batch
    real = x[mask].tolist()
    mean = math.fsum(real) / len(real)
    variance = math.fsum((v - mean) ** 2 for v in real) / max(1, len(real) - unbiased)
    expected = [(v - mean) / math.sqrt(variance + 1e-8) + (0.0 if shift else mean) for v in real]
    white = whiten(x, mask, shift, unbiased=unbiased)
    close(white[mask], expected)
    assert (white[~mask] == 0).all()


@given(batches(1))
def test_whiten_over_two_processes_is_whiten_over_the_whole(batch: tuple[Tensor, ...]) -> None:
    x, mask = batch
    whole = whiten(torch.cat([x, x + 1]), torch.cat([mask, mask]))
    parts = [torch.where(mask, part, 0.0) for part in (x, x + 1)]
    moments = torch.stack([2 * mask.sum().double(), parts[0].sum() + parts[1].sum()])
    mean = moments[1] / moments[0]
    squares = sum(torch.where(mask, part - mean, 0.0).square().sum() for part in (x, x + 1))
    answers = iter([moments, squares])  # what adding up over the two would give
    close(whiten(x, mask, reduce=lambda _: next(answers)), whole[: len(x)])


def test_constant_input_is_not_blown_up() -> None:
    close(whiten(row(2, 2, 2), torch.ones(1, 3)), [[0.0, 0.0, 0.0]])
    close(whiten(row(2, 2, 2), torch.ones(1, 3), shift_mean=False), [[2.0, 2.0, 2.0]])


# Means and KL


def test_masked_mean_known_answers() -> None:
    x = row(1, 2, 3, 4)
    close(masked_mean(x, torch.tensor([[1, 0, 0, 1]])), 2.5)
    close(masked_mean(torch.tensor([[1.0, math.nan, math.nan, 4.0]]), torch.tensor([[1, 0, 0, 1]])), 2.5)
    close(masked_mean(x, torch.zeros(1, 4)), 0.0)
    close(masked_mean(torch.cat([x, 2 * x]), torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1]]), dim=1), [2.5, 5.0])


def test_kl_known_answers() -> None:
    logprobs, ref = row(-1, -2, -0.5), row(-1.2, -1.5, -0.5)
    close(kl(logprobs, ref), [[0.2, -0.5, 0.0]])
    close(kl(logprobs, ref, "k2"), [[0.02, 0.125, 0.0]])
    close(kl(logprobs, ref, "k3"), [[0.01873075, 0.14872127, 0.0]], 1e-8)


@given(st.integers(0, 2**31), st.integers(2, 30))
def test_k1_and_k3_expect_the_exact_kl(seed: int, vocabulary: int) -> None:
    p, q = torch.randn(2, vocabulary, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).log_softmax(
        -1
    )
    exact = sum(math.exp(a) * (a - b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
    close((p.exp() * kl(p, q, "k1")).sum(), exact)
    close((p.exp() * kl(p, q, "k3")).sum(), exact)


@given(st.floats(-20, 20), st.sampled_from([1.0, 1e-2, 1e-4, 1e-7]))
def test_k3_is_precise_and_never_negative_in_single_precision(distance: float, scale: float) -> None:
    d = torch.tensor(distance * scale, dtype=torch.float32, requires_grad=True)
    estimate = kl(d, torch.zeros(()), "k3")
    (gradient,) = torch.autograd.grad(estimate, d)
    true = float(d.detach().double())
    # In double precision, from the series where even that would cancel.
    exact = math.expm1(-true) + true if abs(true) > 1e-2 else true**2 / 2 - true**3 / 6 + true**4 / 24 - true**5 / 120
    assert float(estimate.detach()) == pytest.approx(exact, rel=1e-4, abs=1e-30)
    assert float(estimate.detach()) >= 0
    assert float(gradient) == pytest.approx(-math.expm1(-true), rel=1e-4, abs=1e-30)


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="k4"):
        kl(row(0), row(0), "k4")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n", "nats"),
    [(1, 0.0), (2, 0.1931), (4, 0.6363), (8, 1.2044), (9, 1.3083), (16, 1.8351), (64, 3.1745), (128, 3.8598),
     (256, 4.5491), (1000, 5.9088), (60000, 10.0021)],
)  # fmt: skip
def test_best_of_n_kl_known_answers(n: int, nats: float) -> None:
    assert best_of_n_kl(n) == pytest.approx(nats, abs=5e-5)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_best_of_n_kl_is_that_of_the_enumerated_distribution(n: int) -> None:
    # Many outcomes of distinct score and equal chance: the best of n has outcome i with (i/m)^n - ((i-1)/m)^n.
    m = 20_000
    exact = 0.0
    for i in range(1, m + 1):
        p = (i / m) ** n - ((i - 1) / m) ** n
        exact += p * math.log(p * m)
    assert exact == pytest.approx(best_of_n_kl(n), abs=2e-4)


def test_adaptive_kl_known_answers() -> None:
    for seen, after in ((12.0, 0.151536), (6.0, 0.15), (3.0, 0.148464)):
        controller = AdaptiveKL(0.15, target=6.0, horizon=10_000)
        assert controller.update(seen, 512) == pytest.approx(after, abs=1e-12)
        assert controller.beta == pytest.approx(after, abs=1e-12)


# Rewards


@given(batches(2), st.floats(0, 2), st.sampled_from(["k1", "k2", "k3"]))
def test_a_row_of_rewards_adds_up_to_score_less_penalty(batch: tuple[Tensor, ...], beta: float, kind: str) -> None:
    logprobs, ref, mask = (x[batch[2].any(-1)] for x in batch)
    scores = torch.linspace(-2, 5, len(mask), dtype=torch.float64)
    rewards = assemble_rewards(scores, logprobs, ref, mask, beta, kind=kind)  # type: ignore[arg-type]
    for i in range(len(mask)):
        real = [t for t in range(mask.shape[1]) if mask[i, t]]
        penalties = [-beta * float(kl(logprobs[i, t], ref[i, t], kind)) for t in real]  # type: ignore[arg-type]
        penalties[-1] += float(scores[i])
        close(rewards[i, real], penalties)
        assert rewards[i].sum().item() == pytest.approx(sum(penalties))


def test_a_response_without_an_end_scores_minus_one() -> None:
    zeros, mask = torch.zeros(2, 3), torch.tensor([[1, 1, 0], [1, 1, 1]])
    scores, ended = torch.tensor([3.0, 4.0]), torch.tensor([True, False])
    close(assemble_rewards(scores, zeros, zeros, mask, 0.1, ended=ended), [[0.0, 3, 0], [0, 0, -1]])
    kept = assemble_rewards(scores, zeros, zeros, mask, 0.1, ended=ended, missing_eos_score=None)
    close(kept, [[0.0, 3, 0], [0, 0, 4]])


def test_a_score_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="EOS"):
        assemble_rewards(torch.ones(1), torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2), 0.1)


# Losses


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "loss", "clipped"),
    [(0, 1, -1, 0), (0.5, 1, -1.2, 1), (0.5, -1, 1.64872127, 0), (-0.5, 1, -0.60653066, 0), (-0.5, -1, 0.8, 1)],
)
def test_policy_loss_known_answers(log_ratio: float, advantage: float, loss: float, clipped: int) -> None:
    found = policy_loss(row(log_ratio - 1), row(-1), row(advantage), torch.ones(1, 1), 0.2)
    close(found.total, loss, 1e-8)
    close(found.metrics["clipfrac"], clipped)


@given(batches(3, -1.5, 1.5), st.floats(0.05, 0.5))
def test_policy_loss_equals_the_loop_with_its_gradient(batch: tuple[Tensor, ...], clip: float) -> None:
    new, old, advantages, mask = batch
    new.requires_grad_()
    found = policy_loss(new, old, advantages, mask, clip)
    (gradient,) = torch.autograd.grad(found.total, new)
    total = 0.0
    for b, t in mask.nonzero().tolist():
        a, ratio = float(advantages[b, t]), math.exp(float(new[b, t].detach() - old[b, t]))
        limited = min(max(ratio, 1 - clip), 1 + clip)
        total += -min(a * ratio, a * limited)
        held = (a > 0 and ratio > 1 + clip) or (a < 0 and ratio < 1 - clip)
        assert float(gradient[b, t]) == pytest.approx(0.0 if held else -a * ratio)
    assert float(found.total.detach()) == pytest.approx(total)
    assert int(found.count) == int(mask.sum())
    assert (gradient[~mask] == 0).all()
    assert float(found.metrics["ratio"]) == pytest.approx(float((new.detach() - old)[mask].exp().sum()))
    assert float(found.metrics["approxkl"]) == pytest.approx(float((new.detach() - old)[mask].square().sum() / 2))


def test_before_any_step_nothing_is_clipped() -> None:
    logprobs = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    found = policy_loss(logprobs, logprobs, torch.randn(3, 4), torch.ones(3, 4), 0.2)
    assert float(found.metrics["ratio"] / found.count) == 1.0
    assert float(found.metrics["approxkl"]) == 0.0
    assert float(found.metrics["clipfrac"]) == 0.0


@pytest.mark.parametrize(
    ("value", "old", "goal", "loss"), [(1, 0.5, 0.9, 0.02), (0.6, 0.5, 2, 0.98), (0.9, 0.5, 2, 0.845)]
)
def test_value_loss_known_answers(value: float, old: float, goal: float, loss: float) -> None:
    close(value_loss(row(value), row(old), row(goal), torch.ones(1, 1), 0.2).total, loss)


@given(batches(3), st.floats(0.05, 0.5))
def test_value_loss_equals_the_loop(batch: tuple[Tensor, ...], clip: float) -> None:
    values, old, returns, mask = batch
    found = value_loss(values, old, returns, mask, clip)
    total = clipped = 0.0
    for b, t in mask.nonzero().tolist():
        v, o, r = float(values[b, t]), float(old[b, t]), float(returns[b, t])
        limited = min(max(v, o - clip), o + clip)
        total += 0.5 * max((v - r) ** 2, (limited - r) ** 2)
        clipped += (limited - r) ** 2 > (v - r) ** 2
    assert float(found.total) == pytest.approx(total)
    assert float(found.metrics["clipfrac"]) == clipped
    assert int(found.count) == int(mask.sum())


@given(batches(3), st.floats(0.05, 0.5))
def test_micro_batches_add_up_to_the_batch(batch: tuple[Tensor, ...], clip: float) -> None:
    for loss in (policy_loss, value_loss):
        whole = loss(*batch, clip)
        parts = [loss(*(x[i : i + 1] for x in batch), clip) for i in range(len(batch[0]))]
        close(sum((part.total for part in parts), torch.zeros((), dtype=torch.float64)), whole.total)
        assert sum(int(part.count) for part in parts) == int(whole.count)


# Rankings


def test_ranking_loss_known_answers() -> None:
    close(ranking_loss(torch.zeros(2), torch.tensor([0, 1])).mean, math.log(2), 1e-6)
    close(ranking_loss(torch.tensor([1.0, 0.0]), torch.tensor([0, 1])).mean, 0.31326169, 1e-6)
    four = ranking_loss(torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64), torch.arange(4))
    close(four.mean, 0.20703807, 1e-8)
    close(four.count, 1.0)
    close(four.metrics["accuracy"], 1.0)


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 6), st.floats(0, 1))
def test_ranking_loss_equals_the_loop_over_pairs(seed: int, prompts: int, size: int, margin: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(prompts, size, generator=generator, dtype=torch.float64)
    ranks = torch.randint(-1, 4, (prompts, size), generator=generator)
    found = ranking_loss(scores, ranks, margin=margin)
    total = count = 0.0
    for s, r in zip(scores.tolist(), ranks.tolist(), strict=True):
        there = [(a, b) for a, b in zip(s, r, strict=True) if b >= 0]
        num_pairs = len(there) * (len(there) - 1) / 2
        for score, rank in there:
            for other, worse in there:
                if rank < worse:
                    total += math.log1p(math.exp(-(score - other - margin))) / num_pairs
                    count += 1 / num_pairs
    assert float(found.total) == pytest.approx(total)
    assert float(found.count) == pytest.approx(count)


def test_all_ties_teach_nothing() -> None:
    scores = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    found = ranking_loss(scores, torch.tensor([1, 1, 1]))
    assert float(found.count) == 0
    assert float(found.mean.detach()) == 0
    (gradient,) = torch.autograd.grad(found.mean, scores)
    assert gradient.tolist() == [0, 0, 0]


def test_explained_variance() -> None:
    returns, mask = row(1, 2, 3, math.nan), torch.tensor([[1, 1, 1, 0]])
    close(explained_variance(row(1, 2, 3, 9), returns, mask), 1.0)
    close(explained_variance(row(5, 5, 5, 9), returns, mask), 0.0)
    close(explained_variance(row(3, 2, 1, 9), returns, mask), -3.0)
    assert explained_variance(row(1, 2), row(4, 4), torch.ones(1, 2)).isnan()


# GRPO


def test_group_advantages_are_scores_beside_their_group() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 2.0, 5.0, 7.0])
    close(group_advantages(scores, 2, "none"), [-1.0, 1.0, 0.0, 0.0, -1.0, 1.0])
    deviation = math.sqrt(2.0)  # of two numbers that differ by 2, unbiased
    close(group_advantages(scores, 2, "group", eps=0.0)[:2], [-1 / deviation, 1 / deviation], 1e-6)
    assert not group_advantages(torch.full((4,), 3.0), 4, "group").any()


@given(st.integers(0, 2**31), st.sampled_from(["group", "batch", "none"]))
def test_group_advantages_equal_a_loop(seed: int, scale: str) -> None:
    scores = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = []
    values = scores.tolist()
    whole = _deviation(values)
    for i in range(0, 12, 4):
        group = values[i : i + 4]
        divisor = {"group": _deviation(group) + 1e-4, "batch": whole + 1e-4, "none": 1.0}[scale]
        expected += [(x - sum(group) / 4) / divisor for x in group]
    close(group_advantages(scores, 4, scale), expected)  # type: ignore[arg-type]


def _deviation(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1))


@pytest.mark.parametrize("kind", ["k1", "k2", "k3", "k3+"])
def test_the_gradient_of_a_kl_loss_is_the_one_it_says(kind: str) -> None:
    """Expectations over an enumerable vocabulary: k2 and k3+ pull along KL(p || q), k3 along KL(q || p), k1 nowhere."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, dtype=torch.float64, generator=generator).requires_grad_()
    q = torch.randn(6, dtype=torch.float64, generator=generator).log_softmax(-1)

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, logits)[0]

    p = logits.log_softmax(-1)
    # One row a token, as if each was drawn with weight p.
    weight = p.detach().exp()
    one = torch.ones(1, 1)
    terms = [kl_loss(p[i].view(1, 1), q[i].view(1, 1), one, kind).total for i in range(6)]  # type: ignore[arg-type]
    found = gradient(torch.stack([w * t for w, t in zip(weight, terms, strict=True)]).sum())
    p = logits.log_softmax(-1)
    forward = gradient((p.exp() * (p - q)).sum())
    p = logits.log_softmax(-1)
    backward = gradient((q.exp() * (q - p)).sum())
    close(found, {"k1": torch.zeros(6), "k2": forward, "k3": backward, "k3+": forward}[kind])


def test_k3_plus_shows_k3() -> None:
    logprobs, ref = row(-1.0, -2.0, -0.5), row(-1.2, -1.5, -0.5)
    loss = kl_loss(logprobs, ref, torch.ones(1, 3), "k3+")
    close(loss.total, 0.01873075 + 0.14872127, 1e-8)
    assert loss.count == 3


def test_kl_loss_ignores_what_is_masked() -> None:
    logprobs = row(-1.0, math.nan).requires_grad_()
    loss = kl_loss(logprobs, row(-1.5, math.nan), torch.tensor([[True, False]]), "k3+")
    loss.total.backward()
    assert torch.isfinite(logprobs.grad).all()  # type: ignore[arg-type]
    assert logprobs.grad[0, 1] == 0  # type: ignore[index]


def test_policy_loss_gives_the_ratios_moments() -> None:
    loss = policy_loss(row(0.1, -0.3, 5.0), row(0.0, 0.0, 0.0), row(1, 1, 1), torch.tensor([[1, 1, 0]]), 0.2)
    close(loss.metrics["ratio"], math.exp(0.1) + math.exp(-0.3))
    close(loss.metrics["ratio_square"], math.exp(0.2) + math.exp(-0.6))
