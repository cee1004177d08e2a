"""A transformer repacked for decoding: fused projections, a key-value cache, and one step for the whole batch.

On a processor a row's logits do not depend on the rows beside it, to the last bit: matrix products get at least
`_MIN_ROWS` rows (with fewer, the libraries change to kernels that add in another order), each row's positions start at
0 of the cache, and what lies behind its end is masked to exact zeros.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from danlu.model.config import ModelConfig

if TYPE_CHECKING:
    from danlu.model.transformer import Transformer

# Below 8 rows the processor's matrix kernels sum in another order (seen with oneDNN and MKL on AVX-512, 1 to 7 rows).
_MIN_ROWS = 8
# The cache grows by this many positions. Its tensors stay contiguous: batched products over a strided slice of a larger
# cache take twice as long, which costs more than a copy every 32 steps.
_BLOCK = 32
# Prompts are read in groups of about this many tokens, so that long ones do not fill the memory with activations.
_PREFILL_TOKENS = 16384

_Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Cache:
    """Keys and values of every layer for a batch of rows, each row filled from position 0."""

    def __init__(self, config: ModelConfig, rows: int, length: int, dtype: torch.dtype, device: torch.device) -> None:
        heads, head_dim = config.num_key_value_heads, config.head_dim
        capacity = -(-length // _BLOCK) * _BLOCK
        layers = range(config.num_hidden_layers)
        self.rows, self.capacity = rows, capacity
        # Keys lie transposed: scores are then a product of two matrices that are read along their rows.
        self.keys = [torch.zeros(rows, heads, head_dim, capacity, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(rows, heads, capacity, head_dim, dtype=dtype, device=device) for _ in layers]
        # Added to the scores: 0 at positions that a row has filled, -inf behind its end.
        self.bias = torch.full((rows, heads, capacity), -torch.inf, dtype=dtype, device=device)

    def fill(self, lengths: Tensor) -> None:
        """Open the first `lengths` positions (rows,) of each row to attention."""
        inside = torch.arange(self.capacity, device=lengths.device) < lengths[:, None]
        self.bias.masked_fill_(inside[:, None], 0.0)

    def reserve(self, length: int) -> None:
        """Make room for `length` positions a row."""
        extra = -(-(length - self.capacity) // _BLOCK) * _BLOCK
        if extra <= 0:
            return
        self.capacity += extra
        self.bias = F.pad(self.bias, (0, extra), value=-torch.inf)
        for layer in range(len(self.keys)):
            self.keys[layer] = F.pad(self.keys[layer], (0, extra))
            self.values[layer] = F.pad(self.values[layer], (0, 0, 0, extra))

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these (indices)."""
        self.rows = len(rows)
        self.bias = self.bias[rows]
        for layer in range(len(self.keys)):
            self.keys[layer] = self.keys[layer][rows]
            self.values[layer] = self.values[layer][rows]


@dataclass(frozen=True)
class _Block:
    """Weights of one block, those that read the same input joined into one matrix."""

    input_norm: Tensor
    qkv: Tensor  # (q + 2 kv sizes, hidden)
    qkv_bias: Tensor | None
    qk_norm: Tensor | None  # (query + key heads, head_dim), fp32
    output: Tensor
    middle_norm: Tensor
    gate_up: Tensor  # (2 intermediate, hidden)
    down: Tensor


