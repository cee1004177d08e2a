"""A ladder trains its rungs and its branches, keeps what is done, and continues."""

import json
from dataclasses import replace

import pytest

from danlu.common.errors import DanluError
from danlu.common.progress import Progress
from danlu.model.family import shape
from danlu.scaling import ladder_run as module
from danlu.scaling.design import LadderPlan, Rung
from danlu.scaling.ladder_run import run_ladder
from danlu.scaling.points import Point
from danlu.tokens.shards import TokenWriter
from danlu.training.config import TrainingConfig

CONFIG = TrainingConfig(context=16, micro_batch_tokens=256, precision="fp32", device="cpu")


def evaluator():
    return lambda model: (1.0, 0.1)


def rung(width: int, seed: int) -> Rung:
    model = shape(width, 64, 16)
    horizons = (256 * 6, 256 * 12)
    costs = tuple(model.flops_per_token(16) * horizon for horizon in horizons)
    return Rung(f"w{width}-{seed}", model, seed, horizons, 256, costs, sum(costs))


def test_points_resume_and_seeds(tmp_path, monkeypatch):
    tokens = tmp_path / "tokens"
    writer = TokenWriter(tokens / "train", 64, 0, "none", keep_spans=False)
    for start in range(400):
        writer.write([1 + (start + i) % 63 for i in range(30)], 30, "counting")
    writer.close()
    rungs = (rung(24, 0), rung(24, 1))
    plan = LadderPlan(1e12, 1e12, 16, 64, 20.0, 0.4, None, 4.0, rungs, sum(r.flops for r in rungs), ())
    out, quiet = tmp_path / "ladder", Progress(terminal=False)

    points = run_ladder(plan, tokens, CONFIG, out, quiet, evaluator)
    assert [(p.rung, p.tokens) for p in points] == [(r.name, h) for r in rungs for h in r.horizons]
    assert [p.seed for p in points] == [0, 0, 1, 1]
    assert not list(out.glob("*/*/checkpoints"))
    lines = (out / "points.jsonl").read_text().splitlines()
    assert [json.loads(line)["tokens"] for line in lines] == [p.tokens for p in points]

    (out / "points.jsonl").write_text("\n".join(lines[:2]) + "\n")
    trained = []
    original = module.pretrain
    monkeypatch.setattr(module, "pretrain", lambda *a, **k: trained.append(k["label"]) or original(*a, **k))
    assert [p.rung for p in run_ladder(plan, tokens, CONFIG, out, quiet, evaluator)] == [p.rung for p in points]
    assert len(trained) == 2
    assert all(label.startswith("w24-1") for label in trained)


def test_a_rung_that_fails_is_noted_and_left_out(tmp_path, monkeypatch):
    rungs = (rung(24, 0), rung(24, 1), rung(32, 0))
    plan = LadderPlan(1e12, 1e12, 16, 64, 20.0, 0.4, None, 4.0, rungs, sum(r.flops for r in rungs), ())
    asked = []

    def train(job, report):
        asked.append(job.name)
        if job.name == "w24-1":
            raise DanluError("step 3: the loss is nan.", "Lower the learning rate.")
        return tuple(point(job.rung, horizon) for horizon in job.rung.horizons)

    monkeypatch.setattr(module.RungJob, "__call__", train)
    quiet = Progress(terminal=False)
    points = run_ladder(plan, tmp_path, CONFIG, tmp_path, quiet, evaluator)
    assert {p.rung for p in points} == {"w24-0", "w32-0"}
    assert json.loads((tmp_path / "w24-1/failed.json").read_text())["cause"] == "step 3: the loss is nan."
    run_ladder(plan, tmp_path, CONFIG, tmp_path, quiet, evaluator)
    assert asked == ["w24-0", "w24-1", "w32-0"]  # what failed is not tried again, what is done not repeated


def test_the_sweep_multiplies_both_rates(tmp_path, monkeypatch):
    used = []

    def train(model, tokens, horizon, config, *arguments, **options):
        used.append((config.lr, config.table_lr, config.warmup_steps))
        raise DanluError("enough.", "")

    monkeypatch.setattr(module, "pretrain", train)
    one, quiet = rung(32, 0), Progress(terminal=False)
    for factor in (1.0, 2.0):
        with pytest.raises(DanluError, match="enough"):
            module.RungJob(replace(one, lr_factor=factor), tmp_path, CONFIG, tmp_path, evaluator)(quiet)
    assert used == [(None, None, 1), (0.04, 2 * 0.64 / 32, 1)]


def point(one: Rung, tokens: int) -> Point:
    flops = one.model.flops_per_token(16) * tokens
    return Point(one.name, 1000, 1100, 900, tokens, flops, 2.0, 0.1, 10_000, 256, 0.02, one.seed, 1.0, 1000.0)
