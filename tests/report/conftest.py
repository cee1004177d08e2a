"""Fabricated run folders: plausible numbers, no training."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ENTROPY = 1.0123
RUNGS = {"w32": 46_080, "w48": 104_448, "w64": 212_992, "w96": 466_944, "w128": 917_504}
TARGET = {"params": 2_555_904, "tokens": 31_457_280}
EXPONENTS = (0.62, 0.55)


def surface(params: float, tokens: float) -> float:
    """The law that the fabricated run follows."""
    return 1.021 + 420 / params ** EXPONENTS[0] + 640 / tokens ** EXPONENTS[1]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_lines(path: Path, values: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")


def train(
    params: int, tokens: int, rng: random.Random, *, step_tokens: int = 8192, evaluations: bool = False
) -> list[Any]:
    """Metrics of one run: a noisy fall towards the surface, the last fifth of it a cooldown, held-out at the end."""
    lines: list[dict[str, float]] = []
    steps = tokens // step_tokens
    for step in range(1, steps + 1):
        seen = step * step_tokens
        cooled = max(0.0, (step / steps - 0.8) / 0.2)
        clean = min(math.log(1024), surface(params, seen) + 0.09 * (1 - cooled) + 4.5 * math.exp(-step / 18))
        lines.append({"step": step, "tokens": seen, "loss": clean * math.exp(rng.gauss(0, 0.012)), "lr": 0.02})
        if step == steps or (evaluations and step % (steps // 20) == 0):
            lines.append({"step": step, "tokens": seen, "heldout_loss": clean})
    return lines


def train_rung(folder: Path, params: int, ratios: tuple[int, ...], rng: random.Random) -> None:
    """The trunk of a rung, and cooldowns that branch off it."""
    *shorter, longest = ratios
    write_lines(folder / "trunk/metrics.jsonl", train(params, params * longest, rng))
    for ratio in shorter:
        lines = train(params, params * ratio, rng)
        write_lines(folder / f"{ratio}x/metrics.jsonl", lines[round(0.8 * len(lines)) :])


def ratios_of(params: int) -> tuple[int, ...]:
    """Tokens a parameter of a rung's lengths."""
    return (6, 12, 24) if params < 900_000 else (4, 8)


def points(rng: random.Random) -> list[dict[str, Any]]:
    made = []
    for name, params in RUNGS.items():
        for ratio in ratios_of(params):
            tokens = params * ratio
            made.append(
                {
                    "rung": name,
                    "params": params,
                    "params_all": round(params * 1.01),
                    "params_non_embedding": round(params * 0.7),
                    "tokens": tokens,
                    "flops": 6.6 * params * tokens,
                    "loss": surface(params, tokens) * math.exp(rng.gauss(0, 0.002)),
                    "loss_se": 0.0021,
                    "unique_tokens": 40_000_000,
                    "batch_tokens": 8192,
                    "lr": 0.02,
                    "seed": 0,
                    "seconds": 2.0 + params * tokens / 5e10,
                    "tokens_per_second": 4e10 / params,
                }
            )
    return made


EVERY_STEP = ("recipe", "corpus", "tokens", "ladder", "fit", "forecast", "pretrain", "verdict", "evaluation")
BYTES_PER_TOKEN = 3.62
MODEL = {
    "vocab_size": 1024,
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "head_dim": 32,
    "max_position_embeddings": 128,
}


