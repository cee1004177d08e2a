"""What a user may ask of the tokens."""

from dataclasses import dataclass

from danlu.common.errors import DanluError

SMALLEST_VOCABULARY = 260
"""256 bytes and four special tokens: every text can be written with these."""


@dataclass(frozen=True)
class TokensConfig:
    """How the text is cut into tokens."""

    vocab_size: int | None = None
    """Tokens in the vocabulary, the four special ones included; None chooses from the corpus."""
    sample_megabytes: float = 10.0
    """Text the vocabulary is learned from (millions of UTF-8 bytes), taken evenly from the training documents."""

    def __post_init__(self) -> None:
        if self.vocab_size is not None and self.vocab_size < SMALLEST_VOCABULARY:
            raise DanluError(
                f"vocab_size is {self.vocab_size}.", f"Give at least {SMALLEST_VOCABULARY}, or leave it out."
            )
        if not 0.0 < self.sample_megabytes < float("inf"):
            raise DanluError(f"sample_megabytes is {self.sample_megabytes:g}.", "Give a number above 0.")
