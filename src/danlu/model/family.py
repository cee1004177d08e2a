"""One dial from small to large: shapes whose depth and width grow together, so that a ladder differs in size alone."""

from danlu.model.config import ModelConfig

# Width per block: a small model wants it small (depth pays early), and 64 is where the curve flattens for large ones
# (Kaplan et al. 2020, section 3.1: loss varies by under 3% for 20 <= width/depth <= 100).
_ASPECT = 32
_FEWEST_BLOCKS, _FEWEST_HEADS = 3, 2


def shape(width: int, vocab_size: int, context: int) -> ModelConfig:
    """The family's member of a width.

    Args:
        width: of the residual stream; a multiple of 4.
        vocab_size: rows of the embedding table.
        context: longest sequence (tokens).

    Depth is width / 32 up to width 512, at least 3, then grows as width / 64 beyond. Heads are 32 wide below width 512
    and 64 from there on (no reader of the exported model takes less than 32), and at least two: the smallest members
    then differ in width alone, and a law through them is smooth.
    """
    assert width % 4 == 0
    depth = max(_FEWEST_BLOCKS, round(width / _ASPECT)) if width <= 512 else round(16 + (width - 512) / 64)
    head_dim = 32 if width < 512 else 64
    heads = max(_FEWEST_HEADS, round(width / head_dim))
    return ModelConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=max(32, round(width * 8 / 3 / 16) * 16),
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=head_dim,
        max_position_embeddings=context,
    )


def family(vocab_size: int, context: int, largest_width: int = 8192) -> tuple[ModelConfig, ...]:
    """All members, small to large: widths in steps of 4 to 48, 8 to 128, 16 to 256, then by about an eighth."""
    widths = [*range(24, 48, 4), *range(48, 128, 8), *range(128, 257, 16)]
    while widths[-1] < largest_width:
        step = max(32, widths[-1] // 8 // 32 * 32)
        widths.append(widths[-1] + step)
    return tuple(shape(width, vocab_size, context) for width in widths)
