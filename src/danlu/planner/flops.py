"""FLOPs of a token under every convention in use, each by name. One multiply-add is two FLOPs."""

from dataclasses import dataclass

from danlu.planner.layout import Layout
from danlu.planner.shape import ModelShape


@dataclass(frozen=True)
class Flops:
    """FLOPs of one training token under one convention."""

    convention: str
    per_token: float
    words: str
    """How it is counted."""


def attention_flops(shape: ModelShape, seq_len: int, *, causal: bool) -> float:
    """FLOPs of scores and weighted values for one token, forward and backward.

    Three times (forward, two gradients) two products over the keys that a query meets: all of the sequence, or half
    of it where the mask lets it see only what is before; layers with a window see at most the window.
    """
    everywhere = seq_len / 2 if causal else float(seq_len)
    near = min(shape.window, everywhere) if shape.window else everywhere
    keys = shape.window_layers * near + (shape.layers - shape.window_layers) * everywhere
    return 3 * 2 * keys * shape.heads * (shape.qk_dim + shape.v_dim)


def model_flops(shape: ModelShape, seq_len: int) -> Flops:
    """The planner's own count: six FLOPs for every parameter that multiplies the token, and causal attention."""
    count = 6 * shape.matmul_params() + attention_flops(shape, seq_len, causal=True)
    return Flops("matmul+causal", count, "6 x parameters in products (active experts, head) + causal attention")


def hardware_flops(shape: ModelShape, seq_len: int, layout: Layout) -> Flops:
    """What the chips compute: the model's FLOPs and the forward pass of recomputed layers."""
    plain = model_flops(shape, seq_len).per_token
    core = attention_flops(shape, seq_len, causal=True) / 3
    layers = 2 * (shape.matmul_params() - shape.vocab * shape.hidden) + core
    again = {"none": 0.0, "selective": core, "full": layout.recompute_share * layers}[layout.recompute]
    return Flops("hardware", plain + again, f"model FLOPs + recomputation ({layout.recompute})")


def conventions(shape: ModelShape, seq_len: int, layout: Layout | None = None) -> tuple[Flops, ...]:
    """FLOPs of one token under every convention.

    Sources: 6N Kaplan et al. 2020; PaLM's MFU counts full attention (Chowdhery et al. 2022, appendix B); Megatron's
    96 B s l h^2 (1 + s/6h + V/16lh) counts the head, full attention and a second forward pass (Narayanan et al. 2021,
    equation 3); NVIDIA's current tables leave out the input table and count causal attention.
    """
    active = shape.params("active")
    inside = active - shape.input_params() - shape.head_params()
    with_head = inside + shape.vocab * shape.hidden
    causal = attention_flops(shape, seq_len, causal=True)
    full = attention_flops(shape, seq_len, causal=False)
    return (
        Flops("6N", 6 * active, "6 x all active parameters"),
        Flops("6N without tables", 6 * inside, "6 x active parameters without input table and head"),
        Flops("6N + causal attention", 6 * active + causal, "6 x all active parameters + causal attention"),
        Flops(
            "6N + full attention", 6 * active + full, "6 x all active parameters + attention over the whole sequence"
        ),
        Flops("6(N - input table) + causal attention", 6 * with_head + causal, "NVIDIA's tables"),
        model_flops(shape, seq_len),
        Flops(
            "Megatron 2021",
            8 / 6 * (6 * (with_head - shape.vocab * shape.hidden) + full) + 6 * shape.vocab * shape.hidden,
            "layers and full attention with a second forward pass, head once",
        ),
        *((hardware_flops(shape, seq_len, layout),) if layout else ()),
    )


def printed_flops(shape: ModelShape, seq_len: int, kind: str, layout: Layout) -> Flops:
    """The convention that a table's word for its TFLOP/s means (`tflops_kind` of published runs)."""
    words = kind.lower()
    found = {flops.convention: flops for flops in conventions(shape, seq_len, layout)}
    if "hardware" in words:
        return found["Megatron 2021"] if layout.recompute == "full" else found["hardware"]
    if "full attention" in words:
        return found["6N + full attention"]
    if "model" in words:
        return found["6(N - input table) + causal attention"]
    return found["matmul+causal"]
