"""The decoder-only transformer in Qwen3's layout. Its state dict has the keys of `transformers`' Qwen3ForCausalLM."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from danlu.model.config import ModelConfig
from danlu.model.ops import causal_attention, linear_cross_entropy, rms_norm, split_heads, swiglu, token_losses


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

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        projections = (self.q_proj, self.k_proj, self.v_proj)
        bias = None if self.q_proj.bias is None else torch.cat([p.bias for p in projections]).to(x.dtype)
        qkv = F.linear(x, torch.cat([p.weight.to(x.dtype) for p in projections]), bias)  # (B, T, (H + 2K) Dh)
        q_weight = None if self.q_norm is None else self.q_norm.weight
        k_weight = None if self.k_norm is None else self.k_norm.weight
        q, k, v = split_heads(qkv, q_weight, k_weight, cosine, sine, self.num_heads, self.eps)  # (B, H, T, Dh)
        mixed = causal_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, T, H Dh)
        return F.linear(mixed, self.o_proj.weight.to(x.dtype))


class MLP(nn.Module):
    """SwiGLU feed-forward block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate_up = F.linear(x, torch.cat([self.gate_proj.weight.to(x.dtype), self.up_proj.weight.to(x.dtype)]))
        return F.linear(swiglu(gate_up), self.down_proj.weight.to(x.dtype))


class Block(nn.Module):
    """One pre-norm layer: attention, then the feed-forward block, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, blocks and the last norm: token ids to hidden states."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Transformer(nn.Module):
    """The language model.

    Weights are kept in fp32 (the optimizer's master copy) and cast to `compute_dtype` where they enter a product, so
    that gradients and updates are fp32 whatever the arithmetic is.

    Args:
        config: the shape.
        compute_dtype: dtype of activations and matrix products.
    """

    def __init__(self, config: ModelConfig, compute_dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.model = Decoder(config)
        self.lm_head = (
            None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        )

    def initialize(self, generator: torch.Generator) -> None:
        """Draw fresh weights.

        Matrices are normal with standard deviation 1/sqrt(fan in); those that write to the residual stream are zero,
        so that every block starts as the identity (Zhang et al. 2019, "Fixup"; modded-nanogpt). The table is normal
        with 0.02: tied logits then start near zero.
        """
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.ones_(parameter)
            elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                nn.init.zeros_(parameter)
            else:
                std = 0.02 if "embed_tokens" in name else 1 / math.sqrt(parameter.size(1))
                nn.init.normal_(parameter, std=std, generator=generator)

    @property
    def head_weight(self) -> Tensor:
        """The output table (V, D)."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def hidden(self, tokens: Tensor) -> Tensor:
        """Token ids (B, T) to the last hidden states (B, T, D), in the compute dtype."""
        cosine, sine = self.rotary(tokens.size(1), tokens.device)
        x = F.embedding(tokens, self.model.embed_tokens.weight).to(self.compute_dtype)  # (B, T, D)
        for layer in self.model.layers:
            x = layer(x, cosine, sine)
        normed: Tensor = self.model.norm(x)
        return normed

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (B, T) to logits (B, T, V), fp32."""
        hidden = self.hidden(tokens)
        return F.linear(hidden, self.head_weight.to(hidden.dtype)).float()

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Sum of the losses (nats) of `targets` (B, T), given `tokens` (B, T); negative targets do not count."""
        return linear_cross_entropy(self.hidden(tokens).flatten(0, 1), self.head_weight, targets.flatten())

    def token_losses(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The loss (nats) of each target (B, T), without gradient."""
        with torch.no_grad():
            flat = token_losses(self.hidden(tokens).flatten(0, 1), self.head_weight, targets.flatten())
        return flat.view_as(targets)

    def rotary(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the rotary angles, each (T, Dh / 2), fp32."""
        half = self.config.head_dim // 2
        frequency = self.config.rope_theta ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
        angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * frequency  # (T, Dh / 2)
        return angle.cos(), angle.sin()
