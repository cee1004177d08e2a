import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.pipeline.folder import RunFolder

_HOLD = """
import sys
from pathlib import Path
from danlu.pipeline.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "run")
    try:
        with pytest.raises(DanluError) as caught, RunFolder(tmp_path / "run").locked():
            pass
        assert f"process {holder.pid} " in caught.value.cause
    finally:
        holder.kill()
        holder.wait()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "run")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with RunFolder(tmp_path / "run").locked():
        assert str(os.getpid()) in (tmp_path / "run" / ".lock").read_text(encoding="utf-8")


def test_half_written_files_of_killed_processes_go(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    leftover, mine = tmp_path / "ladder" / ".points.jsonl.1234.tmp", tmp_path / ".mine.tmp.txt"
    leftover.parent.mkdir()
    for path in (leftover, mine):
        path.write_text("x", encoding="utf-8")
    with folder.locked():
        assert not leftover.exists()
        assert mine.exists()


def test_a_place_that_cannot_be_written_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DanluError, match="cannot write"), RunFolder(tmp_path / "file" / "run").locked():
        pass
