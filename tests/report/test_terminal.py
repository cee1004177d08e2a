import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from danlu.report import terminal_summary


def printed(run: Path, width: int = 80) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(terminal_summary(run))
    return capture.get()


def test_the_essentials_fit_eighty_columns(run: Path) -> None:
    text = printed(run)
    assert "toy language, seed 0" in text
    for words in ("1.1139", "1.1055 – 1.1233", "1.1184", "+0.41%", "inside", "3 min 10 s – 4 min 00 s", "danlu chat"):
        assert words in text
    assert "…" not in text


def test_a_run_under_way_says_how_to_go_on(fabricate: Callable[..., Path], tmp_path: Path) -> None:
    text = printed(fabricate(tmp_path / "run", ("recipe", "corpus")), width=200)
    assert "the step “tokens” has not finished" in text
    assert f"danlu run {tmp_path / 'run'}" in text


def test_markup_in_a_name_is_text(fabricate: Callable[..., Path], tmp_path: Path) -> None:
    assert "[bold]x" in printed(fabricate(tmp_path / "[bold]x", ()))


@pytest.mark.parametrize("module", ["danlu.report"])
def test_importing_the_room_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
