"""What a user may ask of a corpus."""

from dataclasses import dataclass, field

from danlu.common.errors import DanluError
from danlu.corpus.toy.config import ToyConfig


@dataclass(frozen=True)
class CorpusConfig:
    """Where the text comes from, what is left out of it, and what is kept aside for judging."""

    data: tuple[str, ...] = ("toy",)
    """Where the text comes from. Each item is `toy` (the toy language), `stdlib` (the Python library of this machine),
    `hf:NAME[/CONFIG][:SPLIT]` (a data set of the Hugging Face hub), a file, a folder or a glob pattern.
    Files are txt, md, jsonl (each also with .gz or .zst) and parquet."""
    text_field: str = "text"
    """Name of the field that holds the text in jsonl, parquet and Hugging Face records. Where files differ, several
    with commas between them (`text,answer`): of each record the first that it has is read."""
    piece_bytes: int = 2048
    """Plain text has no records: a file longer than this is cut, at paragraph borders where it can be, into pieces of
    at most this many bytes, and each piece is a document. Many short ones make a held-out loss that is surer; a model
    with a long context wants longer ones."""
    min_characters: int = 1
    """Shorter documents are dropped (characters)."""
    max_characters: int = 1_000_000
    """Longer documents are dropped (characters)."""
    max_megabytes: float | None = None
    """Most text taken from each item of `data` (millions of UTF-8 bytes); None takes all of it."""
    heldout_share: float = 0.1
    """Share of the documents kept out of training to measure the loss on, from 0 to 1."""
    heldout_megabytes: float = 0.6
    """Most text held out (millions of UTF-8 bytes), whatever its share: more would only make measuring slower."""
    toy: ToyConfig = field(default_factory=ToyConfig)
    """The toy language, where `data` asks for it."""

    def __post_init__(self) -> None:
        if not self.data:
            raise DanluError(
                "no data is named.", "Give at least one of: toy, stdlib, hf:NAME, a file, a folder, a glob."
            )
        if len(set(self.data)) < len(self.data):
            twice = next(item for item in self.data if self.data.count(item) > 1)
            raise DanluError(f"'{twice}' is named twice in data.", "Name it once.")
        if not 0.0 < self.heldout_share < 1.0:
            raise DanluError(
                f"heldout_share is {self.heldout_share:g}.", "Give a number above 0 and below 1, such as 0.1."
            )
        if self.piece_bytes < 64:
            raise DanluError(f"piece_bytes is {self.piece_bytes}.", "Give at least 64.")
        if not 0 <= self.min_characters <= self.max_characters:
            raise DanluError(
                f"min_characters is {self.min_characters} and max_characters is {self.max_characters}.",
                "Give a least length of 0 or more and a greatest length that is not below it.",
            )
        for name in ("max_megabytes", "heldout_megabytes"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < float("inf"):
                raise DanluError(f"{name} is {value:g}.", "Give a number above 0.")
