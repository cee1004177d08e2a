"""The operations between matrix products, each in one fused pass on the CPU and in plain PyTorch everywhere else.

The plain form is the definition, runs on any device, and is what `torch.compile` fuses on accelerators; the fused form
(kernels.c, matrix_unit.c) must agree with it to rounding, which the tests check, gradients included.
"""

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from danlu.model.kernels import Kernels, load

_QUERY_BLOCK = 128
"""Most queries whose products with their keys are one batch of products: far fewer keep the matrix units waiting, with
more the half above the diagonal is computed too (224 tokens on AVX2, forward and backward: 24 ms whole, 17 in two)."""


_UNIT_TIME = 2048
"""Longest rows (tokens) for the matrix unit's attention, whose way back keeps 4 KB for each block of 32 x 32 below the
diagonal: 8 MB a thread."""
_KEPT_LOGITS = 2**25
"""Numbers (64 MB in bfloat16) that the gradient of log-probabilities may keep instead of computing them again."""
_CPU_LOGITS, _CPU_ROWS = 2**23, 2048
"""Logits (16 MB in bfloat16) that exist at the same time on a processor, and rows at least: with fewer, small models
spend their time between the products."""
_ACCELERATOR_LOGITS = 2**28
"""Logits (512 MB in bfloat16) that exist at the same time on an accelerator: fewer, and the table's gradient, which is
read and written for every chunk, takes longer than the products."""

_RECOMPILATIONS = 64

Passes = TypeVar("Passes", bound=Callable[..., Any])


@cache
def compiled(function: Passes) -> Passes:
    """A function of tensors as one or two kernels of an accelerator; compiled at its first call, and again for other
    shapes.
    """
    # Beyond the limit it would run as it is, several times slower: a process may hold several models.
    torch._dynamo.config.recompile_limit = max(_RECOMPILATIONS, torch._dynamo.config.recompile_limit)
    return cast(Passes, torch.compile(function))


