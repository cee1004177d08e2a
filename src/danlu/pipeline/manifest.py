"""manifest.json: what made a run, so that a stranger can judge and repeat it."""

import platform
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from danlu import __version__
from danlu.common.files import read_json, sha256_file, write_json
from danlu.hardware.machine import describe_machine
from danlu.hardware.speed import Speed
from danlu.pipeline.folder import RunFolder

_PACKAGES = ("torch", "numpy", "scipy", "tokenizers", "safetensors", "tyro", "rich", "jinja2", "zstandard", "datasets")
_DATA = (
    "corpus/corpus.json",
    "tokens/tokenizer/tokenizer.json",
    "tokens/train/index.json",
    "tokens/heldout/index.json",
)


def note_session(folder: RunFolder, command: str, seeds: Mapping[str, int], speed: Speed | None) -> None:
    """Write the manifest when a run starts; when it continues, add the session (machine and version may differ)."""
    hardware: dict[str, Any] = {**asdict(describe_machine()), "host": socket.gethostname()}
    if speed:
        hardware |= asdict(speed)
    session = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "danlu": __version__,
        "git": git_commit(),
        "python": platform.python_version(),
        "packages": _versions(),
        "hardware": hardware,
    }
    if folder.manifest.exists():
        manifest = read_json(folder.manifest)
        manifest.setdefault("continued", []).append(session)
    else:
        manifest = {**session, "seeds": dict(seeds), "data": {}}
    write_json(folder.manifest, manifest)


def note_data(folder: RunFolder) -> None:
    """Put the hashes of the run's data into the manifest: of the files that themselves hold every shard's hash."""
    manifest = read_json(folder.manifest)
    hashes = {name: sha256_file(folder.path / name) for name in _DATA if (folder.path / name).is_file()}
    if hashes != manifest["data"]:
        write_json(folder.manifest, {**manifest, "data": {**manifest["data"], **hashes}})


def git_commit() -> str | None:
    """The commit of the checkout that danlu runs from, with `+` for local changes; None for an installed package."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
