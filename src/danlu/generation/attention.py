"""Attention of one new token a row over a key-value cache: a fused pass on the processor, plain PyTorch elsewhere."""

import torch
import torch.nn.functional as F
from torch import Tensor

from danlu.model.ops import kernels_for


def attend(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
    """Write each row's new key and value into its cache, then attend to all that the row holds.

    Args:
        query: (H, B, Dh).
        key, value: (K, B, Dh); K divides H.
        keys, values: the cache, (B, K, capacity, Dh), filled from position 0; changed in place.
        positions: (B,) int64, where the new token stands in its row.

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
    return attend_plainly(query, key, value, keys, values, positions)


def attend_plainly(
    query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, positions: Tensor
) -> Tensor:
    """The definition of `attend`, on any device."""
    rows = torch.arange(query.shape[1], device=query.device)
    keys[rows, :, positions] = key.transpose(0, 1)
    values[rows, :, positions] = value.transpose(0, 1)
    longest = int(positions.max()) + 1
    inside = torch.arange(longest, device=query.device) <= positions[:, None]
    mixed = F.scaled_dot_product_attention(
        query.transpose(0, 1)[:, :, None],
        keys[:, :, :longest],
        values[:, :, :longest],
        attn_mask=inside[:, None, None],
        enable_gqa=len(query) != len(key),
    )
    return mixed.flatten(1)
