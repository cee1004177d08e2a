import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from danlu.common.errors import DanluError
from danlu.corpus.streams import ZstdReader, open_bytes, reading

TEXT = "".join(f"line {i * i}\n" for i in range(50_000)).encode()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _read(path: Path) -> bytes:
    with reading(path, "Fetch it again."), open_bytes(path) as stream:
        return stream.read()


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", _zstd), (".ZST", _zstd)])
def test_a_file_is_unpacked_by_its_name(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(pack(TEXT))
    assert _read(path) == TEXT


def test_zstd_frames_follow_one_another() -> None:
    assert io.BufferedReader(ZstdReader(io.BytesIO(_zstd(TEXT) + _zstd(b"") + _zstd(b"end")))).read() == TEXT + b"end"


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", _zstd)])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_packed_file_that_was_cut_short_is_told(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], kept: float
) -> None:
    path = tmp_path / f"a.txt{suffix}"
    packed = pack(TEXT)
    path.write_bytes(packed[: int(len(packed) * kept)])
    if kept == 0.0 and suffix == ".gz":
        assert _read(path) == b""  # gzip itself takes no bytes for an empty file
        return
    with pytest.raises(DanluError, match=r"a\.txt\.(gz|zst) is damaged.*\n.*Fetch it again"):
        _read(path)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", _zstd)])
def test_a_packed_file_with_a_changed_byte_is_told(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(TEXT))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(packed)
    with pytest.raises(DanluError, match="is damaged"):
        _read(path)


def test_what_is_not_there_or_not_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="there is no file"):
        _read(tmp_path / "none.txt")
    with pytest.raises(DanluError, match="cannot read"):
        _read(tmp_path)
