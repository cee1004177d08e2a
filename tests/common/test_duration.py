import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danlu.common.duration import Duration, format_count, format_seconds
from danlu.common.errors import DanluError


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1e14flops", 1e14, "flops"),
        ("1e14 FLOPs", 1e14, "flops"),
        ("2.5 PFLOP", 2.5e15, "flops"),
        ("10min", 600, "seconds"),
        ("1.5h", 5400, "seconds"),
        ("90 s", 90, "seconds"),
        ("30Mtokens", 30e6, "tokens"),
        ("30M tokens", 30e6, "tokens"),
        ("2 epochs", 2, "epochs"),
        ("500steps", 500, "steps"),
        (".5 day", 43200, "seconds"),
    ],
)
def test_readings(text: str, value: float, unit: str) -> None:
    duration = Duration.parse(text)
    assert (duration.value, duration.unit) == (pytest.approx(value), unit)


@pytest.mark.parametrize("text", ["", "10", "min", "ten minutes", "1e14", "-3min", "0steps", "1e999flops", "5 parsecs"])
def test_what_is_no_duration_is_a_plain_error(text: str) -> None:
    with pytest.raises(DanluError):
        Duration.parse(text)


@settings(deadline=None)
@given(st.floats(1e-3, 1e30), st.sampled_from(["flops", "tokens", "steps", "epochs"]))
def test_what_is_written_reads_back_to_six_digits(value: float, unit: str) -> None:
    duration = Duration.parse(str(Duration(value, unit)))  # type: ignore[arg-type]
    assert duration.value == pytest.approx(value, rel=1e-5)
    assert duration.unit == unit


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "0.2 s"),
        (42, "42 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (302400, "3.5 days"),
    ],
)
def test_seconds_for_a_person(seconds: float, words: str) -> None:
    assert format_seconds(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(5, "5"), (786_432, "786k"), (1.234e6, "1.23M"), (70.6e9, "70.6B"), (1e12, "1T"), (9.1e15, "9.1e+15")],
)
def test_counts_for_a_person(number: float, words: str) -> None:
    assert format_count(number) == words
