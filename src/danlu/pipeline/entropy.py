"""The entropy of a source that is known to the last choice, in the units of the loss."""

from pathlib import Path

from danlu.corpus.store import Bound, read_summary
from danlu.tokens.build import read_tokens_summary


def source_entropy(corpus: Path, tokens: Path) -> tuple[float, Bound] | None:
    """Nats a token of the held-out text below which no model can go; None where a source's entropy is unknown.

    Returns:
        The entropy, and whether it is exact or an upper bound of it.
    """
    sources = read_summary(corpus).heldout.values()
    nats = 0.0
    for source in sources:
        if source.entropy_nats_per_byte is None:
            return None
        nats += source.entropy_nats_per_byte * source.bytes
    exact = all(source.entropy_bound == "exact" for source in sources)
    return nats / read_tokens_summary(tokens).heldout_tokens, "exact" if exact else "upper"
