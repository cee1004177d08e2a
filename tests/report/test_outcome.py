import json
from collections.abc import Callable
from pathlib import Path

from danlu.report.outcome import Quantity, inside_words, outcome, toy_words, warnings
from danlu.report.reading import read_run


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), encoding="utf-8")


def test_one_sentence_tells_the_outcome(run: Path) -> None:
    change(run / "forecast.json", loss=1.234, low=1.21, high=1.25)
    change(run / "verdict.json", measured=1.239)
    said = outcome(read_run(run)).sentence
    assert said.en == "Forecast 1.234 (90%: 1.210 – 1.250), measured 1.239: +0.41%, inside the interval."
    assert said.zh == "预报 1.234（90%：1.210 – 1.250），实测 1.239：+0.41%，落在区间内。"


def test_before_the_verdict_nothing_is_called_measured(fabricate: Callable[..., Path], tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "run", ("forecast",))
    assert "not measured yet" in outcome(read_run(folder)).sentence.en
    assert outcome(read_run(fabricate(tmp_path / "empty", ()))).sentence.en == "No forecast yet."


def test_a_miss_is_called_a_miss() -> None:
    assert inside_words(Quantity(1.0, 0.9, 1.1, 1.2)).en == "above the interval"
    assert inside_words(Quantity(1.0, 0.9, 1.1, 0.8)).en == "below the interval"
    assert inside_words(Quantity(1.0, 0.9, 1.1, 1.1)).en == "inside the interval"
    assert inside_words(Quantity(1.0, None, None, 1.1)).en == ""


def test_the_toy_is_called_the_toy(run: Path) -> None:
    said = toy_words(read_run(run))
    assert said
    assert said.en == "toy language, seed 0"


def test_other_text_is_not_called_the_toy(run: Path) -> None:
    (run / "recipe.toml").write_text('[corpus]\ndata = ["stdlib"]\n[corpus.toy]\nseed = 0\n', encoding="utf-8")
    change(run / "corpus/corpus.json", train={"stdlib": {"documents": 1, "bytes": 1}}, heldout={}, dropped={})
    assert toy_words(read_run(run)) is None


def test_warnings_of_plan_and_forecast_are_said_once(run: Path) -> None:
    change(run / "forecast.json", warnings=["The budget allows 5 sizes.", "Another."])
    assert tuple(said.en for said in warnings(read_run(run))) == ("The budget allows 5 sizes.", "Another.")