def kernels_for(x: Tensor) -> Kernels | None:
    """The fused CPU passes if they serve this tensor, else None."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16) or torch.compiler.is_compiling():
        return None
    kernels = load()
    return kernels if isinstance(kernels, Kernels) else None


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b.

    Args:
        x: (..., D).  weight: (E, D).  bias: (E,).  All of one dtype.
    """
    kernels = kernels_for(x)
    if kernels and kernels.matrix_unit and x.dtype == torch.bfloat16 and torch.is_grad_enabled():
        return cast(Tensor, _apply(_Linear, x, weight, bias))
    return F.linear(x, weight, bias)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension, in fp32 inside (Zhang & Sennrich 2019).

    Args:
        x: (..., D).  weight: (D,), fp32.
    """
    if kernels := kernels_for(x):
        return _apply(_RMSNorm, x, weight.float(), eps, kernels)
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def split_heads(
    qkv: Tensor,
    q_weight: Tensor | None,
    k_weight: Tensor | None,
    cosine: Tensor,
    sine: Tensor,
    num_heads: tuple[int, int],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values from their joint projection, with QK-norm (if weights are given) and rotary positions.

    Args:
        qkv: (B, T, (H + 2 K) * Dh): H query heads, then K key heads, then K value heads.
        q_weight, k_weight: (Dh,), the scales of the per-head RMSNorm, or None.
        cosine, sine: (T, Dh / 2), or (B, T, Dh / 2) where rows stand at positions of their own; rotate-half layout.
        num_heads: (H, K).

    Returns:
        q (B, H, T, Dh), k and v (B, K, T, Dh).
    """
    if kernels := kernels_for(qkv):
        q_weight, k_weight = (None if w is None else w.float() for w in (q_weight, k_weight))
        return _apply(_SplitHeads, qkv, q_weight, k_weight, cosine, sine, num_heads, eps, kernels)
    heads, kv_heads = num_heads
    batch, time, _ = qkv.shape
    # In the order in which the product wrote them: transposed first, the passes here take several times as long.
    cosine, sine = cosine.unsqueeze(-2), sine.unsqueeze(-2)  # (T, 1, Dh / 2) or (B, T, 1, Dh / 2)
    q, k, v = qkv.view(batch, time, heads + 2 * kv_heads, -1).split((heads, kv_heads, kv_heads), dim=2)
    q = rotate(q if q_weight is None else rms_norm(q, q_weight, eps), cosine, sine)
    k = rotate(k if k_weight is None else rms_norm(k, k_weight, eps), cosine, sine)
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) in the rotate-half layout.

    Args:
        x: (..., Dh).  cosine, sine: (..., Dh / 2), or what broadcasts to it.
    """
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).to(x.dtype)


def segment_starts(segments: Tensor) -> Tensor:
    """Where the stretch of equal numbers begins that each token is in. segments: (B, T); returns (B, T) int64."""
    places = torch.arange(segments.size(1), device=segments.device).expand_as(segments)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return torch.where(begins, places, 0).cummax(dim=1).values


def causal_attention(
    q: Tensor, k: Tensor, v: Tensor, starts: Tensor | None = None, shared: Tensor | None = None
) -> Tensor:
    """softmax(q k^T / sqrt(Dh), causal) v, with grouped keys and values.

    Args:
        q: (B, H, T, Dh).  k, v: (B, K, T, Dh); K divides H.
        starts: (B, T) int64, the first key that each query sees (see `segment_starts`); None: key 0.
        shared: (B, T, 2) int64, where starts are given: keys before its start that a query sees too, from the first
            number up to the second.

    Returns:
        (B, H, T, Dh).

    On a processor with a unit for products (AMX) this is one pass over blocks of queries and keys, which leaves out
    those that nothing is seen of. On others it is two matrix products around one fused softmax pass: at the contexts of
    small models that is faster than the tiled kernel, whose products are too small.
    """
    groups = q.size(1) // k.size(1)
    kernels = kernels_for(q)
    if groups > 1 and (kernels or starts is not None):  # with a mask, the tiled kernels take no groups
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    if kernels and kernels.matrix_unit and _suits_unit(q):
        return _apply(_UnitAttention, q, k, v, starts, shared, kernels)
    if kernels:
        return _apply(_CausalAttention, q, k, v, starts, shared, kernels)
    if starts is not None:
        places = torch.arange(q.size(2), device=q.device)
        mask = (places >= starts[:, :, None]) & (places <= places[:, None])  # (B, queries, keys)
        if shared is not None:
            mask |= (places >= shared[:, :, :1]) & (places < shared[:, :, 1:])
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=groups > 1)


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer 2020). gate_up: (..., 2 F), gate first; returns (..., F)."""
    if kernels := kernels_for(gate_up):
        return _apply(_SwiGLU, gate_up, kernels)
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def linear_cross_entropy(
    hidden: Tensor, table: Tensor, targets: Tensor, *, chunk: int | None = None, fuse: bool = False
) -> Tensor:
    """Sum over tokens of -log softmax(hidden table^T)[target], without keeping all logits.

    Args:
        hidden: (M, D).  table: (V, D), cast to hidden's dtype.  targets: (M,) int64; negative ones are ignored.
        chunk: rows whose logits exist at the same time; None: as many as suit the device.
        fuse: compile the passes over the logits.

    Returns:
        A scalar, fp32 (nats).
    """
    return _apply(_LinearCrossEntropy, hidden, table, targets, chunk or _rows_at_once(table), fuse)


def token_losses(
    hidden: Tensor, table: Tensor, targets: Tensor, *, chunk: int | None = None, fuse: bool = False
) -> Tensor:
    """As `linear_cross_entropy`, but (M,) fp32, one loss a token, without gradient."""
    chunk, table = chunk or _rows_at_once(table), table.to(hidden.dtype)
    parts = zip(hidden.split(chunk), targets.split(chunk), strict=True)
    return torch.cat([_softmax_loss(h @ table.t(), t, fuse)[0] for h, t in parts])


def token_logprobs(
    hidden: Tensor,
    table: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    chunk: int | None = None,
    fuse: bool = False,
) -> tuple[Tensor, Tensor]:
    """log softmax(hidden table^T / temperature)[target] of each token, with gradient, and the distribution's entropy.

    At most `_KEPT_LOGITS` logits are kept for the gradient; beyond that they are computed a second time.

    Args:
        hidden: (M, D).  table: (V, D), cast to hidden's dtype.  targets: (M,) int64, none negative.
        temperature: what the logits are divided by.
        chunk: rows whose logits exist at the same time; None: as many as suit the device.
        fuse: compile the passes over the logits.

    Returns:
        Log-probabilities (M,) and entropies (M,), fp32 (nats); the entropies carry no gradient.
    """
    chunk = chunk or _rows_at_once(table)
    logprobs, entropies = _apply(_TokenLogprobs, hidden, table, targets, temperature, chunk, fuse)
    return logprobs, entropies


