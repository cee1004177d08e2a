"""A stage: one step of the road with a record of what it was made from, so that it is redone only when that changed."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from danlu import __version__
from danlu.common.files import folder_atomic, read_json, sha256_file, sha256_json, write_json
from danlu.common.progress import Progress
from danlu.common.strict import from_mapping, to_mapping
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe, differences

# Files up to this size are hashed when a finished stage is looked at again; of larger ones only the size is compared,
# so that a run of any size is looked through in a second. (Shards carry their own SHA-256 in their index.)
_HASHED_BYTES = 4 << 20


@dataclass(frozen=True)
class Job:
    """What a stage is given when it runs."""

    recipe: Recipe
    """The resolved recipe."""
    folder: RunFolder
    """The run, for reading what earlier stages wrote."""
    out: Path
    """Where to write: a temporary folder that takes the stage's name at the end, or the stage's own for a long one."""
    report: Progress
    """Lines and progress for the person who watches."""


@dataclass(frozen=True)
class Stage:
    """One step of the road."""

    name: str
    """Also the name of its folder."""
    does: str
    """What it does, for a person: the words after its name when it starts."""
    run: Callable[[Job], Mapping[str, Any]]
    """Does the work; returns a few results worth keeping in the record."""
    outputs: tuple[str, ...]
    """Globs, relative to the run folder, of the files that later stages and people rely on."""
    settings: Callable[[Recipe], Any]
    """The part of the recipe that decides what comes out (and nothing that only decides how fast)."""
    needs: tuple[str, ...] = ()
    """Stages whose outputs it reads."""
    version: int = 1
    """Raised when the code changes what comes out for the same inputs."""
    writes: Literal["folder", "file", "resumable"] = "folder"
    """A folder written whole and renamed; files of the run; or a folder that the stage itself keeps resumable."""
    costly: bool = False
    """Takes a good part of the budget: never redone without being asked."""
    rewritable: bool = False
    """Its files may be written anew by a verb of their own: that they are there is enough."""
    sources: Callable[[Recipe], Mapping[str, Sequence[Path]]] = lambda recipe: {}
    """Files outside the run that it reads, by what the recipe calls them."""
    check: Callable[[Recipe], None] = lambda recipe: None
    """Asked before any work begins: raises `DanluError` where something outside the run that it reads is not there."""


@dataclass(frozen=True)
class Record:
    """What a stage was made from and what it wrote: its stage.json."""

    stage: str
    """The stage's name."""
    state: Literal["begun", "done"]
    """`begun` only for a resumable stage that has not finished."""
    version: int
    """The stage's code version."""
    danlu: str
    """The package's version."""
    settings: Any
    """Its part of the recipe."""
    upstream: dict[str, str]
    """Fingerprints of the stages it read."""
    started: str
    """UTC, ISO 8601; of the session that finished it."""
    seconds: float = 0.0
    """How long that session took."""
    sources: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Outside files read, by what the recipe calls them: how many, their bytes, the last modification time (ns)."""
    source_hashes: dict[str, str] = field(default_factory=dict)
    """Hash of what stood in them: a copy of the same files, with other times, is the same."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """Files written, relative to the run: bytes, and SHA-256 of small ones; null where a rewritten one is fine."""
    results: dict[str, Any] = field(default_factory=dict)
    """A few figures."""

    @property
    def fingerprint(self) -> str:
        """Hash of what came out."""
        return sha256_json(self.outputs)


@dataclass(frozen=True)
class Status:
    """How a stage stands against the recipe now."""

    stage: Stage
    condition: Literal["todo", "begun", "done", "changed", "outdated", "damaged"]
    """`changed`: made from something else than what is asked for now; `outdated`: made by an older version of the
    stage's code."""
    details: tuple[str, ...] = ()
    """What changed, or what is damaged, in words."""


def record_path(stage: Stage, folder: RunFolder) -> Path:
    """Where a stage's record lies: in its folder, or under stages/ for one that writes single files."""
    if stage.writes == "file":
        return folder.path / "stages" / f"{stage.name}.json"
    return folder.path / stage.name / "stage.json"


def read_record(stage: Stage, folder: RunFolder) -> Record | None:
    """A stage's record; None where it never ran.

    Raises:
        DanluError: the record is damaged.
    """
    path = record_path(stage, folder)
    return from_mapping(Record, read_json(path), str(path)) if path.exists() else None


def status(stage: Stage, recipe: Recipe, folder: RunFolder, road: Sequence[Stage]) -> Status:
    """Compare a stage's record with the recipe, with the stages it read, and with its files."""
    record = read_record(stage, folder)
    if record is None:
        return Status(stage, "todo")
    changed = [
        f"{key}: {old} before, {new} now" for key, old, new in differences(record.settings, _settings(stage, recipe))
    ]
    changed += [
        f"{name} was made again and is not the same"
        for name, fingerprint in _upstream(stage, folder, road).items()
        if record.upstream.get(name) != fingerprint
    ]
    changed += _changed_sources(record, stage.sources(recipe))
    if changed:
        return Status(stage, "changed", tuple(changed))
    if record.state == "begun":
        return Status(stage, "begun")
    damaged = _damage(record, folder)
    if damaged:
        return Status(stage, "damaged", tuple(damaged))
    if record.version != stage.version:
        return Status(stage, "outdated", (f"made by danlu {record.danlu}, which did this differently",))
    return Status(stage, "done")


