import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from danlu.report import svg

positions = st.lists(st.floats(-500, 500), min_size=1, max_size=9)


def test_element_escapes_text_and_attributes() -> None:
    made = svg.element("text", "<script>&", data_tip='"><script>', x=1.5, y=2.0, class_="a", anchor=None)
    assert made == '<text data-tip="&#34;&gt;&lt;script&gt;" x="1.5" y="2" class="a">&lt;script&gt;&amp;</text>'
    ElementTree.fromstring(made)


def test_element_keeps_markup() -> None:
    assert svg.group(Markup("<b/>"), class_="c") == '<g class="c"><b/></g>'


@given(st.text())
def test_any_text_gives_well_formed_xml(text: str) -> None:
    ElementTree.fromstring(svg.element("text", text, title=text))


def test_log_axis_runs_from_end_to_end() -> None:
    axis = svg.LogAxis(1, 1000, 0, 300)
    assert [axis(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])
    assert axis.powers_of_ten() == [0, 1, 2, 3]


@given(st.floats(-6, 20), st.floats(0.001, 12), st.integers(3, 12))
def test_ticks_lie_on_the_axis_in_order(start: float, decades: float, most: int) -> None:
    axis = svg.LogAxis(10**start, 10 ** (start + decades), 0, 100)
    ticks = axis.ticks(most)
    assert all(axis.low * (1 - 1e-6) <= tick <= axis.high * (1 + 1e-6) for tick in ticks)
    assert ticks == sorted(ticks)
    assert len(ticks) <= max(most, decades + 1)


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"), [(0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1.1, 1.13, 4, [1.1, 1.11, 1.12, 1.13])]
)
def test_linear_ticks(low: float, high: float, most: int, ticks: list[float]) -> None:
    assert svg.linear_ticks(low, high, most) == pytest.approx(ticks)


def test_decimals_tell_ticks_apart() -> None:
    assert svg.decimals([1.0, 2.0]) == 0
    assert svg.decimals([1.105, 1.11]) == 3


@given(positions, st.floats(0, 30))
def test_spread_keeps_distance_order_and_bounds(wanted: list[float], gap: float) -> None:
    placed = svg.spread(wanted, gap, -600, 600)
    by_place = sorted(placed)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(by_place))
    assert all(-600 - 1e-6 <= place <= 600 + 1e-6 for place in placed)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    assert [placed[index] for index in order] == pytest.approx(by_place)


def test_spread_moves_nothing_that_is_far_enough_apart() -> None:
    assert svg.spread([10, 50, 90], 20, 0, 100) == pytest.approx([10, 50, 90])


def test_stack_separates_labels_of_different_heights() -> None:
    places = svg.stack([50, 52, 54], [20, 60, 20], 0, 200)
    assert places[1] - places[0] >= 40 - 1e-9
    assert places[2] - places[1] >= 40 - 1e-9
    assert math.fsum(places) / 3 == pytest.approx(52)
    assert svg.stack([], [], 0, 100) == []