class Decoder:
    """Weights of a transformer, repacked once, and the two passes that generation makes: `prefill` and `step`.

    Args:
        config: the shape.
        state_dict: tensors under the names of `transformers`' Qwen3ForCausalLM.
        dtype: format of the arithmetic and of the cache; None keeps that of the weights.
    """

    def __init__(self, config: ModelConfig, state_dict: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
        table = state_dict["model.embed_tokens.weight"]
        self.config = config
        self.dtype = dtype or table.dtype
        self.device = table.device
        self.embedding = self._take(table)
        self.norm = self._take(state_dict["model.norm.weight"])
        self.head = self.embedding if config.tie_word_embeddings else self._take(state_dict["lm_head.weight"])
        self.blocks = [self._pack(state_dict, f"model.layers.{i}.") for i in range(config.num_hidden_layers)]
        half = torch.arange(0, config.head_dim, 2, device=self.device, dtype=torch.float32) / config.head_dim
        positions = torch.arange(config.max_position_embeddings, device=self.device, dtype=torch.float32)
        angles = positions[:, None] * (1.0 / config.rope_theta**half)
        self._cos = torch.cat((angles.cos(), angles.cos()), dim=-1)[:, None]  # (positions, 1, head_dim)
        self._sin = torch.cat((-angles.sin(), angles.sin()), dim=-1)[:, None]

    @classmethod
    def from_model(cls, model: "Transformer", dtype: torch.dtype | None = None) -> "Decoder":
        """Repack a model's weights as they are now."""
        return cls(model.config, model.state_dict(), dtype)

    def _take(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self.dtype).contiguous()

    def _pack(self, state: Mapping[str, Tensor], prefix: str) -> _Block:
        config = self.config

        def joined(part: str, names: tuple[str, ...], kind: str = "weight") -> Tensor:
            return self._take(torch.cat([state[f"{prefix}{part}.{name}_proj.{kind}"] for name in names]))

        qk_norm = None
        if config.qk_norm:
            query, key = (state[f"{prefix}self_attn.{name}_norm.weight"].detach().float() for name in "qk")
            qk_norm = torch.cat(
                (query.expand(config.num_attention_heads, -1), key.expand(config.num_key_value_heads, -1))
            )
        return _Block(
            input_norm=self._take(state[f"{prefix}input_layernorm.weight"]),
            qkv=joined("self_attn", ("q", "k", "v")),
            qkv_bias=joined("self_attn", ("q", "k", "v"), "bias") if config.attention_bias else None,
            qk_norm=qk_norm,
            output=self._take(state[f"{prefix}self_attn.o_proj.weight"]),
            middle_norm=self._take(state[f"{prefix}post_attention_layernorm.weight"]),
            gate_up=joined("mlp", ("gate", "up")),
            down=self._take(state[f"{prefix}mlp.down_proj.weight"]),
        )

    @torch.inference_mode()
    def prefill(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Cache]:
        """Read prompts of different lengths.

        Args:
            tokens: (B, P) int64, each row's prompt from the left; what stands behind its end is not looked at.
            lengths: (B,) int64, each at least 1.

        Returns:
            The logits behind each prompt's last token, (B, V) fp32, and the filled cache.
        """
        rows, width = tokens.shape
        cache = Cache(self.config, rows, width, self.dtype, self.device)
        group = max(1, _PREFILL_TOKENS // width)
        last = torch.cat([self._read(tokens[i : i + group], i, cache, lengths) for i in range(0, rows, group)])
        cache.fill(lengths)
        return self._logits(last), cache

    def _read(self, tokens: Tensor, first: int, cache: Cache, lengths: Tensor) -> Tensor:
        """Hidden states (rows, hidden) behind the last tokens of prompts that are rows `first`... of the cache."""
        rows, width = tokens.shape
        last = slice(first, first + rows)

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            query, key, value = (
                part.view(rows, width, -1, part.shape[-1]).transpose(1, 2) for part in (query, key, value)
            )
            cache.keys[layer][last, :, :, :width] = key.transpose(2, 3)
            cache.values[layer][last, :, :width] = value
            mixed = F.scaled_dot_product_attention(
                query, key, value, is_causal=True, enable_gqa=query.shape[1] != key.shape[1]
            )
            return mixed.transpose(1, 2).reshape(rows * width, -1)

        positions = torch.arange(width, device=self.device).repeat(rows)
        hidden = self._hidden(tokens.reshape(-1), positions, attend)
        ends = torch.arange(rows, device=self.device) * width + lengths[last] - 1
        return hidden[ends]

    @torch.inference_mode()
    def step(self, tokens: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        """Add one token to each row.

        Args:
            tokens: (B,) int64.
            positions: (B,) int64, where each token stands in its row: the length of the row so far.
            cache: is changed; must have room (`Cache.reserve`).

        Returns:
            The logits behind each token, (B, V) fp32.
        """
        config = self.config
        rows, kv_heads, head_dim = cache.rows, config.num_key_value_heads, config.head_dim
        every = torch.arange(rows, device=self.device)
        cache.bias[every, :, positions] = 0.0
        bias = cache.bias.view(rows * kv_heads, 1, cache.capacity)
        scale = head_dim**-0.5

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys, values = cache.keys[layer], cache.values[layer]
            keys[every, :, :, positions] = key
            values[every, :, positions] = value
            query = query.reshape(rows * kv_heads, -1, head_dim)
            scores = torch.baddbmm(bias, query, keys.view(-1, head_dim, cache.capacity), alpha=scale)
            mixed = torch.bmm(scores.softmax(-1), values.view(-1, cache.capacity, head_dim))
            return mixed.view(rows, -1)

        return self._logits(self._hidden(tokens, positions, attend))

    def _hidden(self, tokens: Tensor, positions: Tensor, attend: _Attend) -> Tensor:
        """The blocks over (T,) tokens; `attend` takes a layer and (T, heads, head_dim) parts and returns (T, q size)."""
        config, eps = self.config, self.config.rms_norm_eps
        count, heads, kv_heads = len(tokens), config.num_attention_heads, config.num_key_value_heads
        width = (config.hidden_size,)
        spare = max(0, _MIN_ROWS - count)
        cos, sin = self._cos[positions], self._sin[positions]
        x = F.embedding(F.pad(tokens, (0, spare)), self.embedding)  # (T + spare, hidden)
        for layer, block in enumerate(self.blocks):
            joined = F.linear(F.rms_norm(x, width, block.input_norm, eps), block.qkv, block.qkv_bias)
            joined = joined[:count].view(count, heads + 2 * kv_heads, config.head_dim)
            turned = joined[:, : heads + kv_heads].float()
            if block.qk_norm is not None:
                turned = F.rms_norm(turned, (config.head_dim,), None, eps) * block.qk_norm
            turned = torch.addcmul(turned * cos, turned.roll(config.head_dim // 2, -1), sin).to(self.dtype)
            mixed = attend(layer, turned[:, :heads], turned[:, heads:], joined[:, heads + kv_heads :])
            x = x + F.linear(F.pad(mixed, (0, 0, 0, spare)) if spare else mixed, block.output)
            gate, up = F.linear(F.rms_norm(x, width, block.middle_norm, eps), block.gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate).mul_(up), block.down)
        return x[:count]

    def _logits(self, hidden: Tensor) -> Tensor:
        rows = len(hidden)
        hidden = F.rms_norm(hidden, (self.config.hidden_size,), self.norm, self.config.rms_norm_eps)
        padded = F.pad(hidden, (0, 0, 0, max(0, _MIN_ROWS - rows)))
        return F.linear(padded, self.head)[:rows].float()