def carry_out(stage: Stage, recipe: Recipe, folder: RunFolder, road: Sequence[Stage], report: Progress) -> Record:
    """Run a stage and keep its record, in an order that leaves no moment at which a kill loses or invents anything."""
    sources = stage.sources(recipe)
    record = Record(
        stage=stage.name,
        state="begun",
        version=stage.version,
        danlu=__version__,
        settings=_settings(stage, recipe),
        upstream=_upstream(stage, folder, road),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        sources=_measure(sources),
        source_hashes={name: digest for name, paths in sources.items() if (digest := _hash(paths))},
    )
    path, began = record_path(stage, folder), time.monotonic()

    def finish(results: Mapping[str, Any], outputs: dict[str, Any], at: Path) -> Record:
        seconds = round(time.monotonic() - began, 3)
        done = replace(record, state="done", seconds=seconds, results=dict(results), outputs=outputs)
        write_json(at, to_mapping(done))
        return done

    own = folder.path / stage.name
    if stage.writes == "folder":
        with folder_atomic(own) as temporary:
            results = stage.run(Job(recipe, folder, temporary, report))
            outputs = {f"{stage.name}/{name}": about for name, about in _files(temporary, ("**/*",)).items()}
            return finish(results, outputs, temporary / path.name)
    if stage.writes == "resumable":
        if status(stage, recipe, folder, road).condition in ("changed", "outdated"):
            discard(own)
        write_json(path, to_mapping(record))
        results = stage.run(Job(recipe, folder, own, report))
    else:
        path.unlink(missing_ok=True)
        results = stage.run(Job(recipe, folder, folder.path, report))
    outputs = _files(folder.path, stage.outputs)
    return finish(results, dict.fromkeys(outputs) if stage.rewritable else outputs, path)


def discard(folder: Path) -> None:
    """Remove a folder so that a kill in between leaves it whole or gone, never half."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _settings(stage: Stage, recipe: Recipe) -> Any:
    return to_mapping(stage.settings(recipe))


def _upstream(stage: Stage, folder: RunFolder, road: Sequence[Stage]) -> dict[str, str]:
    records = {other.name: read_record(other, folder) for other in road if other.name in stage.needs}
    return {name: record.fingerprint for name, record in records.items() if record and record.state == "done"}


def _files_of(paths: Sequence[Path]) -> list[Path]:
    """Those that are there."""
    return [path for path in paths if path.exists()]


def _measure(sources: Mapping[str, Sequence[Path]]) -> dict[str, tuple[int, int, int]]:
    found = {}
    for name, paths in sources.items():
        stats = [path.stat() for path in _files_of(paths)]
        if stats:
            found[name] = len(stats), sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)
    return found


def _hash(paths: Sequence[Path]) -> str | None:
    """Of what stands in the files, in their order; None where one cannot be read: the stage that reads it says so."""
    try:
        return sha256_json([sha256_file(path) for path in _files_of(paths)])
    except OSError:
        return None


def _changed_sources(record: Record, sources: Mapping[str, Sequence[Path]]) -> list[str]:
    """Files that are no longer the same. Those that are gone matter no more: their text is in the run."""

    def same(name: str, now: tuple[int, int, int]) -> bool:
        before = record.sources.get(name)
        if before is None or before == now:
            return before == now
        digest = record.source_hashes.get(name)
        return before[:2] == now[:2] and digest is not None and digest == _hash(sources[name])

    return [f"{name} has changed since it was read" for name, now in _measure(sources).items() if not same(name, now)]


def _files(root: Path, globs: Sequence[str]) -> dict[str, Any]:
    """Bytes, and SHA-256 where small, of the files that match, by name relative to `root`."""
    found = sorted({path for pattern in globs for path in root.glob(pattern) if path.is_file()})
    about: dict[str, Any] = {}
    for path in found:
        size = path.stat().st_size
        digest = sha256_file(path) if size <= _HASHED_BYTES else None
        about[path.relative_to(root).as_posix()] = {"bytes": size, "sha256": digest}
    return about


def _damage(record: Record, folder: RunFolder) -> list[str]:
    """What is wrong with the files a stage wrote, in words."""
    wrong = []
    for name, about in record.outputs.items():
        path = folder.path / name
        if not path.is_file():
            wrong.append(f"{path} is missing")
        elif about is None:
            continue
        elif path.stat().st_size != about["bytes"]:
            wrong.append(f"{path} is {path.stat().st_size:,} bytes, {about['bytes']:,} were written")
        elif about["sha256"] and sha256_file(path) != about["sha256"]:
            wrong.append(f"{path} is not what was written")
    return wrong
