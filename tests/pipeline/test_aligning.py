"""The stages of an alignment at work on a base model that knows nothing: what they leave, rounds, people who rank."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from danlu.alignment.labeller import SimulatedLabellers
from danlu.alignment.labeller_config import LabellerConfig
from danlu.alignment.material import read_material
from danlu.alignment.outcome import read_outcome
from danlu.alignment.prompts_config import PromptsConfig
from danlu.alignment.road_config import AlignmentConfig, RoadPPOConfig, RoadRewardConfig, RoadSFTConfig
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.corpus.build import build_corpus
from danlu.corpus.config import CorpusConfig
from danlu.corpus.toy.config import ToyConfig
from danlu.feedback.desk import Desk
from danlu.feedback.files import write_rows
from danlu.model.family import shape
from danlu.model.huggingface import save_pretrained
from danlu.model.transformer import Transformer
from danlu.pipeline.align_stages import alignment_stages
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe
from danlu.pipeline.road import walk
from danlu.pipeline.stage import Job, Stage
from danlu.tokens.build import build_tokens, read_tokens_summary
from danlu.tokens.config import TokensConfig

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("completions_of_every_quality")]

ALIGNMENT = AlignmentConfig(
    label="simulated",
    scale=1.0,
    context=128,
    completions=3,
    overlap=0.3,
    held_out_rankings=0.3,
    prompts=PromptsConfig(demonstrations=40, comparisons=24, ppo=16, held_out=6, kinds=("list", "sum", "scene")),
    labeller=LabellerConfig(agreement=0.55, tie_band=0.001),
    sft=RoadSFTConfig(epochs=1.0, evaluations=1),
    reward=RoadRewardConfig(lr=0.003, batch_size=8),
    ppo=RoadPPOConfig(episodes=16, batch_size=8, minibatch_size=8, epochs=1, max_new_tokens=48),
)


def recipe(**changes: Any) -> Recipe:
    base = Recipe(name="x", budget="1e12flops")
    training = replace(base.training, context=32, device="cpu", precision="fp32")
    return replace(base, training=training, alignment=replace(ALIGNMENT, **changes))


def _tokens(job: Job) -> Mapping[str, Any]:
    corpus = job.out.parent / "text"
    build_corpus(CorpusConfig(toy=ToyConfig(megabytes=0.05)), corpus, Progress(terminal=False))
    build_tokens(corpus, TokensConfig(vocab_size=400), job.out, Progress(terminal=False))
    return {}


def _pretrain(job: Job) -> Mapping[str, Any]:
    model = shape(24, read_tokens_summary(job.folder.tokens).vocab_size, 32)
    fresh = Transformer(model)
    fresh.initialize(torch.Generator().manual_seed(0))
    save_pretrained(model, fresh.state_dict(), job.folder.tokens / "tokenizer", job.folder.model, torch.float32)
    return {}


def _budget(job: Job) -> Mapping[str, Any]:
    write_json(job.folder.budget, {"flops": 1e12})
    return {}


def road(one: Recipe) -> tuple[Stage, ...]:
    """A base that is made in a moment, and the stages after it as they are."""

    def nothing(recipe: Recipe) -> Mapping[str, Any]:
        return {}

    return (
        Stage("budget", "", _budget, ("budget.json",), nothing, writes="file"),
        Stage("tokens", "", _tokens, (), nothing),
        Stage("pretrain", "", _pretrain, ("pretrain/model/*",), nothing, ("tokens",), writes="resumable"),
        *alignment_stages(one),
    )


def go(one: Recipe, folder: RunFolder) -> None:
    with folder.locked():
        walk(road(one), one, folder, Progress(terminal=False))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, completions_of_every_quality: None) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("aligned") / "run")
    go(recipe(), folder)
    return folder


def test_the_models_stand_side_by_side_with_intervals(run: RunFolder) -> None:
    outcome = read_outcome(run.align / "outcome.json")
    assert [model.name for model in outcome.models] == ["base", "sft", "best-of-4", "ppo"]
    for model in outcome.models:
        assert model.gold is not None
        assert model.gold.gold.low <= model.gold.gold.value <= model.gold.gold.high
    assert outcome.model("sft").kl == 0.0
    assert outcome.model("ppo").kl is not None
    assert all(outcome.model(name).bits_per_byte for name in ("base", "sft", "ppo"))
    assert {(one.first, one.by) for one in outcome.comparisons} >= {("ppo", "gold"), ("ppo", "reward")}
    assert outcome.reward_model is not None
    assert outcome.reward_model.comparisons > 0
    assert {curve.way for curve in outcome.curves} == {"rl", "best_of_n"}
    assert all(point.gold is not None for curve in outcome.curves for point in curve.points)


def test_the_assistant_is_ppos_model_with_a_template(run: RunFolder) -> None:
    weights = (run.assistant / "model.safetensors").read_bytes()
    assert weights == (run.ppo / "model" / "model.safetensors").read_bytes()
    assert weights != (run.sft / "model" / "model.safetensors").read_bytes()
    assert "generation" in (run.assistant / "chat_template.jinja").read_text(encoding="utf-8")


def test_nothing_is_judged_by_what_was_learned_from(run: RunFolder) -> None:
    material = read_material(run.demonstrations)
    aside = {query.prompt for query in material.held_out}
    assert not aside & {record.prompt for record in material.demonstrations}
    assert not aside & {query.prompt for query in (*material.comparisons, *material.ppo)}


def test_a_further_round_learns_from_all_rankings_and_redoes_nothing(run: RunFolder) -> None:
    first = (run.ppo / "stage.json").read_bytes()
    go(recipe(rounds=2), run)
    assert (run.ppo / "stage.json").read_bytes() == first
    outcome = read_outcome(run.align / "outcome.json")
    assert outcome.models[-1].name == "round-2"
    assert outcome.models[-1].kl is not None
    assert len((run.align / "rounds.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert (run.assistant / "model.safetensors").read_bytes() == (
        run.round(2) / "ppo" / "model" / "model.safetensors"
    ).read_bytes()


def test_people_rank_at_a_page_and_the_road_waits_for_them(run: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(
        run.path, folder.path, ignore=shutil.ignore_patterns("rankings", "reward", "ppo", "align", "round-*")
    )
    asks = recipe(label="page")
    with pytest.raises(DanluError, match=r"0 of \d+ prompts are ranked") as waiting:
        go(asks, folder)
    assert "danlu serve" in waiting.value.remedy
    desk = Desk(folder.feedback)
    labellers = SimulatedLabellers(LabellerConfig(agreement=0.55, tie_band=0.001))
    assert sum(labellers.work(desk, annotator) for annotator in labellers.annotators) > 5
    desk.close()
    go(asks, folder)
    reward_model = read_outcome(folder.align / "outcome.json").reward_model
    assert reward_model is not None
    assert reward_model.comparisons > 0


def test_a_users_demonstrations_and_rankings_go_the_whole_way(run: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(run.path, folder.path, ignore=shutil.ignore_patterns(*(s.name for s in alignment_stages(recipe()))))
    shown, ranked = tmp_path / "shown.jsonl", tmp_path / "ranked.jsonl"
    write_rows(shown, [{"prompt": f"Say {i}.", "completion": f"{i}."} for i in range(60)])
    write_rows(ranked, [{"prompt": f"Say {i}.", "chosen": f"{i}.", "rejected": f"{i + 1} no."} for i in range(60)])
    mine = recipe(label="none", demonstrations=str(shown), rankings=str(ranked))
    go(mine, folder)
    outcome = read_outcome(folder.align / "outcome.json")
    assert [model.name for model in outcome.models] == ["base", "sft", "best-of-4", "ppo"]
    assert outcome.models[-1].gold is None
    assert outcome.models[-1].reward is not None
    assert [one.by for one in outcome.comparisons] == ["reward"] * 3
