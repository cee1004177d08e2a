import pytest

from danlu.report import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0041, "+0.41%"), (-0.0041, "−0.41%"), (0.123, "+12.3%"), (0.0, "0.00%"), (-1e-9, "0.00%"), (None, "–")],
)
def test_signed_percent(value: float | None, text: str) -> None:
    assert figures.signed_percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.234e14, "1.23×10¹⁴"), (6e-3, "6.00×10⁻³"), (0, "0"), (None, "–"), (9.999e9, "1.00×10¹⁰")]
)
def test_flops(value: float | None, text: str) -> None:
    assert figures.flops(value) == text


@pytest.mark.parametrize(("value", "text"), [(999, "999 B"), (1e3, "1 kB"), (9.61e8, "961 MB"), (1.64e10, "16.4 GB")])
def test_size(value: float, text: str) -> None:
    assert figures.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.54, "1.5×"), (9.96, "10×"), (11.96, "12×"), (130, "130×"), (0.5, "0.5×")]
)
def test_times(value: float, text: str) -> None:
    assert figures.times(value) == text


@pytest.mark.parametrize(
    ("value", "english", "chinese"),
    [
        (4.25, "4.2 s", "4.2 秒"),
        (185, "3 min 05 s", "3 分 05 秒"),
        (7800, "2 h 10 min", "2 小时 10 分"),
        (3e5, "3.5 days", "3.5 天"),
    ],
)
def test_seconds(value: float, english: str, chinese: str) -> None:
    said = figures.seconds(value)
    assert (said.en, said.zh) == (english, chinese)


def test_moment() -> None:
    assert figures.moment("2026-11-24T05:10:41+02:00") == "2026-11-24 03:10:41 UTC"
    assert figures.moment("yesterday") == "yesterday"


def test_interval_needs_both_ends() -> None:
    assert figures.interval(1.21, 1.25, 2) == "1.21 – 1.25"
    assert figures.interval(1.21, None) == "–"
