import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from danlu.report import forecast_picture
from danlu.report.forecast_picture import NARROW, WIDE, Layout
from danlu.report.reading import read_run
from danlu.report.scene import scene


def drawn(run: Path, layout: Layout = WIDE) -> str:
    picture = str(forecast_picture.draw(scene(read_run(run)), "en", layout))
    ElementTree.fromstring(picture)
    return picture


def texts(picture: str) -> str:
    return "\n".join(
        "".join(node.itertext()) for node in ElementTree.fromstring(picture).iter() if node.tag.endswith("text")
    )


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), encoding="utf-8")


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_every_point_is_a_dot_and_every_size_is_named(run: Path, layout: Layout) -> None:
    picture = drawn(run, layout)
    points = (run / "ladder/points.jsonl").read_text("utf-8").splitlines()
    assert picture.count("<circle") == len(points)
    assert all(size in texts(picture) for size in ("46.1k", "104k", "213k", "467k", "918k"))


def test_forecast_and_measurement_are_written_with_their_numbers(run: Path) -> None:
    forecast = json.loads((run / "forecast.json").read_text("utf-8"))
    measured = json.loads((run / "verdict.json").read_text("utf-8"))["measured"]
    words = texts(drawn(run))
    for value in (forecast["loss"], forecast["low"], forecast["high"], measured):
        assert f"{value:.4f}" in words
    assert "12× beyond the largest rung" in words
    assert "+0.41%" in words


def test_larger_compute_lies_to_the_right_and_lower_loss_below(run: Path) -> None:
    points = [json.loads(line) for line in (run / "ladder/points.jsonl").read_text("utf-8").splitlines()]
    circles = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn(run))]
    by_compute = sorted(points, key=lambda point: point["flops"])
    assert sorted(x for x, _ in circles) == [x for x, _ in sorted(circles)]
    highest, lowest = max(points, key=lambda point: point["loss"]), by_compute[-1]
    assert min(circles, key=lambda circle: circle[1])[0] == min(x for x, _ in circles)
    assert highest["flops"] < lowest["flops"]


def test_known_entropy_is_a_dashed_line_and_a_bound_is_called_one(run: Path) -> None:
    assert "true entropy 1.012" in texts(drawn(run))
    corpus = json.loads((run / "corpus/corpus.json").read_text("utf-8"))
    corpus["heldout"]["toy"]["entropy_bound"] = "upper"
    (run / "corpus/corpus.json").write_text(json.dumps(corpus), encoding="utf-8")
    assert "true entropy, at most 1.012" in texts(drawn(run))
    change(run / "forecast.json", entropy_nats_per_token=None)
    assert "entropy" not in texts(drawn(run))


@pytest.mark.parametrize("layout", [WIDE, NARROW])
@pytest.mark.parametrize(
    "steps", [("ladder",), ("forecast",), ("ladder", "forecast"), ("ladder", "forecast", "pretrain", "verdict")]
)
def test_what_is_there_is_drawn(
    fabricate: Callable[..., Path], tmp_path: Path, steps: tuple[str, ...], layout: Layout
) -> None:
    picture = drawn(fabricate(tmp_path / "run", steps), layout)
    assert ('class="forecast"' in picture) == ("forecast" in steps)
    assert ('class="measured"' in picture) == ("verdict" in steps)
    assert "nan" not in picture


def test_without_a_band_the_interval_at_the_target_stays(run: Path) -> None:
    change(run / "forecast.json", band=None)
    picture = drawn(run)
    assert 'class="band"' not in picture
    assert 'class="bar"' in picture


def test_one_point_alone_can_be_drawn(run: Path) -> None:
    path = run / "ladder/points.jsonl"
    path.write_text(path.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    (run / "forecast.json").unlink()
    assert drawn(run).count("<circle") == 1


def test_a_measurement_far_outside_stays_on_the_picture(run: Path) -> None:
    change(run / "verdict.json", measured=3.9)
    picture = drawn(run)
    heights = [float(y) for y in re.findall(r'd="M[\d.]+,(-?[\d.]+)l', picture)]
    assert all(0 < y < WIDE.height for y in heights)


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_an_interval_wider_than_the_picture_stays_on_it(run: Path, layout: Layout) -> None:
    change(run / "forecast.json", low=0.4, high=9.0)
    change(run / "verdict.json", low=0.4, high=9.0)
    spot = next(
        node for node in ElementTree.fromstring(drawn(run, layout)).iter() if "lens-spot" in node.get("class", "")
    )
    top, height = float(spot.get("y", "nan")), float(spot.get("height", "nan"))
    assert layout.plot.top - 1 <= top
    assert top + height <= layout.plot.bottom + 1
