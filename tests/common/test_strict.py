from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping, to_mapping


@dataclass(frozen=True)
class Inner:
    ratio: float = 0.5
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner = field(default_factory=Inner)
    names: tuple[str, ...] = ()
    limit: float | None = None
    table: Mapping[str, int] = field(default_factory=dict)
    pair: tuple[int, str] = (0, "")


@settings(deadline=None)
@given(
    st.builds(
        Outer,
        st.integers(),
        st.builds(Inner, st.floats(allow_nan=False), st.sampled_from(["a", "b"])),
        st.lists(st.text()).map(tuple),
        st.none() | st.floats(allow_nan=False),
        st.dictionaries(st.text(), st.integers()),
        st.tuples(st.integers(), st.text()),
    )
)
def test_there_and_back(value: Outer) -> None:
    assert from_mapping(Outer, to_mapping(value), "x.toml") == value


@pytest.mark.parametrize(
    ("data", "cause", "remedy"),
    [
        ({"count": 1, "nmes": []}, "unknown key 'nmes'", "'names'"),
        ({"count": 1, "inner": {"ratoi": 1}}, "unknown key 'inner.ratoi'", "'ratio'"),
        ({"count": 1, "zzzz": 1}, "unknown key 'zzzz'", "Valid keys here: count"),
        ({"count": 1, "mode": "b"}, "unknown key 'mode'", "It belongs to [inner]."),
        ({"count": 1, "inner": {"limit": 1}}, "unknown key 'inner.limit'", "It belongs to the top, before all tables."),
        ({}, "missing key 'count'", "Add it"),
        ({"count": 1.5}, "'count' is 1.5", "Correct"),
        ({"count": True}, "'count' is True", "Correct"),
        ({"count": 1, "inner": {"mode": "c"}}, "'inner.mode' is 'c'", "'a', 'b'"),
        ({"count": 1, "names": ["x", 2]}, "'names[1]' is 2", "Correct"),
        ({"count": 1, "pair": [1, "x", "y"]}, "'pair' is [1, 'x', 'y']", "Correct"),
        ({"count": 1, "inner": 3}, "'inner' is 3", "Correct"),
        ({"count": 1, "limit": "x"}, "'limit' is 'x'", "Correct"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(data: dict[str, Any], cause: str, remedy: str) -> None:
    with pytest.raises(DanluError) as caught:
        from_mapping(Outer, data, "x.toml")
    assert caught.value.cause.startswith("x.toml: ")
    assert cause in caught.value.cause
    assert remedy in caught.value.remedy


def test_a_whole_number_is_a_fine_float() -> None:
    assert from_mapping(Outer, {"count": 1, "limit": 2}, "x.toml").limit == 2.0
