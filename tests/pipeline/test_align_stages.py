"""Which stages an alignment has, what is said where it ends early, and that costly work is not redone unasked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danlu.alignment.road_config import AlignmentConfig, RoadPPOConfig, RoadRewardConfig, sized
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.common.progress import Progress
from danlu.common.strict import to_mapping
from danlu.pipeline.align_stages import alignment_stages, what_would_take_it_further
from danlu.pipeline.folder import RunFolder
from danlu.pipeline.recipe import Recipe, resolve
from danlu.pipeline.road import walk
from danlu.pipeline.stage import Job, Stage
from danlu.pipeline.stages import ROAD, road_to_assistant

ALL = ["demonstrations", "sft", "rankings", "reward", "ppo", "align"]


def recipe(data: str = "toy", **alignment: Any) -> Recipe:
    base = Recipe(name="x", budget="1e12flops")
    return replace(base, corpus=replace(base.corpus, data=(data,)), alignment=AlignmentConfig(**alignment))


def names(one: Recipe) -> list[str]:
    return [stage.name for stage in alignment_stages(one)]


def test_the_toy_language_goes_all_the_way() -> None:
    assert names(recipe()) == ALL
    assert what_would_take_it_further(recipe()) is None
    assert [stage.name for stage in road_to_assistant(recipe())] == [*(stage.name for stage in ROAD), *ALL]


def test_ones_own_text_ends_at_the_base_model_and_says_what_is_missing() -> None:
    mine = recipe("mine.txt")
    assert names(mine) == []
    assert "--demonstrations FILE" in (what_would_take_it_further(mine) or "")


def test_demonstrations_take_it_to_sft_and_rankings_or_people_further() -> None:
    shown = recipe("mine.txt", demonstrations="d.jsonl")
    assert names(shown) == ["demonstrations", "sft", "align"]
    assert "--rankings FILE" in (what_would_take_it_further(shown) or "")
    assert names(recipe("mine.txt", demonstrations="d.jsonl", rankings="r.jsonl")) == ALL
    assert names(recipe("mine.txt", demonstrations="d.jsonl", label="page")) == ALL
    assert names(recipe(label="none")) == []
    with pytest.raises(DanluError, match="no demonstrations"):
        recipe("mine.txt", rankings="r.jsonl")


def test_few_rankings_are_passed_over_more_often_than_many() -> None:
    reward = RoadRewardConfig(epochs=1.0, batch_size=8, least_steps=240)
    assert [reward.passes(rankings) for rankings in (100, 960, 1920, 9000)] == [3.0, 2.0, 1.0, 1.0]
    assert replace(reward, epochs=5.0).passes(100) == 5.0


def test_further_rounds_are_stages_between_ppo_and_the_judgement() -> None:
    assert names(recipe(rounds=3)) == [*ALL[:-1], "round-2", "round-3", "align"]
    third = next(stage for stage in alignment_stages(recipe(rounds=3)) if stage.name == "round-3")
    assert "round-2" in third.needs
    with pytest.raises(DanluError, match="somebody who ranks"):
        names(recipe("mine.txt", demonstrations="d.jsonl", rankings="r.jsonl", rounds=2))


@pytest.mark.parametrize("rounds", [1, 3])
def test_every_stage_comes_after_what_it_needs(rounds: int) -> None:
    seen: set[str] = set()
    for stage in road_to_assistant(recipe(rounds=rounds)):
        assert seen.issuperset(stage.needs), stage.name
        seen.add(stage.name)


def test_every_setting_of_the_alignment_belongs_to_a_stage() -> None:
    """A setting that no stage knows could be changed without anything being done again."""
    asks = recipe(label="page")
    known = {key for stage in alignment_stages(asks) for key in stage.settings(asks)["alignment"]}
    assert known == set(to_mapping(AlignmentConfig()))


def test_sizes_follow_from_the_budget() -> None:
    config = AlignmentConfig(ppo=RoadPPOConfig(episodes=6400, batch_size=64, minibatch_size=32))
    assert sized(config, 3e13).ppo.episodes == 6400
    quarter = sized(config, 3e13 / 16)
    assert quarter.ppo.episodes == 1600
    assert quarter.prompts.demonstrations == config.prompts.demonstrations // 4
    assert quarter.prompts.held_out == config.prompts.held_out
    assert sized(replace(config, scale=2.0), 1.0).prompts.ppo == 2 * config.prompts.ppo
    assert sized(quarter, 1.0) == quarter


def test_one_seed_sets_the_alignments_too() -> None:
    found = resolve(replace(recipe(), seed=7), "x")
    assert (found.alignment.labeller.seed, found.alignment.ppo.seed) == (7, 7)
    assert found.seeds["alignment.ppo.seed"] == 7


# The machinery, with stages that train nothing


def _fake(name: str, needs: tuple[str, ...], costly: bool, log: list[str]) -> Stage:
    def run(job: Job) -> Mapping[str, Any]:
        log.append(name)
        write_json(job.out / "result.json", {"of": job.recipe.alignment.overlap})
        return {}

    settings = {"rankings": lambda r: {"overlap": r.alignment.overlap}}.get(name, lambda r: {})
    writes = "resumable" if costly else "folder"
    return Stage(name, name, run, (f"{name}/result.json",), settings, needs, writes=writes, costly=costly)  # type: ignore[arg-type]


def test_costly_steps_are_redone_only_when_asked(road: tuple[Stage, ...], folder: RunFolder) -> None:
    log: list[str] = []
    base = tuple(stage for stage in road if stage.name != "report")
    further = (
        _fake("sft", ("pretrain",), True, log),
        _fake("rankings", ("sft",), False, log),
        _fake("reward", ("rankings",), True, log),
        _fake("align", ("reward",), False, log),
    )
    first, changed = recipe(), recipe(overlap=0.5)

    def go(one: Recipe, force: bool = False) -> list[str]:
        log.clear()
        with folder.locked():
            walk((*base, *further), one, folder, Progress(terminal=False), force=force)
        return list(log)

    assert go(first) == ["sft", "rankings", "reward", "align"]
    assert go(first) == []
    with pytest.raises(DanluError, match=r"overlap: 0.1 before, 0.5 now"):
        go(changed)
    assert go(changed, force=True) == ["rankings", "reward", "align"]
    assert go(changed) == []


def test_people_may_go_on_writing_to_the_store_that_was_read(tmp_path: Path) -> None:
    from danlu.feedback.store import Store

    store, file = tmp_path / "feedback.sqlite", tmp_path / "mine.jsonl"
    Store(store).close()
    file.write_text("{}\n")
    watched = {}
    for path in (store, file):
        one = recipe(demonstrations=str(path), rankings=str(path))
        watched[path] = {name: paths for stage in alignment_stages(one) for name, paths in stage.sources(one).items()}
    assert watched == {store: {}, file: {"demonstrations": [file], "rankings": [file]}}
