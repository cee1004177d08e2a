"""A ladder trains its rungs and its branches, keeps what is done, and continues."""

import json

from danlu.common.progress import Progress
from danlu.model.family import shape
from danlu.scaling import ladder_run as module
from danlu.scaling.design import LadderPlan, Rung
from danlu.scaling.ladder_run import run_ladder
from danlu.tokens.shards import TokenWriter
from danlu.training.config import TrainingConfig

CONFIG = TrainingConfig(context=16, micro_batch_tokens=256, precision="fp32", device="cpu")


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

    def evaluate(model):
        return 1.0, 0.1

    points = run_ladder(plan, tokens, CONFIG, out, quiet, evaluate)
    assert [(p.rung, p.tokens) for p in points] == [(r.name, h) for r in rungs for h in r.horizons]
    assert [p.seed for p in points] == [0, 0, 1, 1]
    assert not list(out.glob("*/*/checkpoints"))
    lines = (out / "points.jsonl").read_text().splitlines()
    assert [json.loads(line)["tokens"] for line in lines] == [p.tokens for p in points]

    (out / "points.jsonl").write_text("\n".join(lines[:2]) + "\n")
    trained = []
    original = module.pretrain
    monkeypatch.setattr(module, "pretrain", lambda *a, **k: trained.append(k["label"]) or original(*a, **k))
    assert [p.rung for p in run_ladder(plan, tokens, CONFIG, out, quiet, evaluate)] == [p.rung for p in points]
    assert len(trained) == 2
    assert all(label.startswith("w24-1") for label in trained)