def _rows_at_once(table: Tensor) -> int:
    """Rows whose logits may exist at the same time: a power of two, so that chunks are alike."""
    logits, rows = (_CPU_LOGITS, _CPU_ROWS) if table.device.type == "cpu" else (_ACCELERATOR_LOGITS, 1024)
    return 1 << (max(rows, logits // table.size(0)).bit_length() - 1)


def _softmax_loss(logits: Tensor, targets: Tensor, fuse: bool) -> tuple[Tensor, Tensor]:
    """Loss a row (M,), and softmax - onehot (M, V), which may reuse the memory of `logits`."""
    if kernels := kernels_for(logits):
        losses = torch.empty(logits.size(0))
        kernels.call("cross_entropy", logits.dtype, logits, targets.contiguous(), losses, *logits.shape)
        return losses, logits
    return (compiled(_plain_softmax_loss) if fuse else _plain_softmax_loss)(logits, targets)


def _plain_softmax_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    valid, at = (targets >= 0)[:, None], targets.clamp_min(0)[:, None]
    losses = torch.where(valid, -logprobs.gather(1, at), 0.0)[:, 0]
    probs = logprobs.exp()
    # A comparison and not a scattered sum, which could not be fused with the passes around it.
    gradient = torch.where(torch.arange(logits.size(1), device=logits.device) == at, probs - 1, probs)
    return losses, (gradient * valid).to(logits.dtype)


def _weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """grad^T x, the gradient of a linear map's weights. grad: (N, E).  x: (N, D)."""
    kernels = kernels_for(x)
    if not (kernels and kernels.matrix_unit and x.dtype == grad.dtype == torch.bfloat16):
        return grad.t() @ x
    out = torch.empty(grad.size(1), x.size(1), dtype=x.dtype)
    kernels.call("weight_gradient", x.dtype, grad.contiguous(), x.contiguous(), out, len(x), grad.size(1), x.size(1))
    return out


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            grad @ weight if needs_x else None,
            _weight_gradient(rows, x.flatten(0, -2)) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )


class _LinearCrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, table: Tensor, targets: Tensor, chunk: int, fuse: bool) -> Tensor:
        # The gradient is made while a chunk's logits are in cache, so they are never computed twice.
        weight = table.to(hidden.dtype)
        total = torch.zeros((), device=hidden.device)
        needs_hidden, needs_table = ctx.needs_input_grad[:2]
        d_hidden = torch.empty_like(hidden) if needs_hidden else None
        d_table = torch.zeros(table.shape, device=hidden.device) if needs_table else None
        for start in range(0, hidden.size(0), chunk):
            rows = slice(start, start + chunk)
            losses, gradient = _softmax_loss(hidden[rows] @ weight.t(), targets[rows], fuse)
            total += losses.sum()
            if d_hidden is not None:
                torch.mm(gradient, weight, out=d_hidden[rows])
            if d_table is not None:
                d_table += _weight_gradient(gradient, hidden[rows])
        ctx.save_for_backward(d_hidden, d_table)
        ctx.table_dtype = table.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        d_hidden, d_table = ctx.saved_tensors
        return (
            None if d_hidden is None else d_hidden * grad.to(d_hidden.dtype),
            None if d_table is None else (d_table * grad).to(ctx.table_dtype),
            None,
            None,
            None,
        )


