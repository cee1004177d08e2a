from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from danlu.report import curves_picture
from danlu.report.curves_picture import NARROW, WIDE, thin
from danlu.report.reading import read_run


def test_the_target_lies_on_top_of_the_rungs(run: Path) -> None:
    traces = curves_picture.traces(read_run(run))
    assert [trace.name for trace in traces] == ["46.1k", "104k", "213k", "467k", "918k", "2.56M"]
    assert traces[-1].style == "hot"


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_every_run_is_named(run: Path, layout: curves_picture.Layout) -> None:
    picture = curves_picture.draw(curves_picture.traces(read_run(run)), "zh", layout)
    words = "".join(ElementTree.fromstring(picture).itertext())
    assert all(name in words for name in ("46.1k", "918k", "2.56M"))


def test_a_run_of_one_step_can_be_drawn(fabricate: Callable[..., Path], tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "run", ())
    (folder / "pretrain").mkdir()
    (folder / "pretrain/metrics.jsonl").write_text('{"step": 1, "tokens": 64, "loss": 6.9}\n', encoding="utf-8")
    traces = curves_picture.traces(read_run(folder))
    ElementTree.fromstring(curves_picture.draw(traces, "en", WIDE))


def test_thinning_keeps_the_mean_and_the_last_point() -> None:
    noisy = tuple((float(step), 2.0 + (-1) ** step) for step in range(1, 20_001))
    thinned = thin(noisy)
    assert len(thinned) <= 81 * 4.4
    assert thinned[-1][0] == 20_000
    assert thinned[-1][1] == pytest.approx(2.0, abs=0.01)
    assert thin(()) == ()
    assert thin(((5.0, 1.0),)) == ((5.0, 1.0),)
