"""Rungs in several processes give the points that one after the other gives, and nothing is lost when they stop."""

import contextlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.hardware.executor import Here, OnRay, Processes
from danlu.scaling.points import Point


@dataclass(frozen=True)
class Pretended:
    """A rung that does what its name says; top-level, so that it travels to another process."""

    name: str
    folder: Path
    kind = "Rung", "ladder"

    @property
    def legs(self) -> Sequence[tuple[str, float]]:
        return [(f"{self.name} long", 2.0), (f"{self.name} short", 1.0)]

    def __call__(self, report: Progress) -> tuple[Point, ...]:
        report("begins")
        report.show(1, 2, f"{self.name} long", "loss 3.0 · 5 tokens/s")
        if self.name == "fails":
            raise DanluError("step 3: the loss is nan.", "Lower the learning rate.")
        if self.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / self.name).write_text(f"{os.getpid()} {_threads()}")
        return (Point(self.name, 10, 10, 10, 100, 6000.0, 2.0, None, 1000, 10, 0.02, 0, 1.0, 100.0),)


def _threads() -> int:
    return torch.get_num_threads()


class Heard(Progress):
    """A reporter that remembers."""

    def __init__(self) -> None:
        super().__init__(terminal=False)
        self.lines: list[str] = []
        self.shown: list[tuple[float, float, str, str]] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def show(self, done: float, total: float, label: str = "", note: str = "") -> None:
        self.shown.append((done, total, label, note))


def test_each_rung_has_a_process_and_threads_of_its_own_and_failures_do_not_spread(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))  # where a worker finds `Pretended`
    jobs = [Pretended(name, tmp_path) for name in ("one", "fails", "killed", "two")]
    heard = Heard()
    outcomes = dict(Processes(at_once=2, threads=1)(jobs, heard))
    assert [[point.rung for point in outcomes[place].result or ()] for place in range(4)] == [["one"], [], [], ["two"]]
    assert outcomes[1].cause == "step 3: the loss is nan."
    assert "exit code -9" in outcomes[2].cause
    (first, threads), (second, _) = ((tmp_path / name).read_text().split() for name in ("one", "two"))
    assert len({first, second, str(os.getpid())}) == 3
    assert threads == "1"
    assert "one: begins" in heard.lines
    assert heard.shown[0][:3] == (1.0, 12.0, "ladder")
    assert max(done for done, *_ in heard.shown) <= 12.0


def test_here_is_the_same_in_this_process(tmp_path):
    jobs = [Pretended(name, tmp_path) for name in ("one", "fails", "two")]
    outcomes = dict(Here()(jobs, Heard()))
    assert [len(outcomes[place].result or ()) for place in range(3)] == [1, 0, 1]
    assert (tmp_path / "one").read_text().split()[0] == str(os.getpid())


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DanluError, match="needs Ray") as caught:
        list(OnRay(1, 0)([Pretended("one", tmp_path)], Heard()))
    assert "danlu[ray]" in caught.value.remedy


LADDER = """
import os
import signal
import sys
import time
from pathlib import Path
from danlu.cli import main as cli
from danlu.common.progress import Progress
from danlu.model.family import shape
from danlu.scaling.design import LadderPlan, Rung
from danlu.hardware.executor import Processes
from danlu.scaling.ladder_run import run_ladder
from danlu.tokens.shards import TokenWriter
from danlu.training import run as training
from danlu.training.config import TrainingConfig

folder = Path("FOLDER")
tokens, hold = folder / "tokens", folder / "hold"
if not tokens.exists():
    writer = TokenWriter(tokens / "train", 64, 0, "none", keep_spans=False)
    for start in range(400):
        writer.write([1 + (start + i) % 63 for i in range(30)], 30, "counting")
    writer.close()

def rung(width, seed):
    model = shape(width, 64, 16)
    horizons = (256 * 60, 256 * 120)
    costs = tuple(model.flops_per_token(16) * horizon for horizon in horizons)
    return Rung(f"w{width}-{seed}", model, seed, horizons, 256, costs, sum(costs))

rungs = (rung(24, 0), rung(24, 1), rung(32, 0))
plan = LadderPlan(1e12, 1e12, 16, 64, 20.0, 0.4, None, 4.0, rungs, sum(r.flops for r in rungs), ())
config = TrainingConfig(context=16, micro_batch_tokens=256, precision="fp32", device="cpu")

def fingerprint():  # of the weights, in the place of a held-out loss
    return lambda model: (sum(p.detach().double().abs().sum().item() for p in model.parameters()), 0.1)

def run(out, executor):
    run_ladder(plan, tokens, config, out, Progress(terminal=False), fingerprint, executor)

def wait_for_a_stop():
    asked, handler = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: (asked.append(number), handler(number, frame)))
    (hold / str(os.getpid())).touch()
    while not asked:
        time.sleep(0.01)

def held(*arguments, **options):  # each training stands still after its tenth step, for as long as there is a `hold`
    for count, result in enumerate(train_steps(*arguments, **options), 1):
        if count == 10 and hold.exists():
            wait_for_a_stop()
        yield result

if __name__ != "here":
    train_steps, training.train_steps = training.train_steps, held
if __name__ == "__main__":  # no other reader of this file shall find the verbs changed
    cli._verb = lambda name: lambda words: run(folder / "torn", Processes(2, 1))
    sys.exit(cli.main(["ladder"]))
"""


def _start(tmp_path: Path) -> "subprocess.Popen[str]":
    script = tmp_path / "ladder.py"
    script.write_text(LADDER.replace("FOLDER", str(tmp_path)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _start_and_wait_until_two_rungs_stand_still(tmp_path: Path) -> "subprocess.Popen[str]":
    hold = tmp_path / "hold"
    shutil.rmtree(hold, ignore_errors=True)
    hold.mkdir()
    process = _start(tmp_path)
    while len(list(hold.iterdir())) < 2:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            pytest.fail(f"it ended before: {process.communicate()[1]}")
    return process


def _losses(path: Path) -> list[tuple[str, int, float]]:
    points = [json.loads(line) for line in (path / "points.jsonl").read_text().splitlines()]
    return [(point["rung"], point["tokens"], point["loss"]) for point in points]


@pytest.mark.slow
def test_stopped_and_killed_ladders_end_as_one_that_ran_through(tmp_path):
    stopped = _start_and_wait_until_two_rungs_stand_still(tmp_path)
    os.kill(stopped.pid, signal.SIGTERM)
    _, err = stopped.communicate()
    assert (stopped.returncode, err) == (143, "danlu: stopped; finished work is saved.\n  To continue: danlu ladder\n")
    saved = sorted(path.parent.parent.parent.name for path in (tmp_path / "torn").glob("*/trunk/checkpoints/step-*"))
    assert saved == ["w24-0", "w24-1"]  # the rungs under way

    killed = _start_and_wait_until_two_rungs_stand_still(tmp_path)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()

    shutil.rmtree(tmp_path / "hold")
    again = _start(tmp_path)
    _, err = again.communicate()
    assert again.returncode == 0, err

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    script = runpy.run_path(str(tmp_path / "ladder.py"), run_name="here")
    script["run"](tmp_path / "whole", Here())
    torch.set_num_threads(threads)
    assert _losses(tmp_path / "torn") == _losses(tmp_path / "whole")
