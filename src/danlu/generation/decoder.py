"""A transformer repacked for decoding: fused projections, a key-value cache, and one step for the whole batch.

On a processor a row's logits do not depend on the rows beside it, to the last bit: matrix products get at least
`_MIN_ROWS` rows (with fewer, the libraries change to kernels that add in another order), a prompt is read at a width
that follows from its own length, and attention reads what the row holds and no more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from danlu.generation.attention import BLOCK, attend, visible
from danlu.model.config import ModelConfig
from danlu.model.ops import compiled, rms_norm, split_heads, swiglu
from danlu.model.transformer import Transformer

# Seen with oneDNN (bf16: 1 row differs) and MKL (fp32 on two threads: 1 to 3, 5 to 7, 9 to 11 rows differ) on AVX-512.
_MIN_ROWS = {torch.bfloat16: 2, torch.float32: 16}
# Prompts are padded to a multiple of this and read in groups of one width: the tiles of the attention kernel, and with
# them the order of its sums, follow from the width.
_WIDTH = 32
# Prompts are read in groups of at most about this many tokens, to bound the memory of the activations.
_PREFILL_TOKENS = 16384


Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass
class Cache:
    """Keys and values of every layer for a batch of rows, each row filled from position 0."""

    keys: list[Tensor]
    """A layer's keys, (rows, key-value heads, capacity, head_dim)."""
    values: list[Tensor]
    """A layer's values, of the same shape."""

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these (indices)."""
        self.keys = [layer[rows] for layer in self.keys]
        self.values = [layer[rows] for layer in self.values]


class _Linear:
    """y = x W^T + b; in bf16 on a processor the matrix is kept in the blocks that the library multiplies with.

    Otherwise it copies W into that order at every call, which for 64 rows takes about a third of the product's time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._weight, self._bias = weight, bias
        blocked = weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and _has_blocked_linear()
        self._blocked = torch.ops.mkldnn._reorder_linear_weight(weight, 64) if blocked else None

    def __call__(self, x: Tensor) -> Tensor:
        if self._blocked is None:
            return F.linear(x, self._weight, self._bias)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._blocked, self._bias, "none", [], "")
        return product


def _has_blocked_linear() -> bool:
    # What torch.compile calls for frozen weights; not public, so its absence is no error. Without AVX-512 it refuses.
    known = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
    return known and "AVX512" in torch.backends.cpu.get_cpu_capability()


@dataclass(frozen=True)
class _Block:
    """Weights of one block, those that read the same input joined into one matrix."""

    input_norm: Tensor
    qkv: _Linear
    q_norm: Tensor | None
    k_norm: Tensor | None
    output: _Linear
    middle_norm: Tensor
    gate_up: _Linear
    down: _Linear


