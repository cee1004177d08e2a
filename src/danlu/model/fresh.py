"""Fresh weights: what a model is before its first step."""

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from danlu.model.config import ModelConfig

if TYPE_CHECKING:
    from danlu.model.transformer import Attention, Block, Transformer

_CONSTANT = 1.0
"""What every token's embedding has in its first place."""
_GAIN = 2.0
"""Of the first layer's QK-norm, where its heads by place look: their scores then differ enough to be sharp."""
_SLOWEST = 0.15
"""The slowest rotary frequency (radians a place) that tells neighbouring places apart."""
_WRITTEN = 10.0
"""How strongly they write: well above the embeddings, which are small at first."""


def draw(model: "Transformer", generator: torch.Generator, induction: bool) -> None:
    """Draw fresh weights in place.

    Matrices are normal with standard deviation 1/sqrt(fan in); those that write to the residual stream are zero, so
    that every block starts as the identity (Zhang et al. 2019, "Fixup"; modded-nanogpt). The table is normal with 0.02:
    tied logits then start near zero.

    Args:
        induction: let three heads begin as the circuit that copies (`_induction`), where the shape has room for it.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.ones_(parameter)
        elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
            nn.init.zeros_(parameter)
        else:
            std = 0.02 if "embed_tokens" in name else 1 / math.sqrt(parameter.size(1))
            nn.init.normal_(parameter, std=std, generator=generator)
    if induction and has_room(model.config):
        _induction(model, generator)


def has_room(config: ModelConfig) -> bool:
    """Whether a shape has what the circuit that copies takes: two layers, two heads with keys of their own, QK-norm,
    and rotary pairs both fast and slow."""
    heads = config.qk_norm and config.num_key_value_heads >= 2 and config.head_dim // 2 > _fast_pairs(config)
    return heads and config.num_hidden_layers >= 2 and config.hidden_size >= 8


@torch.no_grad()
def _induction(model: "Transformer", generator: torch.Generator) -> None:
    """Let a model begin as one that is ready to copy: what followed a token before is likely to follow it again.

    Two heads of the first layer write, into two subspaces of the residual stream, which token stands here and which
    stood before; a head of the second looks where the token before is the one that stands here (the circuit that Olsson
    et al. 2022 found in trained models, "In-context Learning and Induction Heads"). What it writes is left to training:
    zero at first, as elsewhere. By itself a small model finds all this after a million tokens or so, and its loss falls
    anew then: later than a ladder of small runs ends, sooner than its target does (NOTES.md). That weights may begin as
    what training would make of them is from Trockman and Kolter 2023 ("Mimetic Initialization").
    """
    config = model.config
    first, second = (cast("Block", layer).self_attn for layer in model.model.layers[:2])
    width, rank = config.hidden_size, min(config.head_dim, (config.hidden_size - 1) // 2)
    model.model.embed_tokens.weight[:, 0] = _CONSTANT  # a token's share of the logits in common changes nothing

    def orthonormal(rows: int, columns: int) -> Tensor:
        """Orthonormal rows."""
        return torch.linalg.qr(torch.randn(columns, rows, generator=generator))[0].T

    reads = torch.zeros(rank, width)  # what of an embedding is carried on
    reads[:, 1:] = orthonormal(rank, width - 1)
    here, before = torch.zeros(2, rank, width).unbind()  # where in the stream it is written
    here[:, 1:], before[:, 1:] = orthonormal(2 * rank, width - 1).split(rank)

    for places, (cosine, sine) in enumerate(zip(*model.rotary(2, reads.device), strict=True)):
        _look_back(first, config, places, cosine, sine)
    for head, written in enumerate((here, before)):
        _pass_on(first, config, head, reads, _WRITTEN * written)

    # The slow rotary pairs carry the match, so that it hardly depends on the distance.
    half = config.head_dim // 2
    pairs = torch.arange(half)[-min(rank // 2, half - _fast_pairs(config)) :]
    slow = torch.cat([pairs, half + pairs])
    compared = orthonormal(len(slow), rank)
    queries, keys = _rows(config, 0)
    second.q_proj.weight[queries], second.k_proj.weight[keys] = 0.0, 0.0
    second.q_proj.weight[queries.start + slow] = compared @ here
    second.k_proj.weight[keys.start + slow] = compared @ before


def _fast_pairs(config: ModelConfig) -> int:
    """Rotary pairs that tell neighbouring places apart."""
    half = config.head_dim // 2
    return sum(config.rope_theta ** (-i / half) > _SLOWEST for i in range(half))


def _rows(config: ModelConfig, head: int) -> tuple[slice, slice]:
    """The rows of the query projection that belong to the first query head of a key-value head, and of the key's (and
    value's) that belong to that."""
    groups, size = config.num_attention_heads // config.num_key_value_heads, config.head_dim
    return slice(head * groups * size, (head * groups + 1) * size), slice(head * size, (head + 1) * size)


def _look_back(attention: "Attention", config: ModelConfig, head: int, cosine: Tensor, sine: Tensor) -> None:
    """Let a head look some places back, whatever stands there: query and key are constant vectors, the query turned
    back by the rotary angles of so many places (their cosines and sines), and the product is largest there."""
    half, fast = config.head_dim // 2, _fast_pairs(config)
    queries, keys = _rows(config, head)
    for projection, rows in ((attention.q_proj, queries), (attention.k_proj, keys)):
        projection.weight[rows] = 0.0
    attention.q_proj.weight[queries, 0][:fast] = cosine[:fast]
    attention.q_proj.weight[queries, 0][half : half + fast] = -sine[:fast]
    attention.k_proj.weight[keys, 0][:fast] = 1.0
    for norm in (attention.q_norm, attention.k_norm):
        assert norm is not None
        norm.weight[:fast], norm.weight[half : half + fast] = _GAIN, _GAIN


def _pass_on(attention: "Attention", config: ModelConfig, head: int, read: Tensor, written: Tensor) -> None:
    """Let a head write what it reads: `read` and `written` are (R, width), R at most the head's size."""
    queries, values = _rows(config, head)
    attention.v_proj.weight[values] = 0.0
    attention.v_proj.weight[values][: len(read)] = read
    attention.o_proj.weight[:, queries][:, : len(written)] = written.T
