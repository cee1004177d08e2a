"""A small packed corpus: text with structure that a tiny model learns in a few steps."""

import random
from pathlib import Path

import pytest

from danlu.tokens.shards import TokenWriter


def write_tokens(folder: Path, count: int, vocab_size: int = 64) -> None:
    """Documents of counting sequences: each token is the one before plus a stride that the document keeps."""
    rng = random.Random(0)
    for split, tokens in (("train", count), ("heldout", count // 8)):
        writer = TokenWriter(folder / split, vocab_size, 0, "none", keep_spans=split == "heldout")
        written = 0
        while written < tokens:
            start, stride, length = rng.randrange(1, vocab_size), rng.randrange(1, 5), rng.randrange(10, 40)
            ids = [1 + (start + i * stride) % (vocab_size - 1) for i in range(length)]
            writer.write(ids, length, "counting")
            written += length + 1
        writer.close()


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokens folder of 40,000 training tokens over 64 ids."""
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(folder, 40_000)
    return folder
