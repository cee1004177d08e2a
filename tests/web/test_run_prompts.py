"""The prompts of the run that is served: offered to be demonstrated, each once, and the command that learns from it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from danlu.alignment.material import page_material
from danlu.alignment.road_config import AlignmentConfig, sized
from danlu.common.errors import DanluError
from danlu.common.files import write_json
from danlu.corpus.toy.config import ToyConfig
from danlu.feedback.desk import Desk
from danlu.feedback.records import Demonstration, prompt_of
from danlu.pipeline.aligning import fits_the_context
from danlu.pipeline.recipe import Recipe, write_recipe
from danlu.web.run_prompts import ServedRun

from .conftest import serve_models

FEW = replace(AlignmentConfig().prompts, demonstrations=60, comparisons=20, ppo=20, held_out=20)
CONFIG = replace(AlignmentConfig(), prompts=FEW, context=480)
FLOPS = 3e13


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    shutil.copytree(base_folder, folder / "pretrain" / "model")
    write_recipe(replace(Recipe(), alignment=CONFIG), folder / "recipe.toml")
    write_json(folder / "budget.json", {"asked": "3e13flops", "flops": FLOPS})
    return folder


def test_what_is_offered_is_never_what_is_judged_by(run: Path, tmp_path: Path) -> None:
    store = tmp_path / "feedback.sqlite"
    served = ServedRun(run, str(store))
    offered = served.prompts(12, ())
    assert len(set(offered)) == 12
    assert not set(served.prompts(12, offered)) & set(offered)
    desk = Desk(store)
    desk.add_records([Demonstration(prompt_of(text), "So it is.", "page") for text in offered])
    desk.close()
    config = sized(CONFIG, FLOPS)
    fits = fits_the_context(run / "pretrain" / "model", config.context, config.ppo.max_new_tokens)
    made = page_material(store, ToyConfig(), config.prompts, fits)
    learned = {record.prompt[0].content for record in (*made.demonstrations, *made.validation)}
    assert learned == set(offered)
    assert served.told()["command"] == f"danlu align {run} --demonstrations {store} --label page"


def test_a_run_on_other_text_has_prompts_once_it_has_demonstrations(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(run, folder)
    recipe = replace(Recipe(), corpus=replace(Recipe().corpus, data=("mine.txt",)))
    write_recipe(recipe, folder / "recipe.toml")
    served = ServedRun(folder, "x")
    with pytest.raises(DanluError, match="no further prompts"):
        served.prompts(5, ())
    (folder / "demonstrations").mkdir()
    (folder / "demonstrations" / "comparisons.jsonl").write_text('{"prompt": "One?"}\n{"prompt": "Two?"}\n')
    assert served.prompts(5, {"One?"}) == ["Two?"]


def test_the_page_takes_them_and_nobody_is_asked_twice(run: Path, tmp_path: Path, base_folder: Path) -> None:
    served, stop = serve_models(tmp_path, base_folder, run=run, feedback=str(run / "feedback.sqlite"))
    browser = served.sign_in()
    assert browser.get("/api/session").json()["run"]["name"] == "mine"
    offered = browser.get("/api/label/run-prompts?count=3").json()
    tasks = [{"kind": "demonstrate", "prompt": [{"role": "user", "content": text}]} for text in offered]
    assert browser.post("/api/label/tasks", json={"tasks": tasks}).json() == {"added": 3, "known": 0}
    again = browser.get("/api/label/run-prompts?count=3").json()
    assert len(again) == 3
    assert not set(again) & set(offered)
    assert browser.get("/api/label/run-prompts?count=0").status_code == 400
    browser.close()
    stop()
