from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from danlu.common.errors import DanluError
from danlu.report import forecast_svg, write_report


@pytest.mark.parametrize(("language", "word"), [("en", "measured"), ("zh", "实测")])
def test_the_picture_stands_alone(run: Path, language: str, word: str) -> None:
    drawing = forecast_svg(run, language)  # type: ignore[arg-type]
    words = "".join(ElementTree.fromstring(drawing).itertext())
    assert word in words
    assert "quickstart" in words
    assert "seed 0" in words or "种子 0" in words
    assert "url(" not in drawing


def test_the_report_leaves_it_beside_the_page(run: Path) -> None:
    write_report(run)
    assert (run / "forecast.svg").read_text("utf-8") == forecast_svg(run)


def test_a_run_with_nothing_to_draw_is_a_plain_error(fabricate: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="no ladder points"):
        forecast_svg(fabricate(tmp_path / "run", ("corpus",)))
