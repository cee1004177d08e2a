"""Attention of one new token a row over a key-value cache: a fused pass on the processor, plain PyTorch elsewhere."""

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from danlu.model.ops import kernels_for

BLOCK = 32
"""The capacity of a cache is a multiple of this (positions)."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, positions: Tensor, longest: int
) -> Tensor:
    """Write each row's new key and value into its cache, then attend to all that the row holds.

    Args:
        query: (H, B, Dh).
        key, value: (K, B, Dh); K divides H.
        keys, values: the cache, (B, K, capacity, Dh), filled from position 0; changed in place.
        positions: (B,) int64, where the new token stands in its row.
        longest: the largest position.

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
    every = torch.arange(rows, device=query.device)
    keys[every, :, positions] = key.transpose(0, 1)
    values[every, :, positions] = value.transpose(0, 1)
    read = min(capacity, (longest // BLOCK + 1) * BLOCK)
    inside = torch.arange(read, device=query.device) <= positions[:, None]
    # The queries that share a key stand as positions of one head. Not the processor's tiled kernel: the order of its
    # sums follows from the length of the longest row.
    grouped = query.transpose(0, 1).reshape(rows, kv_heads, heads // kv_heads, head_dim)
    with sdpa_kernel(SDPBackend.MATH) if query.device.type == "cpu" else contextlib.nullcontext():
        mixed = F.scaled_dot_product_attention(
            grouped, keys[:, :, :read], values[:, :, :read], attn_mask=inside[:, None, None]
        )
    return mixed.flatten(1)
