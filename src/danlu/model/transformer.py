"""The decoder-only transformer in Qwen3's layout. Its state dict has the keys of `transformers`' Qwen3ForCausalLM."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danlu.model.config import ModelConfig
from danlu.model.fresh import draw
from danlu.model.ops import (
    causal_attention,
    linear,
    linear_cross_entropy,
    rms_norm,
    segment_starts,
    split_heads,
    swiglu,
    token_logprobs,
    token_losses,
)

_ROWS = 64
"""Rows of logits come in multiples of so many on a processor."""


class RMSNorm(nn.Module):
    """Root-mean-square norm with a learned scale."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class Attention(nn.Module):
    """Causal self-attention with grouped keys and values, rotary positions and, in Qwen3, QK-norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, bias = config.hidden_size, config.attention_bias
        self.q_proj = nn.Linear(width, config.q_size, bias=bias)
        self.k_proj = nn.Linear(width, config.kv_size, bias=bias)
        self.v_proj = nn.Linear(width, config.kv_size, bias=bias)
        self.o_proj = nn.Linear(config.q_size, width, bias=False)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else None
        self.num_heads = (config.num_attention_heads, config.num_key_value_heads)
        self.eps = config.rms_norm_eps

    def forward(
        self, x: Tensor, cosine: Tensor, sine: Tensor, starts: Tensor | None = None, shared: Tensor | None = None
    ) -> Tensor:
        projections = (self.q_proj, self.k_proj, self.v_proj)
        bias = None if self.q_proj.bias is None else torch.cat([p.bias for p in projections]).to(x.dtype)
        qkv = linear(x, torch.cat([p.weight.to(x.dtype) for p in projections]), bias)  # (B, T, (H + 2K) Dh)
        q_weight = None if self.q_norm is None else self.q_norm.weight
        k_weight = None if self.k_norm is None else self.k_norm.weight
        q, k, v = split_heads(qkv, q_weight, k_weight, cosine, sine, self.num_heads, self.eps)  # (B, H, T, Dh)
        mixed = causal_attention(q, k, v, starts, shared).transpose(1, 2).flatten(2)  # (B, T, H Dh)
        return linear(mixed, self.o_proj.weight.to(x.dtype))


class MLP(nn.Module):
    """SwiGLU feed-forward block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate_up = linear(x, torch.cat([self.gate_proj.weight.to(x.dtype), self.up_proj.weight.to(x.dtype)]))
        return linear(swiglu(gate_up), self.down_proj.weight.to(x.dtype))


