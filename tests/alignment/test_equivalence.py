"""The equivalence matrix: processes, micro-batches, padding on the left and resuming change nothing but rounding.

On one process all cases; on two the half in which every two settings meet in all ways (an orthogonal array), and all of
them where the environment variable DANLU_ALL_CASES is set (which takes some minutes more).
"""

import itertools
import json
import os
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gloo with FSDP is not supported there"),
]
EVERY = list(itertools.product((1, 4), (0, 7), (False, True)))
HALF = [(1, 0, False), (1, 7, True), (4, 0, True), (4, 7, False)]
ON_TWO = EVERY if os.environ.get("DANLU_ALL_CASES") else HALF
CASES = {
    count: [(step, *one) for step in ("sft", "reward") for one in some] for count, some in ((1, EVERY), (2, ON_TWO))
}
"""For each number of processes: step, micro-batch size, padding on the left, resumed."""
STEPS = 4

SCRIPT = f"""
import importlib.util, os, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("tiny", {str(Path(__file__).with_name("conftest.py"))!r})
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
spec = importlib.util.spec_from_file_location("cases", {__file__!r})
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
cases.run_all(tiny, Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
"""


class _Killed(BaseException):
    pass


def run_all(tiny, base: Path, out: Path, processes: int) -> None:
    """Every case in this process, which may be one of several."""
    for case in CASES[processes]:
        _run(tiny, base, out / "-".join(map(str, case)), *case)


def _run(tiny, base: Path, out: Path, step: str, micro: int, padding: int, resumed: bool) -> None:
    from danlu.alignment.reward import run_reward
    from danlu.alignment.sft import run_sft
    from danlu.alignment.tuning_config import RewardConfig, SFTConfig
    from danlu.common.progress import Progress
    from danlu.training import run

    common = {"batch_size": 8, "epochs": STEPS * 8 / 24, "lr": 1e-3, "micro_batch_size": micro, "device": "cpu",
              "precision": "fp32", "checkpoint_seconds": 0.0 if resumed else 1e9}  # fmt: skip

    def train() -> None:
        if step == "sft":
            run_sft(
                base, tiny.make_demonstrations(24), tiny.make_demonstrations(6, 1),
                SFTConfig(**common, evaluations=2, select="last"), out, Progress(silent=True), left_padding=padding,
            )  # fmt: skip
        else:
            run_reward(
                base, tiny.make_rankings(24), tiny.make_rankings(6, 1), tiny.make_demonstrations(4),
                RewardConfig(**common), out, Progress(silent=True), left_padding=padding,
            )  # fmt: skip

    if resumed:
        original = run.train_steps

        def dying(*arguments, **options):
            for result in original(*arguments, **options):
                if result.step == 3:
                    raise _Killed
                yield result

        run.train_steps = dying
        try:
            train()
        except _Killed:
            pass
        finally:
            run.train_steps = original
    train()


@pytest.fixture(scope="module")
def outcomes(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each number of processes, and in it one for each case."""
    from tests.processes import torchrun  # not above: the script reads this file too, where there is no `tests`

    out = tmp_path_factory.mktemp("matrix")
    for count in (1, 2):
        torchrun(count, SCRIPT, out, base, out / str(count), str(count))
    return out


def _outcome(folder: Path) -> tuple[list[float], dict[str, torch.Tensor], float]:
    from safetensors.torch import load_file

    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [entry.get("loss", entry.get("heldout_loss")) for entry in entries]
    bias = json.loads((folder / "model/config.json").read_text()).get("score_bias", 0.0)
    return losses, load_file(folder / "model/model.safetensors"), bias


@pytest.mark.parametrize(
    ("processes", "case"), [(count, case) for count in CASES for case in CASES[count]], ids=lambda one: str(one)
)
def test_losses_and_parameters_are_the_same(outcomes: Path, processes: int, case: tuple[str, int, int, bool]) -> None:
    losses, weights, bias = _outcome(outcomes / "1" / "-".join(map(str, (case[0], 4, 0, False))))
    found = _outcome(outcomes / str(processes) / "-".join(map(str, case)))
    assert len(losses) == STEPS + 2 * (case[0] == "sft")
    assert found[0] == pytest.approx(losses, abs=1e-5)
    assert found[2] == pytest.approx(bias, abs=1e-5)
    for name, tensor in weights.items():
        torch.testing.assert_close(found[1][name], tensor, atol=1e-5, rtol=0)


def test_the_steps_changed_the_parameters(outcomes: Path, base: Path) -> None:
    from safetensors.torch import load_file

    begun = load_file(base / "model.safetensors")
    for step in ("sft", "reward"):
        _, weights, _ = _outcome(outcomes / "2" / f"{step}-1-7-True")
        assert max(float((weights[n] - begun[n]).abs().max()) for n in begun if n in weights) > 1e-3