def make_run(folder: Path, steps: tuple[str, ...] = EVERY_STEP) -> Path:
    """Write a run folder in which the given steps have run."""
    rng = random.Random(1)
    folder.mkdir(parents=True)
    ladder = points(rng)
    forecast = make_forecast(ladder)
    if "recipe" in steps:
        (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
        write(folder / "manifest.json", MANIFEST)
    if "corpus" in steps:
        write(folder / "corpus/corpus.json", CORPUS)
        write(folder / "corpus/stage.json", {"state": "done", "seconds": 6.13})
    if "tokens" in steps:
        write(folder / "tokens/tokens.json", TOKENS)
        write(folder / "tokens/stage.json", {"state": "done", "seconds": 9.4})
    if "ladder" in steps:
        write(folder / "ladder/plan.json", {"flops": 1.42e14, "warnings": ["The budget allows 5 sizes."]})
        write_lines(folder / "ladder/points.jsonl", ladder)
        for name, params in RUNGS.items():
            train_rung(folder / "ladder" / name, params, ratios_of(params), rng)
    if "fit" in steps:
        write(folder / "fit/fit.json", FIT)
    if "forecast" in steps:
        write(folder / "forecast.json", forecast)
    if "pretrain" in steps:
        lines = train(**TARGET, rng=rng, step_tokens=16_384, evaluations=True)
        write_lines(folder / "pretrain/metrics.jsonl", lines)
        write_lines(folder / "pretrain/timing.jsonl", TIMING)
        write(
            folder / "pretrain/result.json",
            {**RESULT, "loss": measured(forecast), "flops": forecast["target"]["flops"]},
        )
    if "verdict" in steps:
        write(folder / "verdict.json", make_verdict(forecast))
    if "evaluation" in steps:
        write(folder / "evaluation/evaluation.json", make_evaluation(measured(forecast)))
        write(folder / "evaluation/samples.json", SAMPLES)
    return folder


def measured(forecast: dict[str, Any]) -> float:
    loss: float = forecast["loss"]
    return loss * 1.0041


def bits_per_byte(loss: float) -> float:
    return loss / math.log(2) / BYTES_PER_TOKEN


def make_forecast(ladder: list[dict[str, Any]]) -> dict[str, Any]:
    flops = 6.6 * TARGET["params"] * TARGET["tokens"]
    loss = surface(**TARGET)
    low, high = loss * 0.9925, loss * 1.0085
    return {
        "loss": loss,
        "low": low,
        "high": high,
        "level": 0.9,
        "bits_per_byte": bits_per_byte(loss),
        "bits_per_byte_low": bits_per_byte(low),
        "bits_per_byte_high": bits_per_byte(high),
        "seconds": 211.0,
        "seconds_low": 190.0,
        "seconds_high": 240.0,
        "memory_bytes": 9.3e8,
        "memory_bytes_low": 8.1e8,
        "memory_bytes_high": 1.05e9,
        "target": {
            **TARGET,
            "flops": flops,
            "batch_tokens": 16_384,
            "unique_tokens": 39_800_122,
            "epochs": 0.79,
            "model": MODEL,
        },
        "law": {
            "name": "frontier",
            "formula": "L = E + k C^-g",
            "parameters": {"E": 1.0312, "k": 2870.5, "g": 0.3124},
        },
        "frontier_loss": loss * 1.0012,
        "floor_free_loss": loss * 0.9711,
        "speed": {"seconds_per_token": 1.1e-6, "seconds_per_flop": 2.1e-12, "spread": 0.12},
        "method": "L = E + k C^-g with C = 6 N D, fitted to 14 points of 5 sizes.",
        "noise": 0.0031,
        "drift": {
            "rate": 0.0081,
            "freedom": 3.0,
            "tests": [
                {
                    "rung": "w128",
                    "params": 917_504,
                    "tokens": 9_000_000,
                    "forecast": 1.2151,
                    "measured": 1.2124,
                    "beyond": 0.9,
                }
            ],
        },
        "repetition": None,
        "points": ladder,
        "extrapolation": {"C": flops / max(point["flops"] for point in ladder), "N": 2.79, "D_over_N": 1.54},
        "band": band(ladder, flops),
        "warnings": ["The text is short: the target will pass about 1.2 times over it."],
        "entropy_nats_per_token": ENTROPY,
        "created": "2026-11-24T03:10:41+00:00",
        "hash": "5d1f0c2a9b7e4f3312a4c6d8e0f1b2a3c4d5e6f708192a3b4c5d6e7f8091a2b3",
    }


def make_verdict(forecast: dict[str, Any]) -> dict[str, Any]:
    names = ("loss", "low", "high", "level", "seconds", "seconds_low", "seconds_high")
    names += ("memory_bytes", "memory_bytes_low", "memory_bytes_high")
    return {
        **{name: forecast[name] for name in names},
        "measured": measured(forecast),
        "relative_error": 0.0041,
        "inside": True,
        "measured_seconds": 219.7,
        "seconds_relative_error": 219.7 / 211 - 1,
        "seconds_inside": True,
        "measured_memory_bytes": 961_000_000.0,
        "memory_relative_error": 961 / 930 - 1,
        "memory_inside": True,
        "forecast_created": forecast["created"],
        "forecast_hash": forecast["hash"],
    }


def make_evaluation(loss: float) -> dict[str, Any]:
    scores = {
        "loss": loss,
        "bits_per_byte": bits_per_byte(loss),
        "tokens": 276_241,
        "bytes": 1_000_211,
        "loss_se": 0.0019,
    }
    return {**scores, "by_source": [{**scores, "source": "toy", "documents": 2688}]}


FIT = {
    "surface": {
        "formula": "L = E + A/N^alpha + B/D^beta",
        "parameters": {"E": 1.021, "A": 420.0, "B": 640.0, "alpha": 0.62, "beta": 0.55},
    }
}

RECIPE = """# The resolved recipe of this run: every setting, defaults included.
name = "quickstart"
budget = "3e13flops"

[corpus]
data = ["toy"]
heldout_share = 0.1

[corpus.toy]
seed = 0
entropy = 0.5
megabytes = 145.0
"""

MANIFEST = {
    "created": "2026-11-24T03:08:02+00:00",
    "command": "danlu run --out runs/quickstart",
    "danlu": "0.1.0",
    "git": "3fb2c1d08e5a4c0f9d1b7a6e5c4d3b2a19080706",
    "python": "3.13.5",
    "packages": {"torch": "2.15.0", "numpy": "2.4.1", "tokenizers": "0.24.0", "safetensors": "0.8.1"},
    "hardware": {
        "processor": "AMD EPYC 9R14",
        "architecture": "x86_64",
        "cores": 2,
        "memory_bytes": 16_400_000_000,
        "system": "Linux 6.12",
        "accelerators": [],
        "device": "cpu",
        "precision": "bf16",
        "peak_flops": {"fp32": 1.65e11, "bf16": 8.02e11},
        "host": "a-private-name",
    },
    "seeds": {"corpus.toy.seed": 0, "training.seed": 0},
    "data": {"train-00000.jsonl.zst": "9f" * 32, "heldout.jsonl.zst": "4c" * 32},
}
CORPUS = {
    "train": {
        "toy": {"documents": 383_207, "bytes": 144_034_112, "entropy_nats_per_byte": 0.2796, "entropy_bound": "exact"},
        "notes.md": {"documents": 12, "bytes": 40_112, "entropy_nats_per_byte": None, "entropy_bound": None},
    },
    "heldout": {
        "toy": {"documents": 2688, "bytes": 1_000_211, "entropy_nats_per_byte": 0.2794, "entropy_bound": "exact"}
    },
    "dropped": {"toy": {"duplicate": 318}, "notes.md": {"too_short": 3, "encoding": 1}},
    "first_dropped": {},
    "train_files": {"train-00000.jsonl.zst": "9f" * 32},
    "heldout_files": {"heldout.jsonl.zst": "4c" * 32},
}
TOKENS = {
    "vocab_size": 1024,
    "tokenizer_sha256": "7a" * 32,
    "train_tokens": 39_800_122,
    "train_documents": 383_219,
    "train_bytes": 144_074_224,
    "heldout_tokens": 276_241,
    "heldout_documents": 2688,
    "heldout_bytes": 1_000_211,
}
TIMING = [
    {"step": 960 * index, "seconds": 105.2 * index, "tokens_per_second": 1.5e5, "flops_fraction": 0.61}
    for index in (1, 2)
]
RESULT = {
    "loss_se": 0.0019,
    "steps": 1920,
    "tokens": 31_457_280,
    "seconds": 219.7,
    "tokens_per_second": 143_180.0,
    "peak_memory_bytes": 961_000_000,
    "flops_fraction": 0.613,
    "model": MODEL,
    "hyperparameters": {"lr": 0.02, "batch_tokens": 16384, "schedule": {"steps": 1920}},
    "skipped_steps": 0,
}
SAMPLES = [
    {
        "prompt": "Mia has a red kite. ",
        "text": "She gives the kite to Tom. Tom goes to the garden.\nQuestion: Who has it?\nAnswer: Tom.",
        "seed": 0,
        "temperature": 0.8,
        "top_p": 0.95,
    },
    {
        "prompt": "小明有一个苹果。",
        "text": "他把苹果给了小红。小红走到河边，把苹果放在石头上。\n问：苹果在哪里？\n答：在石头上。",
        "seed": 0,
        "temperature": 0.8,
        "top_p": 0.95,
    },
    {
        "prompt": "",
        "text": "The old dog sleeps near the door. It is raining, and nobody goes out.",
        "seed": 1,
        "temperature": 1.0,
        "top_p": 1.0,
    },
]


def band(ladder: list[dict[str, Any]], target_flops: float) -> list[dict[str, float]]:
    first, last = min(point["flops"] for point in ladder), 1.5 * target_flops
    largest = max(point["flops"] for point in ladder)
    made = []
    for index in range(40):
        flops = first * (last / first) ** (index / 39)
        params = (flops / 6.6 / 12.3) ** 0.5
        loss = surface(params, 12.3 * params)
        width = 0.003 + 0.0025 * max(0.0, math.log(flops / largest))
        made.append({"flops": flops, "loss": loss, "low": loss * (1 - width), "high": loss * (1 + width)})
    return made


@pytest.fixture
def fabricate() -> Callable[..., Path]:
    """The maker of run folders: `fabricate(folder, steps)`."""
    return make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run."""
    return make_run(tmp_path / "quickstart")