class Block(nn.Module):
    """One pre-norm layer: attention, then the feed-forward block, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, cosine: Tensor, sine: Tensor, starts: Tensor | None = None, shared: Tensor | None = None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine, starts, shared)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, blocks and the last norm: token ids to hidden states."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Backbone(nn.Module):
    """A decoder from token ids to hidden states; what heads are put upon.

    Weights are kept in fp32 (the optimizer's master copy) and cast to `compute_dtype` where they enter a product, so
    that gradients and updates are fp32 whatever the arithmetic is.

    Methods that read tokens (B, T) take two optional tensors, so that padding and packing change nothing for a text:

    - positions (B, T): where each token stands in its text; None: 0, 1, 2, ... in every row.
    - segments (B, T): the number of the text that each token belongs to, -1 for padding; tokens of a text stand
      together and see each other only. None: a row is one text.

    `positions_of` gives the positions that belong to some segments.

    Args:
        config: the shape.
        compute_dtype: dtype of activations and matrix products.
    """

    def __init__(self, config: ModelConfig, compute_dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.model = Decoder(config)
        self.fuse = False
        """Whether the passes over logits are compiled, and generation's between its products."""

    def compile_parts(self) -> None:
        """Have the blocks and the passes over logits compiled at their first use; one block's code serves all."""
        for layer in self.model.layers:
            layer.compile()
        self.fuse = True

    def hidden(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        shared: Tensor | None = None,
    ) -> Tensor:
        """Token ids (B, T) to the last hidden states (B, T, D), in the compute dtype.

        Args:
            shared: (B, T, 2) int64, beside segments: what a token sees of the row before its own text, from the first
                place up to the second; so that several continuations read their common beginning once.
        """
        cosine, sine = self.rotary(tokens.size(1) if positions is None else positions, tokens.device)
        starts = None if segments is None else segment_starts(segments)
        x = F.embedding(tokens, self.model.embed_tokens.weight).to(self.compute_dtype)  # (B, T, D)
        for layer in self.model.layers:
            x = layer(x, cosine, sine, starts, shared)
        normed: Tensor = self.model.norm(x)
        return normed

    def rotary(self, positions: int | Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary angles, fp32: (T, Dh / 2) for positions 0 to T - 1, else (B, T, Dh / 2)."""
        half = self.config.head_dim // 2
        frequency = self.config.rope_theta ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
        if isinstance(positions, int):
            positions = torch.arange(positions, device=device)
        angle = positions.to(torch.float32)[..., None] * frequency
        return angle.cos(), angle.sin()


def positions_of(segments: Tensor) -> Tensor:
    """Positions (B, T) that begin at 0 in each text of `segments` (B, T)."""
    return torch.arange(segments.size(1), device=segments.device) - segment_starts(segments)


def _places(counts: Tensor) -> tuple[Tensor, int]:
    """Where `counts` (M,) is true, and how often; on a processor the first place again and again up to a multiple of
    64, since it prepares every product of a new shape for about a millisecond."""
    places = counts.nonzero()[:, 0]
    count = len(places)
    if count and counts.device.type == "cpu":
        places = torch.cat([places, places[:1].expand(-count % _ROWS)])
    return places, count


class Transformer(Backbone):
    """The language model: a backbone with a table that turns hidden states into logits."""

    def __init__(self, config: ModelConfig, compute_dtype: torch.dtype = torch.float32) -> None:
        super().__init__(config, compute_dtype)
        self.lm_head = (
            None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        )

    def initialize(self, generator: torch.Generator, *, induction: bool = False) -> None:
        """Draw fresh weights; see `fresh.draw`."""
        draw(self, generator, induction)

    @property
    def head_weight(self) -> Tensor:
        """The output table (V, D)."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def forward(self, tokens: Tensor, positions: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """Token ids (B, T) to logits (B, T, V), fp32."""
        hidden = self.hidden(tokens, positions, segments)
        return F.linear(hidden, self.head_weight.to(hidden.dtype)).float()

    def loss(
        self, tokens: Tensor, targets: Tensor, positions: Tensor | None = None, segments: Tensor | None = None
    ) -> Tensor:
        """Sum of the losses (nats) of `targets` (B, T), given `tokens` (B, T); negative targets do not count."""
        hidden, wanted = self.hidden(tokens, positions, segments).flatten(0, 1), targets.flatten()
        if tokens.device.type == "cpu" and not (counts := wanted >= 0).all():
            places, count = _places(counts)  # elsewhere, waiting for their number costs more
            hidden, wanted = hidden[places], wanted[places]
            wanted[count:] = -1
        return linear_cross_entropy(hidden, self.head_weight, wanted, fuse=self.fuse)

    def token_losses(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The loss (nats) of each target (B, T), without gradient."""
        with torch.no_grad():
            hidden = self.hidden(tokens).flatten(0, 1)
            flat = token_losses(hidden, self.head_weight, targets.flatten(), fuse=self.fuse)
        return flat.view_as(targets)

    def token_logprobs(
        self,
        tokens: Tensor,
        targets: Tensor,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        *,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Log-probability of each target (B, T), with gradient, and the entropy of the distribution it is drawn from.

        Both in nats, of softmax(logits / temperature), fp32, (B, T); zero where the target is negative. The entropies
        carry no gradient.
        """
        hidden, wanted = self.hidden(tokens, positions, segments).flatten(0, 1), targets.flatten()
        places, count = _places(wanted >= 0)
        found = token_logprobs(
            hidden[places], self.head_weight, wanted[places], temperature=temperature, fuse=self.fuse
        )
        logprobs, entropies = (
            hidden.new_zeros(wanted.shape, dtype=torch.float32).index_put((places[:count],), x[:count]) for x in found
        )
        return logprobs.view_as(targets), entropies.view_as(targets)
