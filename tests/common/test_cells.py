"""What cells say as numbers, in whatever writing, and what is not guessed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.common.cells import is_unclear, read_columns, read_number


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("125M", 125e6),
        ("1.3B", 1.3e9),
        ("300 B tokens", 300e9),
        ("1.5 ZFLOPs", 1.5e21),
        ("1,234,567", 1234567),
        ("1,234.5", 1234.5),
        ("19.000.000", 19e6),
        ("1.234,5", 1234.5),
        ("5,43", 5.43),
        ("0,129", 0.129),
        ("1,5e9", 1.5e9),
        ("1 234 567", 1234567),
        ("12\u202f300", 12300),
        ("12'345", 12345),
        ("1_000", 1000),
        ("25.5%", 0.255),
        ("1.2x10^6", 1.2e6),
        ("2 \u00d7 10^7", 2e7),
        ("3.14 \u00b1 0.02", 3.14),
        ("0.19\u4ebf", 19e6),
        ("3\u4e07\u4ebf", 3e12),
        ("-3.5e-4", -3.5e-4),
    ],
)
def test_numbers_as_people_write_them(cell: str, number: float) -> None:
    assert read_number(cell) == pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize("cell", ["", "NaN", "n/a", "-", "#N/A", "#DIV/0!"])
def test_cells_that_say_that_there_is_no_number(cell: str) -> None:
    number = read_number(cell)
    assert number is not None
    assert math.isnan(number)


@pytest.mark.parametrize("cell", ["7B-chat", "Jan 19", "2025-01-10", "1,23,4", "1.2.3", "1 2", "v1.2", "1:30", "5,429"])
def test_text_is_not_made_a_number(cell: str) -> None:
    assert read_number(cell) is None


def test_a_comma_is_read_by_what_the_others_show() -> None:
    assert is_unclear("5,429")
    assert read_columns({"loss": ["5,429", "4,73"]})["loss"] == [5.429, 4.73]
    assert read_columns({"tokens": ["5,429", "1,234,567"]})["tokens"] == [5429, 1234567]
    by_another = read_columns({"loss": ["5,429", "4,731"], "lr": ["0,01", "0,02"], "n": ["19.000", "130.000"]})
    assert by_another == {"loss": [5.429, 4.731], "lr": [0.01, 0.02], "n": [19000, 130000]}


@given(
    st.lists(st.integers(1000, 10**12), min_size=2, max_size=8), st.lists(st.integers(1, 10**6), min_size=2, max_size=8)
)
def test_one_table_in_two_writings_has_the_same_numbers(whole: list[int], parts: list[int]) -> None:
    parts = [*parts, 12345678]  # a writing shows itself by a number that the other has no form for
    english = {"a": [f"{n:,}" for n in [*whole, 10**6]], "b": [f"{n / 1e4:,.4f}" for n in parts]}
    swap = str.maketrans(",.", ".,")
    continental = {name: [cell.translate(swap) for cell in cells] for name, cells in english.items()}
    assert read_columns(english) == read_columns(continental)
