import errno
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from danlu.cli import main as cli
from danlu.cli.main import main
from danlu.common.errors import DanluError
from danlu.common.interrupt import Stopped

Pretend = Callable[[BaseException | None], None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pretend:
    """Give the verb `run` a body that raises what it is told."""

    def install(error: BaseException | None) -> None:
        def body(words: list[str]) -> None:
            if error:
                raise error

        module = types.SimpleNamespace(main=body)
        monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)
        monkeypatch.setattr(cli.tempfile, "gettempdir", lambda: str(tmp_path))
        monkeypatch.delenv("DANLU_DEBUG", raising=False)

    return install


class _CheckpointException(BaseException):
    """torch's is not an Exception either."""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_names_every_verb_and_every_verb_has_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in cli._VERBS:
        assert f"  {verb} " in out
        assert (Path(cli.__file__).parent / f"{verb.replace('-', '_')}.py").exists()


def test_help_needs_neither_torch_nor_tyro_nor_numpy() -> None:
    code = (
        "import sys, json; from danlu.cli.main import main; main(['--help']);"
        "print(json.dumps([m for m in ('torch', 'tyro', 'rich', 'numpy') if m in sys.modules]), file=sys.stderr)"
    )
    assert json.loads(_python(code).stderr) == []


@pytest.mark.parametrize("verb", list(cli._VERBS))
def test_a_verbs_help_does_not_import_torch(verb: str) -> None:
    code = (
        "import sys\nfrom danlu.cli.main import main\n"
        f"try: main([{verb!r}, '--help'])\nexcept SystemExit as end: assert not end.code, end.code\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = _python(code)
    assert done.stderr == "False\n"
    assert f"usage: danlu {verb}" in done.stdout


def test_an_unknown_verb_is_met_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forcast"]) == 2
    assert "'forecast'" in capsys.readouterr().err


def test_success_is_zero(pretend: Pretend) -> None:
    pretend(None)
    assert main(["run"]) == 0


def test_a_users_error_is_two_lines(pretend: Pretend, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(DanluError("the cup is empty.", "Fill it."))
    assert main(["run"]) == 2
    assert capsys.readouterr().err == "danlu: the cup is empty.\n  Fill it.\n"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_says_how_to_continue(
    pretend: Pretend, capsys: pytest.CaptureFixture[str], signum: int, code: int
) -> None:
    pretend(Stopped(signum))
    assert main(["run", "--out", "a b"]) == code
    assert capsys.readouterr().err.endswith("To continue: danlu run --out 'a b'\n")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/full/file"),
        RuntimeError(
            "[enforce fail at inline_container.cc:672] . PytorchStreamWriter failed writing file data/0:"
            " file write failed"
        ),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        _CheckpointException(
            "ranks:dict_keys([0])\nRuntimeError: [enforce fail at x.cc:671] . unexpected pos 704 vs 598"
        ),
    ],
)
def test_a_full_disk_is_plain_whoever_met_it(
    pretend: Pretend, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    pretend(error)
    assert main(["run"]) == 2
    assert capsys.readouterr().err.startswith("danlu: no space left on the disk")


def test_a_full_disk_is_found_under_other_errors(pretend: Pretend, capsys: pytest.CaptureFixture[str]) -> None:
    outer = ValueError("saving failed")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    pretend(outer)
    assert main(["run"]) == 2
    assert "no space left" in capsys.readouterr().err


def test_what_nobody_foresaw_is_kept_in_a_file_and_not_on_the_screen(
    pretend: Pretend, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pretend(KeyError("gone"))
    assert main(["run"]) == 1
    err = capsys.readouterr().err
    (kept,) = tmp_path.glob("danlu-*.txt")
    assert str(kept) in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 2
    assert "Traceback" in kept.read_text(encoding="utf-8")


def test_with_debug_the_traceback_comes_through(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(KeyError("gone"))
    monkeypatch.setenv("DANLU_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["run"])


def test_a_real_signal_ends_in_a_plain_message() -> None:
    code = (
        "import sys, time, types\nfrom danlu.cli import main as cli\n"
        "def body(words):\n    print('ready', flush=True)\n    while True: time.sleep(0.1)\n"
        "cli.importlib.import_module = lambda name: types.SimpleNamespace(main=body)\n"
        "sys.exit(cli.main(['run']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 143
    assert err == "danlu: stopped; finished work is saved.\n  To continue: danlu run\n"