class _TokenLogprobs(Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, table: Tensor, targets: Tensor, temperature: float, chunk: int, fuse: bool
    ) -> tuple[Tensor, Tensor]:
        weight = table.to(hidden.dtype)
        keep = any(ctx.needs_input_grad) and hidden.size(0) * table.size(0) <= _KEPT_LOGITS
        logprobs = torch.empty(hidden.size(0), device=hidden.device)
        entropies = torch.empty_like(logprobs)
        kept = []
        for start in range(0, hidden.size(0), chunk):
            rows = slice(start, start + chunk)
            losses, gradient = _softmax_loss(_logits(hidden[rows], weight, temperature), targets[rows], fuse)
            logprobs[rows] = -losses
            entropies[rows] = (compiled(_entropy) if fuse else _entropy)(gradient, targets[rows])
            if keep:
                kept.append(gradient)
        ctx.save_for_backward(hidden, table, targets, *kept)
        ctx.options = (temperature, chunk, fuse)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Any:
        hidden, table, targets, *kept = ctx.saved_tensors
        temperature, chunk, fuse = ctx.options
        weight = table.to(hidden.dtype)
        d_hidden = torch.empty_like(hidden)
        d_table = torch.zeros(table.shape, device=hidden.device) if ctx.needs_input_grad[1] else None
        scale = (-grad / temperature).to(hidden.dtype)[:, None]
        for number, start in enumerate(range(0, hidden.size(0), chunk)):
            rows = slice(start, start + chunk)
            gradient = (
                kept[number]
                if kept
                else _softmax_loss(_logits(hidden[rows], weight, temperature), targets[rows], fuse)[1]
            )
            d_hidden[rows] = (gradient @ weight) * scale[rows]
            if d_table is not None:
                d_table += _weight_gradient(gradient, hidden[rows] * scale[rows])
        return d_hidden, None if d_table is None else d_table.to(table.dtype), None, None, None, None


def _logits(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    logits = hidden @ weight.t()
    return logits if temperature == 1.0 else logits.div_(temperature)


def _entropy(gradient: Tensor, targets: Tensor) -> Tensor:
    """Entropy a row from softmax - onehot."""
    wide = gradient.float()
    probs = torch.where(torch.arange(wide.size(1), device=wide.device) == targets[:, None], wide + 1, wide)
    return torch.special.entr(probs.clamp_min(0)).sum(-1)


class _RMSNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, kernels: Kernels) -> Tensor:
        x = x.contiguous()
        width = x.size(-1)
        rows = x.numel() // width
        y, rstd = torch.empty_like(x), torch.empty(rows)
        kernels.call("rms_norm_forward", x.dtype, x, weight, y, rstd, rows, width, eps)
        ctx.save_for_backward(x, weight, rstd)
        ctx.kernels = kernels
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, rstd = ctx.saved_tensors
        dx, partial = torch.empty_like(x), torch.zeros(torch.get_num_threads(), x.size(-1))
        rows = rstd.numel()
        ctx.kernels.call("rms_norm_backward", x.dtype, dy.contiguous(), x, weight, rstd, dx, partial, rows, x.size(-1))
        return dx, partial.sum(0), None, None


class _SplitHeads(Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        q_weight: Tensor | None,
        k_weight: Tensor | None,
        cosine: Tensor,
        sine: Tensor,
        num_heads: tuple[int, int],
        eps: float,
        kernels: Kernels,
    ) -> tuple[Tensor, Tensor, Tensor]:
        qkv, cosine, sine = qkv.contiguous(), cosine.contiguous(), sine.contiguous()
        assert cosine.dtype == sine.dtype == torch.float32
        batch, time, width = qkv.shape
        heads, kv_heads = num_heads
        dim = width // (heads + 2 * kv_heads)
        assert dim <= 512
        q, k, v = (qkv.new_empty(batch, h, time, dim) for h in (heads, kv_heads, kv_heads))
        sizes = (batch, time, heads, kv_heads, dim, cosine.numel() // (dim // 2), eps)
        kernels.call("split_heads_forward", qkv.dtype, qkv, q_weight, k_weight, cosine, sine, q, k, v, *sizes)
        ctx.save_for_backward(qkv, q_weight, k_weight, cosine, sine)
        ctx.sizes, ctx.kernels = sizes, kernels
        return q, k, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq: Tensor, dk: Tensor, dv: Tensor) -> Any:
        qkv, q_weight, k_weight, cosine, sine = ctx.saved_tensors
        dqkv = torch.empty_like(qkv)
        partial = torch.zeros(torch.get_num_threads(), 2, ctx.sizes[4])
        tensors = (dq.contiguous(), dk.contiguous(), dv.contiguous(), qkv, q_weight, k_weight, cosine, sine)
        ctx.kernels.call("split_heads_backward", qkv.dtype, *tensors, dqkv, partial, *ctx.sizes)
        d_weights = (None, None) if q_weight is None else partial.sum(0).unbind(0)
        return dqkv, *d_weights, None, None, None, None, None


