"""The shape of a decoder-only transformer and its exact parameter count, from numbers alone."""

from dataclasses import dataclass, replace
from typing import Literal

from danlu.common.duration import format_count
from danlu.common.errors import DanluError

NormKind = Literal["rms", "layer"]
Counting = Literal["all", "no_input_table", "no_tables", "active"]


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2, section 2.1)."""

    q_rank: int
    """Width of the compressed query; 0 projects it directly."""
    kv_rank: int
    """Width of the compressed keys and values, which is all the cache holds beside the rotary part."""
    nope_dim: int
    """Width of a head's key without position."""
    rope_dim: int
    """Width of the rotary part, one for all heads on the key's side."""
    v_dim: int
    """Width of a head's value."""


@dataclass(frozen=True)
class Experts:
    """A mixture of experts in place of the feed-forward network."""

    count: int
    """Routed experts in a layer."""
    active: int
    """Routed experts that a token passes through."""
    ffn: int
    """Inner width of one routed expert."""
    shared_ffn: int = 0
    """Inner width of all shared experts together; every token passes through them."""
    dense_layers: int = 0
    """Layers that keep a plain feed-forward network of the shape's own width."""
    router_bias: bool = False
    """The router adds a bias for each expert (DeepSeek-V3's balancing, gpt-oss)."""
    node_limit: int = 0
    """Most nodes among which one token's experts may lie (DeepSeek-V3: 4); 0 sets no limit."""
    shared_gate: bool = False
    """The shared experts' output is weighed by a learned gate (Qwen1.5-MoE)."""


@dataclass(frozen=True)
class ModelShape:
    """Everything about a transformer that costs parameters, arithmetic or memory."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    """Inner width of the dense feed-forward network."""
    vocab: int
    ffn_matrices: int = 3
    """3 with a gate (SwiGLU, GeGLU), 2 without."""
    tied: bool = False
    """The head shares the input table's weights."""
    positions: int = 0
    """Rows of a learned table of positions; 0 with rotary or ALiBi positions."""
    norm: NormKind = "rms"
    norms_per_layer: int = 2
    final_norm: bool = True
    embedding_norm: bool = False
    """A norm right after the input table (BLOOM)."""
    qk_norm: bool = False
    """A norm over each head's query and key (Qwen3)."""
    qkv_bias: bool = False
    out_bias: bool = False
    """Bias of the attention's output projection."""
    ffn_bias: bool = False
    sinks: bool = False
    """One learned attention sink a head (gpt-oss)."""
    embedding_dim: int = 0
    """Width of the input table where it is not the hidden width, with a projection in and out (OPT-350M)."""
    extra: int = 0
    """Parameters outside this description, named in the model's note."""
    window: int = 0
    """Tokens that a layer with local attention looks back; 0 where all layers are global."""
    window_layers: int = 0
    """Layers with local attention."""
    mla: LatentAttention | None = None
    moe: Experts | None = None
    doubt: str = ""
    """Why the description may be wrong, for a person; empty where it is known."""

    def __post_init__(self) -> None:
        positive = {
            "layers": self.layers,
            "hidden": self.hidden,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "ffn": self.ffn,
            "vocab": self.vocab,
        }
        for name, value in positive.items():
            if value <= 0:
                raise DanluError(f"the model '{self.name}' has {name} {value}.", "Give a number above 0.")
        if self.heads % self.kv_heads:
            raise DanluError(
                f"the model '{self.name}' has {self.heads} heads, which {self.kv_heads} key and value heads do not"
                " divide.",
                "Choose kv_heads among the divisors of heads.",
            )
        if self.ffn_matrices not in (2, 3):
            raise DanluError(
                f"the model '{self.name}' has {self.ffn_matrices} feed-forward matrices.",
                "Give 3 with a gate (SwiGLU), 2 without.",
            )
        if self.moe and not 0 < self.moe.active <= self.moe.count:
            raise DanluError(
                f"the model '{self.name}' sends a token to {self.moe.active} of {self.moe.count} experts.",
                "Give as many active experts as there are, or fewer.",
            )

    @property
    def moe_layers(self) -> int:
        """Layers with experts."""
        return self.layers - self.moe.dense_layers if self.moe else 0

    @property
    def dense_layers(self) -> int:
        """Layers with a plain feed-forward network."""
        return self.layers - self.moe_layers

    @property
    def qk_dim(self) -> int:
        """Width over which one head's scores are summed."""
        return self.mla.nope_dim + self.mla.rope_dim if self.mla else self.head_dim

    @property
    def v_dim(self) -> int:
        """Width of one head's value."""
        return self.mla.v_dim if self.mla else self.head_dim

    @property
    def kv_cache_width(self) -> int:
        """Numbers that the cache keeps for one token in one layer."""
        if self.mla:
            return self.mla.kv_rank + self.mla.rope_dim
        return 2 * self.kv_heads * self.head_dim

    def attention_matrices(self) -> tuple[tuple[int, int, str], ...]:
        """The attention's projections as (outputs, inputs, how tensor parallelism cuts it).

        The cut is `out` (columns), `in` (rows) or `none` (every rank holds it whole).
        """
        h, a = self.hidden, self.heads
        if self.mla:
            m = self.mla
            query: tuple[tuple[int, int, str], ...] = ((a * (m.nope_dim + m.rope_dim), h, "out"),)
            if m.q_rank:
                query = ((m.q_rank, h, "none"), (a * (m.nope_dim + m.rope_dim), m.q_rank, "out"))
            return (
                *query,
                (m.kv_rank + m.rope_dim, h, "none"),
                (a * (m.nope_dim + m.v_dim), m.kv_rank, "out"),
                (h, a * m.v_dim, "in"),
            )
        width = (a + 2 * self.kv_heads) * self.head_dim
        return ((width, h, "out"), (h, a * self.head_dim, "in"))

    def attention_params(self) -> int:
        """Parameters of one layer's attention, its biases and inner norms included."""
        total = sum(outputs * inputs for outputs, inputs, _ in self.attention_matrices())
        if self.mla:
            total += self.mla.kv_rank + self.mla.q_rank  # the norms of the compressed vectors
        elif self.qkv_bias:
            total += (self.heads + 2 * self.kv_heads) * self.head_dim
        return (
            total
            + (self.hidden if self.out_bias else 0)
            + (2 * self.head_dim if self.qk_norm else 0)
            + (self.heads if self.sinks else 0)
        )

    def ffn_params(self, width: int) -> int:
        """Parameters of one gated or plain feed-forward network of an inner width."""
        bias = (self.ffn_matrices - 1) * width + self.hidden if self.ffn_bias else 0
        return self.ffn_matrices * self.hidden * width + bias

    def router_params(self) -> int:
        """Parameters that choose the experts in one layer."""
        if not self.moe:
            return 0
        gate = self.hidden if self.moe.shared_gate else 0
        return self.hidden * self.moe.count + (self.moe.count if self.moe.router_bias else 0) + gate

    def norm_params(self) -> int:
        """Parameters of one norm over the hidden width."""
        return self.hidden * (2 if self.norm == "layer" else 1)

    def expert_params(self) -> int:
        """Parameters of all routed experts of all layers."""
        return self.moe_layers * self.moe.count * self.ffn_params(self.moe.ffn) if self.moe else 0

    def input_params(self) -> int:
        """Parameters of the input table and of the learned positions."""
        return self.vocab * (self.embedding_dim or self.hidden) + self.positions * self.hidden

    def head_params(self) -> int:
        """Parameters of the head that are not the input table's."""
        return 0 if self.tied else self.vocab * self.hidden

    def layer_params(self, active: bool = False) -> int:
        """Parameters of all layers; `active` counts the experts that one token passes through."""
        shared = self.attention_params() + self.norms_per_layer * self.norm_params()
        total = self.layers * shared + self.dense_layers * self.ffn_params(self.ffn)
        if self.moe:
            routed = self.moe.active if active else self.moe.count
            each = routed * self.ffn_params(self.moe.ffn) + self.router_params()
            if self.moe.shared_ffn:
                each += self.ffn_params(self.moe.shared_ffn)
            total += self.moe_layers * each
        return total

    def params(self, counting: Counting = "all") -> int:
        """Exact number of parameters.

        `all`; `no_input_table` leaves out the input table and positions (what enters a matrix product, the head
        counted even where it is tied); `no_tables` leaves out the head too (Kaplan et al. 2020); `active` counts of
        the experts only those that one token passes through.
        """
        last = self.norm_params() * (int(self.final_norm) + int(self.embedding_norm))
        projections = 2 * self.embedding_dim * self.hidden
        inner = self.layer_params(active=counting == "active") + last + projections + self.extra
        if counting == "no_tables":
            return inner
        if counting == "no_input_table":
            return inner + self.vocab * self.hidden
        return inner + self.input_params() + self.head_params()

    def matmul_params(self) -> int:
        """Parameters that multiply each token once: the active ones, head included, without tables, norms, biases."""
        each = sum(outputs * inputs for outputs, inputs, _ in self.attention_matrices())
        total = self.layers * each + self.dense_layers * self.ffn_matrices * self.hidden * self.ffn
        if self.moe:
            width = self.moe.active * self.moe.ffn + self.moe.shared_ffn
            total += self.moe_layers * self.hidden * (self.ffn_matrices * width + self.moe.count)
        return total + self.vocab * self.hidden + 2 * self.embedding_dim * self.hidden