class Decoder:
    """Weights of a transformer, repacked once, and the two passes that generation makes: `prefill` and `step`.

    Args:
        config: the shape.
        state_dict: tensors under the names of `transformers`' Qwen3ForCausalLM, all on one device.
        dtype: of the arithmetic and of the cache.
        fuse: on an accelerator, compile the passes between matrix products: steps take half the time, the first ones
            some 20 s more.
    """

    def __init__(
        self, config: ModelConfig, state_dict: Mapping[str, Tensor], dtype: torch.dtype, *, fuse: bool = False
    ) -> None:
        self.config = config
        self.dtype = dtype
        self.device = state_dict["model.embed_tokens.weight"].device
        self._min_rows = _MIN_ROWS.get(dtype, 1) if self.device.type == "cpu" else 1
        self.fuses = fuse and self.device.type != "cpu"
        """Whether the passes between matrix products are compiled."""
        self.replays = self.device.type == "cuda"
        """Whether steps are recorded and replayed."""
        self._state = state_dict
        self._embedding = self._take("model.embed_tokens.weight")
        self._norm = _own(state_dict["model.norm.weight"])
        self._head = _Linear(self._embedding if config.tie_word_embeddings else self._take("lm_head.weight"))
        self._blocks = [self._pack(f"model.layers.{layer}.") for layer in range(config.num_hidden_layers)]
        del self._state
        half = config.head_dim // 2
        frequency = config.rope_theta ** (-torch.arange(half, device=self.device, dtype=torch.float32) / half)
        angle = torch.arange(config.max_position_embeddings, device=self.device)[:, None] * frequency
        self._cosine, self._sine = angle.cos(), angle.sin()  # (positions, head_dim / 2)

    @classmethod
    def of(cls, model: Transformer) -> "Decoder":
        """Repack a model's weights as they are now, for its compute dtype."""
        return cls(model.config, model.state_dict(), model.compute_dtype, fuse=model.fuse)

    def _take(self, *names: str) -> Tensor:
        return torch.cat([self._state[name].detach().to(self.dtype) for name in names])

    def _pack(self, prefix: str) -> _Block:
        attention = f"{prefix}self_attn."
        biases = [f"{attention}{name}_proj.bias" for name in "qkv"]
        norms = {name: self._state[f"{attention}{name}_norm.weight"] for name in "qk" if self.config.qk_norm}
        return _Block(
            input_norm=_own(self._state[f"{prefix}input_layernorm.weight"]),
            qkv=_Linear(
                self._take(*(f"{attention}{name}_proj.weight" for name in "qkv")),
                self._take(*biases) if self.config.attention_bias else None,
            ),
            q_norm=_own(norms["q"]) if norms else None,
            k_norm=_own(norms["k"]) if norms else None,
            output=_Linear(self._take(f"{attention}o_proj.weight")),
            middle_norm=_own(self._state[f"{prefix}post_attention_layernorm.weight"]),
            gate_up=_Linear(self._take(f"{prefix}mlp.gate_proj.weight", f"{prefix}mlp.up_proj.weight")),
            down=_Linear(self._take(f"{prefix}mlp.down_proj.weight")),
        )

    @torch.inference_mode()
    def prefill(self, prompts: list[list[int]], capacity: int) -> tuple[Tensor, Cache]:
        """Read prompts of any lengths (at least one token each).

        Args:
            capacity: positions that the cache has for each row.

        Returns:
            The logits behind each prompt's last token, (B, V), and the filled cache.
        """
        number = {prompt: i for i, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        if len(number) < len(prompts):  # several answers to one prompt: it is read once
            logits, cache = self.prefill([list(prompt) for prompt in number], capacity)
            places = torch.tensor([number[tuple(prompt)] for prompt in prompts]).to(self.device)
            cache.keep(places)
            return logits[places], cache
        config, rows = self.config, len(prompts)
        shape = (rows, config.num_key_value_heads, -(-capacity // BLOCK) * BLOCK, config.head_dim)
        keys, values = ([self._zeros(*shape) for _ in range(config.num_hidden_layers)] for _ in range(2))
        cache = Cache(keys, values)
        hidden = self._zeros(rows, config.hidden_size)
        for width, group in _groups(prompts):
            tokens = torch.tensor([prompts[row] + [0] * (width - len(prompts[row])) for row in group])
            ends = torch.tensor([len(prompts[row]) - 1 for row in group]).to(self.device)
            index = torch.tensor(group).to(self.device)
            hidden[index] = self._read(tokens.to(self.device), index, cache)[torch.arange(len(group)), ends]
        return self._logits(hidden), cache

    def _read(self, tokens: Tensor, rows: Tensor, cache: Cache) -> Tensor:
        """Hidden states (B, T, hidden) of prompts (B, T), whose keys and values go into these rows of the cache."""
        count, width = tokens.shape
        kept = min(width, cache.keys[0].shape[2])

        def mix(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            query, key, value = (x.view(len(x), count, width, -1).transpose(0, 1) for x in (query, key, value))
            cache.keys[layer][rows, :, :kept] = key[:, :, :kept]
            cache.values[layer][rows, :, :kept] = value[:, :, :kept]
            grouped = query.shape[1] != key.shape[1]
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
            return mixed.transpose(1, 2).reshape(count * width, -1)

        positions = torch.arange(width, device=self.device).clamp_max(self.config.max_position_embeddings - 1)
        return self._hidden(tokens.flatten(), positions.repeat(count), mix).view(count, width, -1)

    @torch.inference_mode()
    def step(self, tokens: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        """Add one token to each row.

        Args:
            tokens: (B,) int64.
            positions: (B,) int64, where each token stands in its row: the length of the row so far.
            cache: is changed.

        Returns:
            The logits behind each token, (B, V).
        """
        return self._logits(self.attended(tokens, positions, cache.keys, cache.values, int(positions.max())))

    def attended(
        self, tokens: Tensor, positions: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], longest: int
    ) -> Tensor:
        """Hidden states (B, hidden) of one token more for each row of a cache.

        Args:
            tokens, positions: (B,) int64.
            keys, values: the layers' caches, (B, key-value heads, capacity, head_dim); changed in place.
            longest: no position is larger.
        """

        seen = visible(positions, keys[0], longest)

        def mix(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return attend(query, key, value, keys[layer], values[layer], positions, seen, fuse=self.fuses)

        return self._hidden(tokens, positions, mix)

    def hidden_states(self, tokens: Tensor, positions: Tensor, mix: Attend) -> Tensor:
        """What the blocks make of any tokens side by side, for callers that keep caches of their own.

        Args:
            tokens, positions: (N,) int64.
            mix: attention of a layer, given its number and the parts (heads, N, head_dim) of query, key and value; it
                gives (N, q size).

        Returns:
            (N, hidden), for `logits`.
        """
        return self._hidden(tokens, positions, mix)

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits behind hidden states: (N, V)."""
        return self._logits(hidden)

    def _hidden(self, tokens: Tensor, positions: Tensor, mix: Attend) -> Tensor:
        """The blocks over (N,) tokens; `mix` maps a layer and its (heads, N, head_dim) parts to (N, q size)."""
        config, eps, count = self.config, self.config.rms_norm_eps, len(tokens)
        spare = max(0, self._min_rows - count)
        cosine, sine = self._cosine[positions], self._sine[positions]
        heads = (config.num_attention_heads, config.num_key_value_heads)
        add_norm, split, gate = _add_norm, split_heads, swiglu
        if self.fuses:
            add_norm, split, gate = compiled(add_norm), compiled(split), compiled(gate)
        x = F.embedding(F.pad(tokens, (0, spare)), self._embedding)  # (N + spare, hidden)
        update: Tensor | None = None
        for layer, block in enumerate(self._blocks):
            x, normed = add_norm(x, update, block.input_norm, eps)
            query, key, value = split(
                block.qkv(normed)[None, :count], block.q_norm, block.k_norm, cosine, sine, heads, eps
            )
            mixed = mix(layer, query[0], key[0], value[0])
            x, normed = add_norm(
                x, block.output(F.pad(mixed, (0, 0, 0, spare)) if spare else mixed), block.middle_norm, eps
            )
            update = block.down(gate(block.gate_up(normed)))
        return (x if update is None else x + update)[:count]

    def _logits(self, hidden: Tensor) -> Tensor:
        rows = len(hidden)
        padded = F.pad(hidden, (0, 0, 0, max(0, self._min_rows - rows)))
        return self._head(rms_norm(padded, self._norm, self.config.rms_norm_eps))[:rows]

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)


def _add_norm(x: Tensor, update: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The residual stream with a block's part added, and its norm."""
    x = x if update is None else x + update
    return x, rms_norm(x, weight, eps)


def _own(weight: Tensor) -> Tensor:
    """A copy in fp32: a view would keep the whole file mapped that the weights were read from."""
    return weight.detach().to(torch.float32, copy=True)


def _groups(prompts: list[list[int]]) -> Iterator[tuple[int, list[int]]]:
    """Rows whose prompts are read together, with the width that each is padded to."""
    widths: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        widths.setdefault(-(-len(prompt) // _WIDTH) * _WIDTH, []).append(row)
    for width, rows in widths.items():
        size = max(1, _PREFILL_TOKENS // width)
        for start in range(0, len(rows), size):
            yield width, rows[start : start + size]
