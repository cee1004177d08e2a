"""Files that survive a kill at any moment: written under a temporary name, synced, then renamed."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from danlu.common.errors import DanluError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into a plain error that names the place, whoever was refused.

    Raises:
        DanluError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except DanluError:  # named already, further in
        raise
    except BaseException as error:  # not Exception: torch's CheckpointException is none
        if is_full_disk(error):
            raise DanluError(
                f"no space left on the disk while writing {path}.",
                "Free some space and run the same command again: it continues from the last whole file.",
            ) from error
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            raise DanluError(f"cannot write {path}: {error.strerror}.", "Choose another place with --out.") from error
        raise


_REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
# As the system says it, and as torch's writer of archives does: a short write, and the place it then finds itself at.
_FULL_DISK = ("No space left on device", "file write failed", "unexpected pos")


def is_full_disk(error: BaseException | None) -> bool:
    """Whether a full disk is at the bottom of an error; libraries wrap it in errors of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(error) for words in _FULL_DISK):
            return True
        error = error.__cause__ or error.__context__
    return False


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a kill, sees the old one or the whole new one."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def folder_atomic(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it takes the name `path` only when the block ends without an error.

    An older folder of that name is replaced at that moment. What an interrupted run left half-done is removed first.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    old = path.with_name(f".{path.name}.old")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if old.exists() and not path.exists():
            old.rename(path)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Mapping[str, Any] | list[Any]) -> None:
    """Write JSON, readable and atomic."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DanluError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DanluError(
            f"there is no file {path}.", "Check the path, or run the step that writes it first."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DanluError(
            f"cannot read {path}: {error}.", "Remove the damaged file and run the step that writes it again."
        ) from error


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """SHA-256 of a JSON value in its canonical form (sorted keys, no spaces), in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
