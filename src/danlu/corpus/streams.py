"""Byte streams out of files that may be compressed; damage and refusals become errors that name the file."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard

from danlu.common.errors import DanluError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 32 * 1024  # bytes; small, because zstd may unpack a chunk to thousands of times its size


class ZstdReader(io.RawIOBase):
    """Decompressed bytes of a zstd file of one or more frames.

    The reader that comes with `zstandard` takes a file that was cut short for a whole one; this one raises EOFError.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        while not self._pending:
            if self._frame.eof:
                data = self._frame.unused_data or self._file.read(_CHUNK)
                if not data:
                    return 0
                self._frame = self._decompressor.decompressobj()
            else:
                data = self._file.read(_CHUNK)
                if not data:
                    raise EOFError("the file ends in the middle of a compressed frame")
            self._pending = memoryview(self._frame.decompress(data))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._pending))
        target[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into an error for the user, with `remedy` where it is damaged.

    Raises:
        DanluError: the file is missing, may not be read, or is damaged.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DanluError(f"there is no file {path}.", "Check the path.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise DanluError(f"{path} is damaged: {error}.", remedy) from error
    except OSError as error:
        raise DanluError(
            f"cannot read {path}: {error.strerror or error}.", "Check that it is a file and that you may read it."
        ) from error


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; one whose name ends in .gz or .zst is decompressed on the way."""
    with path.open("rb") as file:
        match path.suffix.lower():
            case ".gz":
                yield cast(BinaryIO, gzip.GzipFile(fileobj=file))
            case ".zst":
                yield cast(BinaryIO, io.BufferedReader(ZstdReader(file), 256 * 1024))
            case _:
                yield file
