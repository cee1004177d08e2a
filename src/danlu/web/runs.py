"""The dashboard's endpoints: the runs under a folder, read from their files as they grow."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from danlu.common.errors import DanluError
from danlu.web.endpoints import Call, admit, answered, endpoint
from danlu.web.streaming import EventStream, event

_POLL_SECONDS = 1.0
_MARKS = ("recipe.toml", "manifest.json", "pretrain.json", "metrics.jsonl")
"""A folder with one of these is a run."""
_DEEPEST = 3
_LONGEST = 16 << 20
"""Files beyond so many bytes are not read whole."""
_MOST_POINTS = 2000
"""Most lines of a metrics file that go out at once; of more, every n-th."""


def routes() -> list[BaseRoute]:
    """The routes of this file. A run's name is its path under the folder."""
    return [
        endpoint("/api/runs", _list),
        endpoint("/api/runs/{name:path}/metrics", _metrics),
        endpoint("/api/runs/{name:path}/report", _report),
        Route("/api/runs/{name:path}/events", answered(_events), methods=["GET"]),
        endpoint("/api/runs/{name:path}", _detail),
    ]


def _list(call: Call) -> list[dict[str, Any]]:
    root = _root(call)
    return [_head(root, folder) for folder in find_runs(root)]


def _detail(call: Call) -> dict[str, Any]:
    """All small files of a run: stages, forecast, verdict, results; and which metrics and samples there are."""
    root, folder = _root(call), _run(call)
    whole = {name: _json(folder / f"{name}.json") for name in ("manifest", "forecast", "verdict")}
    whole = {name: value if isinstance(value, dict) else None for name, value in whole.items()}
    unreadable = [
        f"{name}.json" for name, value in whole.items() if value is None and (folder / f"{name}.json").exists()
    ]
    results: dict[str, Any] = {}
    for path in sorted(folder.glob("*/*.json")):
        name, value = path.relative_to(folder).as_posix(), _json(path)
        if value is None:
            unreadable.append(name)
        elif path.name != "stage.json" and path.stat().st_size < _LONGEST // 16:
            results[name] = value
    return {
        **_head(root, folder),
        **whole,
        "recipe": _text(folder / "recipe.toml"),
        "command": _command(whole["manifest"]),
        "results": results,
        "metrics": sorted(path.relative_to(folder).as_posix() for path in _metric_files(folder)),
        "samples": sorted(path.relative_to(folder).as_posix() for path in _sample_files(folder)),
        "unreadable": unreadable,
    }


def _report(call: Call) -> Response:
    """The run's report, in an origin of its own: its scripts cannot reach this server."""
    path = _run(call) / "report.html"
    if not path.is_file():
        raise DanluError("the run has no report.", "Make it with danlu report.")
    allowed = "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    policy = f"sandbox allow-scripts; default-src 'none'; {allowed}"
    return FileResponse(path, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy})


def _metrics(call: Call) -> dict[str, Any]:
    """?file=pretrain/metrics.jsonl&after=BYTES: lines of metrics or samples, and the place to go on from."""
    folder = _run(call)
    wanted = call.query.get("file", "pretrain/metrics.jsonl")
    files = (*_metric_files(folder), *_sample_files(folder))
    path = next((each for each in files if each.relative_to(folder).as_posix() == wanted), None)
    if path is None:
        raise DanluError(f"the run has no {wanted[:200]!r}.", "GET /api/runs/NAME lists its metrics.")
    return tail(path, call.number("after", 0, most=2**53))


async def _events(request: Request) -> Response:
    """Server-sent events: which files of the run have changed, as they change: {"changed": {FILE: BYTES}}."""
    call = await admit(request, ("admin",))
    folder = await run_in_threadpool(_run, call)
    draining = call.services.draining

    async def watch() -> AsyncIterator[bytes]:
        seen: dict[str, tuple[int, int]] = {}
        while True:
            now = await run_in_threadpool(_sizes, folder)
            changed = {name: size for name, (size, time) in now.items() if seen.get(name) != (size, time)}
            if changed:
                yield event({"changed": changed})
            seen = now
            try:
                await asyncio.wait_for(draining.wait(), _POLL_SECONDS)
                return
            except TimeoutError:
                yield b": still here\n\n"

    return EventStream(watch())


