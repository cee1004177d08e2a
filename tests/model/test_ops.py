"""The fused CPU passes agree with their plain definitions, gradients included."""

import itertools
from collections.abc import Callable

import pytest
import torch

from danlu.model import ops
from danlu.model.kernels import Kernels, load

pytestmark = pytest.mark.skipif(not isinstance(load(), Kernels), reason=f"no compiled kernels: {load()}")

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2}


def _compare(function, inputs, dtype, monkeypatch):
    """Value and gradients of `function`, fused in `dtype` and plain in fp32."""

    def run(cast):
        leaves = [
            x.clone().to(cast if x.dim() > 1 else torch.float32).requires_grad_() if x.is_floating_point() else x
            for x in inputs
        ]
        out = function(*leaves)
        outs = out if isinstance(out, tuple) else (out,)
        sum((o.float() * torch.linspace(-1, 1, o.numel()).view(o.shape)).sum() for o in outs).backward()
        return [o.float() for o in outs] + [
            x.grad.float() for x in leaves if x.is_floating_point() and x.grad is not None
        ]

    fused = run(dtype)
    monkeypatch.setattr(ops, "kernels_for", lambda x: None)
    plain = run(torch.float32)
    for got, want in zip(fused, plain, strict=True):
        scale = want.abs().max().clamp_min(1e-3)
        assert (got - want).abs().max() / scale < TOLERANCE[dtype]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
class TestFusedEqualsPlain:
    def test_rms_norm(self, dtype, monkeypatch):
        _compare(lambda x, w: ops.rms_norm(x, w, 1e-6), [torch.randn(3, 7, 48), torch.randn(48)], dtype, monkeypatch)

    @pytest.mark.parametrize("heads", [(4, 4), (6, 2)])
    @pytest.mark.parametrize("norm", [True, False])
    def test_split_heads(self, dtype, monkeypatch, heads, norm):
        qkv = torch.randn(2, 5, (heads[0] + 2 * heads[1]) * 32)
        weights = [torch.randn(32), torch.randn(32)] if norm else []
        angle = torch.randn(5, 16)

        def function(x, *w):
            q, k = w or (None, None)
            return ops.split_heads(x, q, k, angle.cos(), angle.sin(), heads, 1e-6)

        _compare(function, [qkv, *weights], dtype, monkeypatch)

    @pytest.mark.parametrize("kv_heads", [4, 2])
    @pytest.mark.parametrize("dim", [32, 24])
    def test_causal_attention(self, dtype, monkeypatch, kv_heads, dim):
        q, k, v = (torch.randn(2, h, 9, dim) for h in (4, kv_heads, kv_heads))
        _compare(ops.causal_attention, [q, k, v], dtype, monkeypatch)

    def test_swiglu(self, dtype, monkeypatch):
        _compare(ops.swiglu, [3 * torch.randn(4, 6, 66)], dtype, monkeypatch)

    def test_linear_cross_entropy(self, dtype, monkeypatch):
        hidden, table, targets = torch.randn(11, 16), torch.randn(33, 16), torch.randint(33, (11,))
        targets[3] = -1
        _compare(lambda h, t: ops.linear_cross_entropy(h, t, targets, chunk=4), [hidden, table], dtype, monkeypatch)


def test_linear_cross_entropy_is_the_textbook_loss():
    hidden, table, targets = torch.randn(11, 16), torch.randn(33, 16, requires_grad=True), torch.randint(33, (11,))
    want = torch.nn.functional.cross_entropy(hidden @ table.t(), targets, reduction="sum")
    (want_grad,) = torch.autograd.grad(want, table)
    got = ops.linear_cross_entropy(hidden, table, targets, chunk=4)
    (got_grad,) = torch.autograd.grad(got, table)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(got_grad, want_grad)
    torch.testing.assert_close(ops.token_losses(hidden, table.detach(), targets, chunk=4).sum(), want.detach())