class _CausalAttention(Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, starts: Tensor | None, shared: Tensor | None, kernels: Kernels
    ) -> Tensor:
        batch, heads, time, dim = q.shape
        q, k, v = (x.reshape(batch * heads, time, dim) for x in (q, k, v))
        out, probs = torch.empty_like(q), []
        starts, shared = (None if x is None else x.contiguous() for x in (starts, shared))
        for first, last in _query_blocks(time):
            p = torch.bmm(q[:, first:last], k[:, :last].transpose(1, 2))  # (B H, block, last)
            sizes = (p.size(0), heads, time, last - first, last, dim**-0.5)
            kernels.call("causal_softmax_forward", q.dtype, p, starts, shared, *sizes)
            torch.bmm(p, v[:, :last], out=out[:, first:last])
            probs.append(p)
        ctx.save_for_backward(q, k, v, *probs)
        ctx.shape, ctx.kernels = (batch, heads, time, dim), kernels
        return out.view(ctx.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        q, k, v, *probs = ctx.saved_tensors
        batch, heads, time, dim = ctx.shape
        grad = grad.reshape(batch * heads, time, dim)
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        for (first, last), p in reversed(list(zip(_query_blocks(time), probs, strict=True))):
            g, queries = grad[:, first:last], q[:, first:last]
            ds = torch.bmm(g, v[:, :last].transpose(1, 2))
            ctx.kernels.call("causal_softmax_backward", q.dtype, ds, p, p.size(0), last - first, last, dim**-0.5)
            torch.bmm(ds, k[:, :last], out=dq[:, first:last])
            for total, weights, rows in ((dv, p, g), (dk, ds, queries)):
                if last == time:  # the first block that comes by sees all keys
                    torch.bmm(weights.transpose(1, 2), rows, out=total)
                else:
                    total[:, :last].baddbmm_(weights.transpose(1, 2), rows)
        return dq.view(ctx.shape), dk.view(ctx.shape), dv.view(ctx.shape), None, None, None


def _suits_unit(q: Tensor) -> bool:
    return q.dtype == torch.bfloat16 and q.size(3) % 32 == 0 and q.size(2) <= _UNIT_TIME


class _UnitAttention(Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, starts: Tensor | None, shared: Tensor | None, kernels: Kernels
    ) -> Tensor:
        batch, heads, time, dim = q.shape
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        starts, shared = (None if x is None else x.contiguous() for x in (starts, shared))
        out, logs = q.new_empty(batch, time, heads, dim), q.new_empty(batch, heads, time, dtype=torch.float32)
        sizes = (batch, heads, time, dim, dim**-0.5)
        kernels.call("attention_forward", q.dtype, q, k, v, starts, shared, out, logs, *sizes)
        ctx.save_for_backward(q, k, v, out, logs, starts, shared)
        ctx.sizes, ctx.kernels = sizes, kernels
        return out.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        q, k, v, out, logs, starts, shared = ctx.saved_tensors
        grads = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        tensors = (grad.transpose(1, 2).contiguous(), q, k, v, out, logs, starts, shared, *grads)
        ctx.kernels.call("attention_backward", q.dtype, *tensors, *ctx.sizes)
        return *grads, None, None, None


def _query_blocks(time: int) -> list[tuple[int, int]]:
    """Stretches of queries, each with the keys up to its end: what lies above the diagonal is mostly left out."""
    count = -(-time // _QUERY_BLOCK)
    edges = [time * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


class _SwiGLU(Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor, kernels: Kernels) -> Tensor:
        gate_up = gate_up.contiguous()
        width = gate_up.size(-1) // 2
        out = gate_up.new_empty(*gate_up.shape[:-1], width)
        kernels.call("swiglu_forward", gate_up.dtype, gate_up, out, out.numel() // width, width)
        ctx.save_for_backward(gate_up)
        ctx.kernels = kernels
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        (gate_up,) = ctx.saved_tensors
        d_gate_up, width = torch.empty_like(gate_up), gate_up.size(-1) // 2
        rows = gate_up.numel() // (2 * width)
        ctx.kernels.call("swiglu_backward", gate_up.dtype, grad.contiguous(), gate_up, d_gate_up, rows, width)
        return d_gate_up, None


def _apply(function: type[Function], *arguments: Any) -> Any:
    return function.apply(*arguments)
