"""Token streams on the disk: flat little-endian files, and an index that says what they hold."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from danlu.common.files import read_json, write_json
from danlu.common.strict import from_mapping, to_mapping

INDEX = "index.json"
_SHARD_TOKENS = 128 * 1024 * 1024


@dataclass(frozen=True)
class Shard:
    """One file of tokens."""

    file: str
    """Its name."""
    tokens: int
    """How many it holds."""
    sha256: str
    """Of its bytes."""


@dataclass(frozen=True)
class DocumentSpan:
    """Where one document lies in a token stream."""

    offset: int
    """Its first token."""
    tokens: int
    """Its length, the end-of-text token included."""
    bytes: int
    """Length of its text (UTF-8 bytes)."""
    source: str
    """Name of the source it came from."""


@dataclass(frozen=True)
class TokenIndex:
    """What a folder of token shards holds; index.json."""

    dtype: Literal["uint16", "uint32"]
    """Numbers in the files, little-endian."""
    vocab_size: int
    """Tokens in the vocabulary."""
    eos_id: int
    """The token that follows every document."""
    tokenizer_sha256: str
    """Of the tokenizer.json that made them."""
    tokens: int
    """All tokens."""
    documents: int
    """All documents."""
    bytes: int
    """Length of all text (UTF-8 bytes)."""
    shards: tuple[Shard, ...]
    """The files, in order."""
    spans: tuple[DocumentSpan, ...] = ()
    """Where each document lies; of the held-out documents alone."""


def read_index(folder: Path) -> TokenIndex:
    """Read the index of a folder of token shards.

    Raises:
        DanluError: there is none, or it is damaged.
    """
    return from_mapping(TokenIndex, read_json(folder / INDEX), str(folder / INDEX))


class TokenWriter:
    """Writes documents to 00000.bin, 00001.bin, ... as one stream of tokens, and closes it with an index.

    Args:
        keep_spans: whether the index says where each document lies.
    """

    def __init__(self, folder: Path, vocab_size: int, eos_id: int, tokenizer_sha256: str, keep_spans: bool) -> None:
        self._folder = folder
        self._vocab_size, self._eos_id, self._tokenizer_sha256 = vocab_size, eos_id, tokenizer_sha256
        self._dtype: Literal["uint16", "uint32"] = "uint16" if vocab_size <= 2**16 else "uint32"
        self._keep_spans = keep_spans
        self._spans: list[DocumentSpan] = []
        self._shards: list[Shard] = []
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._tokens_before_file = self._tokens = self._documents = self._bytes = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, ids: list[int], num_bytes: int, source: str) -> None:
        """Write one document and the end-of-text token after it."""
        if self._file is None:
            self._file = (self._folder / f"{len(self._shards):05d}.bin").open("wb")
        data = np.array([*ids, self._eos_id], np.dtype(self._dtype).newbyteorder("<")).tobytes()
        self._file.write(data)
        self._hash.update(data)
        if self._keep_spans:
            self._spans.append(DocumentSpan(self._tokens, len(ids) + 1, num_bytes, source))
        self._tokens += len(ids) + 1
        self._documents += 1
        self._bytes += num_bytes
        if self._tokens - self._tokens_before_file >= _SHARD_TOKENS:
            self._close_file()

    def close(self) -> TokenIndex:
        """End the last file and write the index."""
        self._close_file()
        index = TokenIndex(
            dtype=self._dtype,
            vocab_size=self._vocab_size,
            eos_id=self._eos_id,
            tokenizer_sha256=self._tokenizer_sha256,
            tokens=self._tokens,
            documents=self._documents,
            bytes=self._bytes,
            shards=tuple(self._shards),
            spans=tuple(self._spans),
        )
        write_json(self._folder / INDEX, to_mapping(index))
        return index

    def _close_file(self) -> None:
        if self._file is None:
            return
        self._file.close()
        name = f"{len(self._shards):05d}.bin"
        self._shards.append(Shard(name, self._tokens - self._tokens_before_file, self._hash.hexdigest()))
        self._file, self._hash, self._tokens_before_file = None, hashlib.sha256(), self._tokens
