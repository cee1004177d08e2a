"""A road of small fake stages with the real names, so that the machinery is tested without training anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from danlu.common.files import read_json, write_atomic, write_json
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.stage import Job, Stage

STEPS = 4


def _corpus(job: Job) -> Mapping[str, Any]:
    write_json(job.out / "corpus.json", {"text": job.recipe.corpus.toy.seed})
    write_atomic(job.out / "train-00000.bin", bytes(range(256)) * (1 + job.recipe.corpus.toy.seed))
    return {"documents": 3}


def _tokens(job: Job) -> Mapping[str, Any]:
    source = read_json(job.folder.corpus / "corpus.json")
    write_json(job.out / "index.json", {"tokens": source["text"] * 2})
    return {}


def _resumable(name: str, source: str, budget: bool) -> Any:
    """Counts up in steps, keeping each on the disk, from whatever it finds there."""

    def run(job: Job) -> Mapping[str, Any]:
        start = read_json(job.folder.path / source)
        state_path = job.out / "state.json"
        trail = read_json(state_path)["trail"] if state_path.exists() else []
        while len(trail) < STEPS:
            trail.append([len(trail), start, job.recipe.budget if budget else ""])
            write_json(state_path, {"trail": trail})
        write_json(job.out / "result.json", {"trail": trail})
        return {"steps": len(trail)}

    run.__name__ = name
    return run


def _forecast(job: Job) -> Mapping[str, Any]:
    write_json(job.folder.forecast, {"loss": read_json(job.folder.ladder / "result.json")["trail"]})
    return {}


def _verdict(job: Job) -> Mapping[str, Any]:
    write_json(job.folder.verdict, {"of": read_json(job.folder.pretrain / "result.json")["trail"]})
    return {}


def _report(job: Job) -> Mapping[str, Any]:
    write_atomic(job.folder.report, f"{job.recipe.name} {read_json(job.folder.verdict)}")
    return {}


FAKE_ROAD = (
    Stage("corpus", "makes text", _corpus, (), lambda recipe: {"corpus": recipe.corpus}),
    Stage("tokens", "makes tokens", _tokens, (), lambda recipe: {}, needs=("corpus",)),
    Stage(
        "ladder",
        "trains small",
        _resumable("ladder", "tokens/index.json", True),
        ("ladder/result.json",),
        lambda recipe: {"budget": recipe.budget},
        needs=("tokens",),
        writes="resumable",
        costly=True,
    ),
    Stage("forecast", "forecasts", _forecast, ("forecast.json",), lambda recipe: {}, needs=("ladder",), writes="file"),
    Stage(
        "pretrain",
        "trains",
        _resumable("pretrain", "forecast.json", True),
        ("pretrain/result.json",),
        lambda recipe: {},
        needs=("tokens", "forecast"),
        writes="resumable",
        costly=True,
    ),
    Stage(
        "verdict",
        "judges",
        _verdict,
        ("verdict.json",),
        lambda recipe: {},
        needs=("forecast", "pretrain"),
        writes="file",
    ),
    Stage(
        "report",
        "writes",
        _report,
        ("report.html",),
        lambda recipe: {"name": recipe.name},
        needs=("verdict", "forecast"),
        writes="file",
    ),
)


@pytest.fixture
def road() -> tuple[Stage, ...]:
    return FAKE_ROAD


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(name="fake", budget="1e12flops")
