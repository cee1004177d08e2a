"""The shape of a transformer and every number that follows from it. No torch here."""

from dataclasses import dataclass
from typing import Literal

from danlu.common.errors import DanluError

ParameterConvention = Literal["all", "non_embedding", "matmul"]


@dataclass(frozen=True)
class ModelConfig:
    """A decoder-only transformer: RMSNorm, RoPE, grouped-query attention, SwiGLU, optional QK-norm (Qwen3's layout).

    Field names are those of `transformers`' config.json.
    """

    vocab_size: int
    """Rows of the embedding table (tokens)."""
    hidden_size: int
    """Width of the residual stream."""
    intermediate_size: int
    """Inner width of the SwiGLU feed-forward block."""
    num_hidden_layers: int
    """Number of blocks."""
    num_attention_heads: int
    """Query heads a block."""
    num_key_value_heads: int
    """Key and value heads a block; divides the query heads."""
    head_dim: int
    """Width of one head; need not be hidden_size / num_attention_heads."""
    max_position_embeddings: int = 1024
    """Longest context (tokens)."""
    rope_theta: float = 10000.0
    """Base of the rotary frequencies."""
    rms_norm_eps: float = 1e-6
    """Added to the mean square before its root."""
    tie_word_embeddings: bool = True
    """Whether the output head is the embedding table."""
    qk_norm: bool = True
    """RMSNorm on each query and key head (Qwen3)."""
    attention_bias: bool = False
    """Biases on the query, key and value projections (Qwen2)."""
    model_type: Literal["qwen3", "qwen2", "llama"] = "qwen3"
    """The `transformers` family that this shape is written as."""

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise DanluError(
                f"{self.num_attention_heads} query heads cannot share {self.num_key_value_heads} key-value heads.",
                "Choose num_key_value_heads so that it divides num_attention_heads.",
            )
        if self.head_dim % 2:
            raise DanluError(f"head_dim {self.head_dim} is odd.", "Rotary positions need an even head_dim.")

    @property
    def q_size(self) -> int:
        """Width of all query heads together."""
        return self.num_attention_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Width of all key (or value) heads together."""
        return self.num_key_value_heads * self.head_dim

    @property
    def block_matmul_parameters(self) -> int:
        """Weights of one block that enter a matrix product."""
        attention = self.hidden_size * (2 * self.q_size + 2 * self.kv_size)
        return attention + 3 * self.hidden_size * self.intermediate_size

    def num_parameters(self, convention: ParameterConvention = "all") -> int:
        """Parameters, counted by a named convention.

        Args:
            convention: `all`: every trained number (a tied table once), as `sum(p.numel())`.
                `non_embedding`: without the embedding table and an untied head (Kaplan et al. 2020).
                `matmul`: weights that enter a matrix product, the head included whether tied or not; C = 6 N D with
                this N is the FLOP count without attention (nanochat, Porian et al. 2024).
        """
        table = self.vocab_size * self.hidden_size
        matmul = self.num_hidden_layers * self.block_matmul_parameters
        if convention == "matmul":
            return matmul + table
        norms = self.num_hidden_layers * (2 * self.hidden_size + (2 * self.head_dim if self.qk_norm else 0))
        biases = self.num_hidden_layers * (self.q_size + 2 * self.kv_size) if self.attention_bias else 0
        non_embedding = matmul + norms + biases + self.hidden_size
        if convention == "non_embedding":
            return non_embedding
        return non_embedding + table * (1 if self.tie_word_embeddings else 2)

    def flops_per_token(self, context: int, *, causal: bool = False, backward: bool = True) -> float:
        """Training (or forward) FLOPs a token: 2 a weight forward and 4 backward, plus attention's two products.

        Args:
            context: tokens that a sequence holds.
            causal: count only the lower triangle of the attention scores; otherwise the whole square, as PaLM
                (Chowdhery et al. 2022, appendix B) and most published MFU figures do.
            backward: False counts the forward pass alone.
        """
        forward = 2.0 * self.num_parameters("matmul")
        attention = 4.0 * self.num_hidden_layers * self.q_size * context
        if causal:
            attention *= (context + 1) / (2 * context)
        return (forward + attention) * (3.0 if backward else 1.0)

    def kv_cache_bytes(self, tokens: int, bytes_per_number: int = 2) -> int:
        """Bytes of the key-value cache that hold `tokens` positions of one sequence."""
        return 2 * self.num_hidden_layers * self.kv_size * tokens * bytes_per_number
