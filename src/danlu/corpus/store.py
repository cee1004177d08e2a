"""A corpus on the disk: shards of JSON lines packed with zstd, and corpus.json that says what they hold."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import zstandard

from danlu.common.errors import DanluError
from danlu.common.files import read_json, sha256_file
from danlu.common.strict import from_mapping
from danlu.corpus.document import Document
from danlu.corpus.records import Reason
from danlu.corpus.streams import ZstdReader, reading

Split = Literal["train", "heldout"]
Bound = Literal["exact", "upper"]

SUMMARY = "corpus.json"
HELDOUT = "heldout.jsonl.zst"
_SHARD_BYTES = 256 * 1024 * 1024  # of JSON before packing
_REMEDY = "Remove the corpus folder and run the same command again: the corpus is then made anew."


@dataclass(frozen=True)
class SourceSummary:
    """What one source gave to one side of the corpus."""

    documents: int
    """Number of documents."""
    bytes: int
    """Length of their text (UTF-8 bytes)."""
    entropy_nats_per_byte: float | None = None
    """Minus the log-probability of the choices that made them, by byte; null where nobody knows it."""
    entropy_bound: Bound | None = None
    """Whether that is the entropy of the text (`exact`) or not below it (`upper`)."""


@dataclass(frozen=True)
class CorpusSummary:
    """What a corpus holds and what was left out of it; corpus.json."""

    train: Mapping[str, SourceSummary]
    """By source: the documents to train on."""
    heldout: Mapping[str, SourceSummary]
    """By source: the documents kept aside."""
    dropped: Mapping[str, Mapping[Reason, int]]
    """By source and reason: records and documents that were left out."""
    first_dropped: Mapping[str, Mapping[Reason, str]]
    """By source and reason: where the first of them stands."""
    train_files: Mapping[str, str]
    """Training shards, in order, each with its SHA-256."""
    heldout_files: Mapping[str, str]
    """The held-out file with its SHA-256."""

    @property
    def train_documents(self) -> int:
        """Documents to train on, all sources together."""
        return sum(source.documents for source in self.train.values())

    @property
    def train_bytes(self) -> int:
        """Text to train on, all sources together (UTF-8 bytes)."""
        return sum(source.bytes for source in self.train.values())

    @property
    def heldout_documents(self) -> int:
        """Documents held out, all sources together."""
        return sum(source.documents for source in self.heldout.values())

    @property
    def heldout_bytes(self) -> int:
        """Text held out, all sources together (UTF-8 bytes)."""
        return sum(source.bytes for source in self.heldout.values())


def read_summary(folder: Path) -> CorpusSummary:
    """Read the summary of the corpus in a folder.

    Raises:
        DanluError: there is none, or it is damaged.
    """
    path = folder / SUMMARY
    data = read_json(path)
    for side in ("train", "heldout"):
        for name, source in data.get(side, {}).items():
            data[side][name] = {key: value for key, value in source.items() if value is not None}
    return from_mapping(CorpusSummary, data, str(path))


def read_documents(folder: Path, split: Split) -> Iterator[Document]:
    """Stream the documents of one side of a corpus, in the order they were written.

    Raises:
        DanluError: a shard is missing or damaged.
    """
    summary = read_summary(folder)
    for name in summary.train_files if split == "train" else summary.heldout_files:
        path = folder / name
        with reading(path, _REMEDY), path.open("rb") as file:
            for line in io.BufferedReader(ZstdReader(file), 256 * 1024):
                try:
                    yield Document(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise DanluError(f"{path} is damaged: {error}.", _REMEDY) from error


def verify(folder: Path) -> None:
    """Compare every shard with the hash in the summary.

    Raises:
        DanluError: a shard is missing or is not what was written.
    """
    summary = read_summary(folder)
    for name, digest in {**summary.train_files, **summary.heldout_files}.items():
        with reading(folder / name, _REMEDY):
            if sha256_file(folder / name) != digest:
                raise DanluError(f"{folder / name} is not as it was written.", _REMEDY)


def open_lines(path: Path) -> io.BufferedWriter:
    """Open a file for lines that are packed with zstd on the way."""
    packer = zstandard.ZstdCompressor(level=1, write_checksum=True).stream_writer(path.open("wb"), closefd=True)
    # Buffered, because a call of the packer costs as much as packing a kilobyte.
    return io.BufferedWriter(cast(io.RawIOBase, packer), 1024 * 1024)


class ShardWriter:
    """Writes lines to train-00000.jsonl.zst, train-00001.jsonl.zst, ...: a new file after every 256 MB of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream: io.BufferedWriter | None = None
        self._size = 0
        self.paths: list[Path] = []

    def write(self, line: bytes) -> None:
        """Write a line, its end included."""
        if self._stream is None:
            self.paths.append(self._folder / f"train-{len(self.paths):05d}.jsonl.zst")
            self._stream = open_lines(self.paths[-1])
        self._stream.write(line)
        self._size += len(line)
        if self._size >= _SHARD_BYTES:
            self.close()

    def close(self) -> None:
        """End the file that is being written; the next line opens another."""
        if self._stream is not None:
            self._stream.close()
            self._stream, self._size = None, 0