def test_extreme_logits_stay_finite_and_nan_is_not_hidden():
    table = torch.eye(4) * 1e4
    loss = ops.linear_cross_entropy(torch.eye(4), table, torch.tensor([0, 1, 2, 0]))
    assert torch.isfinite(loss)
    hidden = torch.eye(4)
    hidden[1, 1] = float("nan")
    assert torch.isnan(ops.linear_cross_entropy(hidden, table, torch.tensor([0, 1, 2, 0])))


UNIT = isinstance(load(), Kernels) and load().matrix_unit


def _whatever_the_threads(make: Callable[[], list[torch.Tensor]]) -> list[torch.Tensor]:
    """What `make` gives, the same on one to three threads; beside the library's products, which use the unit too."""
    square = torch.randn(256, 256).bfloat16()
    product, threads, found = square @ square, torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(make())
            assert torch.equal(square @ square, product)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for one in found for a, b in zip(one, found[0], strict=True))
    return found[0]


@pytest.mark.skipif(not UNIT, reason="no matrix unit (AMX)")
@pytest.mark.parametrize(
    ("tokens", "height", "width"), [(1, 1, 1), (33, 17, 5), (257, 104, 544), (700, 1152, 104), (64, 700, 600)]
)
def test_the_matrix_unit_gives_the_weights_gradient_whatever_the_number_of_threads(tokens, height, width):
    grad, x = torch.randn(tokens, height).bfloat16(), torch.randn(tokens, width).bfloat16()
    want = grad.double().t() @ x.double()
    (found,) = _whatever_the_threads(lambda: [ops._weight_gradient(grad, x)])
    rounding = 2.0**-8 * want.abs() + 1e-5 * tokens**0.5 * 8
    assert ((found.double() - want).abs() <= rounding).all()


def _seen(kind: str, batch: int, time: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Starts, and what is shared, of rows that hold nothing of the kind, texts, or prompts with continuations."""
    if kind == "all":
        return None, None
    generator = torch.Generator().manual_seed(time)
    starts, shared = torch.zeros(batch, time, dtype=torch.int64), torch.zeros(batch, time, 2, dtype=torch.int64)
    for row in range(batch):
        edges = [0, *(torch.randperm(time - 1, generator=generator)[:6] + 1).sort().values.tolist(), time]
        for number, (first, last) in enumerate(itertools.pairwise(edges)):
            starts[row, first:last] = first
            if number % 3:  # a prompt, and two that go on from it
                prompt = number - number % 3
                shared[row, first:last] = torch.tensor([edges[prompt], edges[prompt + 1]])
    return starts, (shared if kind == "prompts" else None)


@pytest.mark.skipif(not UNIT, reason="no matrix unit (AMX)")
@pytest.mark.parametrize("kind", ["all", "texts", "prompts"])
@pytest.mark.parametrize(("batch", "heads", "time", "dim"), [(3, 2, 32, 32), (2, 3, 77, 64), (1, 1, 130, 96)])
def test_the_matrix_units_attention_is_the_plain_one_whatever_the_number_of_threads(kind, batch, heads, time, dim):
    starts, shared = _seen(kind, batch, time)
    q, k, v, grad = (torch.randn(batch, heads, time, dim).bfloat16() for _ in range(4))
    q[0, 0, 5] *= 40  # a query whose powers differ by far

    def attended() -> list[torch.Tensor]:
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        out = ops.causal_attention(*inputs, starts, shared)
        out.backward(grad)
        return [out, *(x.grad for x in inputs)]

    found = _whatever_the_threads(attended)
    exact = [x.double().requires_grad_() for x in (q, k, v)]
    want = ops.causal_attention(*exact, starts, shared)  # float64 has no fused pass
    want.backward(grad.double())
    for mine, right in zip(found, [want, *(x.grad for x in exact)], strict=True):
        assert (mine.double() - right).norm() <= 0.004 * right.norm()


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_and_its_gradients(bias, monkeypatch):
    inputs = [torch.randn(3, 40, 24), torch.randn(56, 24), *([torch.randn(1, 56)] if bias else [])]
    _compare(lambda x, w, b=None: ops.linear(x, w, None if b is None else b[0]), inputs, torch.bfloat16, monkeypatch)
