"""A script on several processes, as a user starts them: with torchrun."""

import os
import subprocess
import sys
from pathlib import Path


def torchrun(count: int, script: str, folder: Path, *arguments: str | Path, timeout: float | None = None) -> None:
    """Run a script, written into `folder`, on `count` processes of one thread each; it must end well."""
    path = folder / "script.py"
    path.write_text(script)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    done = subprocess.run(
        [*launch, str(path), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
