"""Attention of one new token a row over a key-value cache: a fused pass on the processor, plain PyTorch elsewhere."""

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from danlu.model.ops import compiled, kernels_for

BLOCK = 32
"""The capacity of a cache is a multiple of this (positions)."""


def visible(positions: Tensor, keys: Tensor, longest: int) -> Tensor | None:
    """What each row's new token sees of its cache, to be added to the scores: (B, 1, 1, positions read), 0 or -inf.

    None where a fused pass sees to that.

    Args:
        positions: (B,) int64, where the new token stands in its row.
        keys: a layer's cache.
        longest: no position is larger.
    """
    if kernels_for(keys):
        return None
    read = min(keys.shape[2], (longest // BLOCK + 1) * BLOCK)
    inside = torch.arange(read, device=keys.device) <= positions[:, None]
    return torch.where(inside, 0.0, -torch.inf).to(keys.dtype)[:, None, None]


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    keys: Tensor,
    values: Tensor,
    positions: Tensor,
    seen: Tensor | None,
    *,
    fuse: bool = False,
) -> Tensor:
    """Write each row's new key and value into its cache, then attend to all that the row holds.

    Args:
        query: (H, B, Dh).
        key, value: (K, B, Dh); K divides H.
        keys, values: the cache, (B, K, capacity, Dh), filled from position 0; changed in place.
        positions: (B,) int64, where the new token stands in its row.
        seen: from `visible`.
        fuse: compile the writing.

    Returns:
        (B, H * Dh).
    """
    heads, rows, head_dim = query.shape
    kv_heads, capacity = keys.shape[1:3]
    if kernels := kernels_for(query):
        out = torch.empty(rows, heads * head_dim, dtype=query.dtype)
        tensors = (query.contiguous(), key.contiguous(), value.contiguous(), keys, values, positions, out)
        kernels.call("attend", query.dtype, *tensors, rows, heads, kv_heads, capacity, head_dim)
        return out
    assert seen is not None
    (compiled(_write) if fuse else _write)(keys, values, key, value, positions)
    # The queries that share a key stand as positions of one head. Not the processor's tiled kernel: the order of its
    # sums follows from the length of the longest row.
    grouped = query.transpose(0, 1).reshape(rows, kv_heads, heads // kv_heads, head_dim)
    read = seen.shape[3]
    with sdpa_kernel(SDPBackend.MATH) if query.device.type == "cpu" else contextlib.nullcontext():
        mixed = F.scaled_dot_product_attention(grouped, keys[:, :, :read], values[:, :, :read], attn_mask=seen)
    return mixed.flatten(1)


def _write(keys: Tensor, values: Tensor, key: Tensor, value: Tensor, positions: Tensor) -> None:
    """Put keys and values (K, B, Dh) to their positions (B,) of the cache (B, K, capacity, Dh)."""
    every = torch.arange(len(positions), device=keys.device)
    keys[every, :, positions] = key.transpose(0, 1)
    values[every, :, positions] = value.transpose(0, 1)
