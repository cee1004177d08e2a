"""The dashboard in a browser: a run that was aligned, several side by side, one that is broken, one under way."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import Served
from tests.web.pages.conftest import Visit

pytestmark = pytest.mark.slow
HOSTILE = "<img src=x onerror='window.hacked = 1'>"


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) if not isinstance(value, str) else value, encoding="utf-8")


def about(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "count": 40}


def sample_lines(step: int) -> str:
    """What was written at one moment of a training: how it goes on from two openings."""
    at = {"step": step, "tokens": 10 * step, "heldout_loss": 5 / step}
    texts = ({"prompt": "Once", "text": f" at {step}"}, {"prompt": "从前", "text": f"第{step}步 {HOSTILE}"})
    return "".join(json.dumps({**at, **text}) + "\n" for text in texts)


def aligned(folder: Path, command: str) -> None:
    write(folder / "manifest.json", {"command": command})
    write(folder / "recipe.toml", 'name = "x"\n')
    times = {"seconds": 60, "seconds_low": 50, "seconds_high": 70, "memory_bytes": 2**30}
    loss = {"loss": 2.5, "low": 2.4, "high": 2.6}
    write(folder / "forecast.json", {**loss, **times, "created": "2026-11-26T09:00:00+00:00"})
    judged = {"measured": 2.55, "relative_error": 0.02, "inside": True}
    judged |= {"measured_seconds": 90.0, "seconds_relative_error": 0.5, "seconds_inside": False}
    write(folder / "verdict.json", {**loss, **times, **judged})
    write(folder / "pretrain" / "stage.json", {"state": "done", "seconds": 90, "started": "1", "results": {}})
    write(
        folder / "pretrain" / "result.json", {"loss": 2.55, "seconds": 90, "tokens": 1000, "peak_memory_bytes": 2**30}
    )
    lines = "".join(json.dumps({"step": i, "tokens": 10 * i, "loss": 5 / i}) + "\n" for i in range(1, 9))
    write(folder / "pretrain" / "metrics.jsonl", lines)
    write(folder / "pretrain" / "samples.jsonl", "".join(map(sample_lines, (2, 4, 8))))
    names = ("base", "sft", HOSTILE, "ppo")
    models = [
        {"name": name, "gold": {"gold": about(0.3)}, "reward": None, "ended": 0.9, "tokens": 30.5, "kl": 1.25}
        for name in names
    ]
    outcome = {
        "models": [{**model, "bits_per_byte": None} for model in models],
        "comparisons": [{"first": "ppo", "second": "sft", "by": "gold", "wins": about(0.66), "gain": about(0.1)}],
        "reward_model": {"comparisons": 4054, "labels": about(0.7), "gold": about(0.8), "length": about(0.5)},
        "curves": [{"way": "rl", "points": [], "fit": None, "misled": True}],
        "samples": [{"prompt": HOSTILE, "answers": {"base": "once", "ppo": HOSTILE}, "gold": {"ppo": 0.5}}],
        "prompts": 40,
    }
    write(folder / "align" / "outcome.json", outcome)


@pytest.fixture
def runs(served: Served) -> Path:
    folder = served.services.config.runs
    assert folder is not None
    aligned(folder / "first", "danlu run --name first")
    aligned(folder / "second", f"danlu run --name '{HOSTILE}'")
    write(folder / "broken" / "recipe.toml", "x")
    write(folder / "broken" / "forecast.json", {"loss": {}, "created": [], "target": 3})
    write(folder / "broken" / "verdict.json", "{broken")
    write(folder / "broken" / "align" / "outcome.json", {"models": 7})
    write(folder / "broken" / "sft" / "stage.json", {"state": [], "started": {}, "seconds": "x"})
    write(folder / "broken" / "pretrain" / "metrics.jsonl", '[1]\n{"step": 1, "loss": "x"}\n{"step": {}, "loss": 2}\n')
    write(folder / "underway" / "recipe.toml", "x")
    write(folder / "underway" / "sft" / "stage.json", {"state": "begun", "started": "1"})
    timing = {"step": 25, "steps": 100, "seconds": 10.0, "tokens_per_second": 99.0, "memory_bytes": 2**29}
    write(
        folder / "underway" / "sft" / "timing.jsonl",
        json.dumps({**timing, "step": 12}) + "\n" + json.dumps(timing) + "\n",
    )
    return folder


def test_runs_are_shown_with_what_alignment_came_to_and_compared(visit: Visit, runs: Path) -> None:
    page = visit("/runs#first")
    page.wait_for_selector("text=Alignment")
    text = page.locator(".detail").inner_text()
    assert "ppo is better than sft on 66% (56 – 76) of the prompts by gold score." in text
    assert "over-optimised" in text
    assert "2.5 (2.4 – 2.6)" in text
    assert text.count("outside") == 1  # the time
    assert "danlu run --name first" in text
    page.get_by_label("Compare second").check()
    page.wait_for_selector("text=Side by side")
    rows = page.locator("section:has(h2:text-is('Side by side')) tbody tr")
    assert rows.count() == 2
    assert HOSTILE in rows.nth(1).inner_text()  # in its command
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.querySelectorAll('.detail img').length") == 0


def test_what_it_wrote_is_shown_moment_by_moment_as_it_comes(visit: Visit, runs: Path) -> None:
    page = visit("/runs#first", locale="zh-CN")
    texts, slider = page.locator(".moments .texts"), page.get_by_role("slider")
    page.wait_for_selector("text=第 8 步，80 个 token · 留出损失 0.625 · 第 3 个时刻，共 3 个")
    assert "Once at 8" in texts.inner_text()
    assert texts.locator("[lang=zh-CN]").count() == 1
    slider.focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    assert "Once at 2" in texts.inner_text()
    with (runs / "first" / "pretrain" / "samples.jsonl").open("a") as file:
        file.write(sample_lines(10))
    page.wait_for_selector("text=第 1 个时刻，共 4 个")  # what was chosen stays, and so does the focus
    page.keyboard.press("End")
    assert "Once at 10" in texts.inner_text()
    page.locator(".every > summary").click()
    every = page.locator(".every .sample").first.locator("dd").all_inner_texts()
    assert every == ["at 2", "at 4", "at 8", "at 10"]
    assert page.evaluate("window.hacked") is None
    with (runs / "first" / "pretrain" / "samples.jsonl").open("a") as file:
        file.write(sample_lines(12))
    page.wait_for_selector("text=第 5 个时刻，共 5 个")  # at the newest it follows


def test_a_run_under_way_says_how_long_it_will_take_and_what_it_holds(visit: Visit, runs: Path) -> None:
    page = visit("/runs#underway", locale="zh-CN")
    page.wait_for_selector("text=25% · 还需 30 秒")
    text = page.locator(".detail").inner_text()
    assert "监督微调" in text
    assert "memory_bytes" in text


def test_a_broken_run_says_what_cannot_be_read(visit: Visit, runs: Path) -> None:
    page = visit("/runs#broken")
    page.wait_for_selector("text=These files cannot be read and are left out: verdict.json.")
    text = page.locator(".detail").inner_text()
    assert text.startswith("broken")
    assert "A part cannot be shown" in text
    assert "Stages" in text
    # And the page goes on.
    page.get_by_role("button", name="first").click()
    page.wait_for_selector("text=Alignment")


def test_no_serious_violation_of_the_rules_of_accessibility(visit: Visit, runs: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = visit("/runs#first,second", bypass_csp=True)
    page.wait_for_selector("text=Side by side")
    found = axe.Axe().run(page).response["violations"]
    assert not [each["id"] for each in found if each["impact"] in ("serious", "critical")]
