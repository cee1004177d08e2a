"""JSON lines that a run appends to, cut back to the checkpoint when it resumes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from danlu.common.files import write_atomic, writing


class Journal:
    """A .jsonl file whose lines carry a step.

    Args:
        path: the file.
        after_step: lines of later steps, written by an interrupted run after its last checkpoint, are dropped, and so
            are that step's own held-out measurements (`heldout_...`), which are made after the checkpoint, and a last
            line that was cut off.
    """

    def __init__(self, path: Path, after_step: int) -> None:
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = []
            if path.exists():
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    try:
                        entry = json.loads(line)
                    except json.JSONDecodeError:
                        break
                    measured = any(name.startswith("heldout_") for name in entry)
                    if entry["step"] < after_step or (entry["step"] == after_step and not measured):
                        kept.append(line + "\n")
            write_atomic(path, "".join(kept))
            self._file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, entry: Mapping[str, float | int | str | bool]) -> None:
        """Append one line."""
        with writing(self._path):
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