def dense_shape(params: float, vocab: int = 128256, name: str = "") -> ModelShape:
    """A plausible dense model of about so many parameters, where only the number is known.

    Heads of 128, in eights from a width of 4096 on so that they can be cut, a gated feed-forward network of 3.5 widths,
    8 key and value heads, and a width of about 128 a layer (the trend of Llama 3's three sizes).

    Raises:
        DanluError: fewer than a million parameters.
    """
    if params < 1e6:
        raise DanluError(f"{params:g} parameters are too few for a model.", "Give at least a million, such as 7B.")
    best: ModelShape | None = None
    small = params < 1.5e8
    unit = 64 if small else 128
    table = vocab if params > 5e8 else min(vocab, 32000)
    widths = [*range(unit, 2048, unit), *range(2048, 4096, 512), *range(4096, 65536 + 1, 1024)]
    for hidden in widths:
        layers = max(2, round(hidden / 128 if hidden < 16384 else 126 * hidden / 16384))
        head = 64 if small else 128
        heads = hidden // head
        kv = max((count for count in (8, 4, 2, 1) if heads % count == 0), default=1)
        ffn = max(64, round(3.5 * hidden / 64) * 64)
        shape = ModelShape(name or "dense", layers, hidden, heads, kv, head, ffn, table, tied=params < 2e9)
        if best is None or abs(shape.params() - params) < abs(best.params() - params):
            best = shape
        if shape.params() > 2 * params:
            break
    assert best is not None
    found = _tuned(best, params)
    return found if name else replace(found, name=f"{format_count(found.params())} dense")


def _tuned(shape: ModelShape, params: float) -> ModelShape:
    """The same width with the number of layers that comes nearest to the parameters."""
    each = shape.layer_params() / shape.layers
    rest = shape.params() - shape.layer_params()
    layers = max(1, round((params - rest) / each))
    if layers >= 32:
        layers = 4 * round(layers / 4)  # so that pipelines can cut them evenly
    return replace(shape, layers=layers)