def find_runs(root: Path) -> list[Path]:
    """The run folders under a folder, the newest first."""

    def walk(folder: Path, depth: int) -> Iterator[Path]:
        if any((folder / mark).is_file() for mark in _MARKS):
            yield folder
            return
        if depth < _DEEPEST:
            for child in _inside(folder):
                if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
                    yield from walk(child, depth + 1)

    found = list(walk(root, 0)) if root.is_dir() else []
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # somebody else's, or gone a moment ago
        return []


def tail(path: Path, after: int) -> dict[str, Any]:
    """The whole lines of a JSON-lines file behind a place; a last line without its end is still being written.

    A file that has become shorter (a resumed run cuts it back) is read again from its beginning: `reset` is true then.
    """
    size = path.stat().st_size
    reset = after > size
    after = 0 if reset else after
    with path.open("rb") as file:
        file.seek(after)
        data = file.read(_LONGEST)
    data = data[: data.rfind(b"\n") + 1]
    lines = []
    raw = data.splitlines()
    every = max(1, -(-len(raw) // _MOST_POINTS))
    for number, line in enumerate(raw):
        # Lines with more than training losses (evaluations) are few and are all kept.
        if number % every == 0 or number == len(raw) - 1 or b"heldout" in line or b"eval" in line:
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):  # a torn line: the rest is still worth showing
                continue
            if isinstance(found, dict):
                lines.append(found)
    return {"lines": lines, "next": after + len(data), "every": every, "reset": reset}


def _root(call: Call) -> Path:
    root = call.services.config.runs
    return Path("runs") if root is None else root


def _run(call: Call) -> Path:
    """The run of a name: one that `find_runs` found, so that no name leads out of the folder."""
    root = _root(call)
    wanted = call.path["name"]
    found = next((folder for folder in find_runs(root) if _name(root, folder) == wanted), None)
    if found is None:
        raise DanluError(f"there is no run {wanted[:200]!r}.", "GET /api/runs lists them.")
    return found


def _name(root: Path, folder: Path) -> str:
    return folder.relative_to(root).as_posix() if folder != root else folder.resolve().name


def _head(root: Path, folder: Path) -> dict[str, Any]:
    stages = {}
    for path in (*folder.glob("*/stage.json"), *folder.glob("stages/*.json")):
        record = _json(path)
        if isinstance(record, dict):
            name = path.parent.name if path.name == "stage.json" else path.stem
            stages[name] = {key: record.get(key) for key in ("state", "started", "seconds", "results")}
    files = [path for path in folder.rglob("*.json*") if path.is_file()]
    return {
        "name": _name(root, folder),
        "stages": stages,
        "updated": max((path.stat().st_mtime for path in files), default=folder.stat().st_mtime),
        "has_report": (folder / "report.html").is_file(),
    }


def _metric_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.jsonl") if path.name in ("metrics.jsonl", "timing.jsonl", "points.jsonl")]


def _sample_files(folder: Path) -> list[Path]:
    """What the model wrote as it was trained, a line a prompt and moment."""
    return [*folder.glob("samples.jsonl"), *folder.glob("*/samples.jsonl")]


def _sizes(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in (*folder.rglob("*.json"), *folder.rglob("*.jsonl")):
        try:
            stat = path.stat()
        except OSError:  # renamed a moment ago
            continue
        found[path.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns)
    return found


def _json(path: Path) -> Any:
    """A JSON file's value; null where there is none or it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size < _LONGEST else None
    except (OSError, ValueError, RecursionError):
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:_LONGEST]
    except OSError:
        return None


def _command(manifest: dict[str, Any] | None) -> str | None:
    """The command that makes the run again."""
    command = None if manifest is None else manifest.get("command")
    return command if isinstance(command, str) else None
