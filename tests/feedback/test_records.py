import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.feedback.records import (
    Demonstration,
    Message,
    Ranking,
    demonstration_from,
    dense_ranks,
    prompt_of,
    prompt_text,
    ranking_from,
    record_id,
    to_json,
)

FULL = Ranking(
    (Message("system", "Be brief."), Message("user", "How?")),
    ("x", "y", "z"),
    (1, 0, 1),
    annotator="p1",
    shown=(2, 0, 1),
    seconds=12.5,
    time=1.7e9,
    flags=("unclear",),
    completion_flags=((), ("harmful",), ()),
    ratings=(3, None, 7),
    note="hm \x00 \ud800",
    completion_sources=("m1", "m2", "m3"),
    source="page",
    labels={"index": 3, "nested": [1, {"a": None}]},
)


def test_records_survive_json() -> None:
    assert ranking_from(json.loads(json.dumps(to_json(FULL))), "test") == FULL
    demonstration = Demonstration(prompt_of("Say hi."), "hi", time=3.0, labels={"k": 1})
    assert demonstration_from(json.loads(json.dumps(to_json(demonstration))), "test") == demonstration


def test_pairs_leave_ties_out() -> None:
    assert sorted(FULL.pairs()) == [(1, 0), (1, 2)]
    assert FULL.num_pairs == 3
    assert Ranking(prompt_of("q"), ("a", "b"), (2, 2)).all_tied


@given(st.permutations(range(3)))
def test_another_order_is_the_same_judgement(order: list[int]) -> None:
    moved = FULL.reordered(order)
    assert {(moved.completions[i], moved.completions[j]) for i, j in moved.pairs()} == {("y", "x"), ("y", "z")}
    assert [moved.completions[i] for i in moved.shown] == [FULL.completions[i] for i in FULL.shown]
    assert dict(zip(moved.completions, moved.completion_sources, strict=True)) == {"x": "m1", "y": "m2", "z": "m3"}
    back = [order.index(i) for i in range(3)]
    assert moved.reordered(back) == FULL


def test_the_fingerprint_is_of_the_content() -> None:
    assert record_id(FULL) == record_id(ranking_from(to_json(FULL), "test"))
    assert record_id(FULL) != record_id(FULL.reordered((1, 0, 2)))


def test_dense_ranks() -> None:
    assert dense_ranks([0.5, 0.9, 0.5, 0.1], higher_is_better=True) == (1, 0, 1, 2)
    assert dense_ranks([3, 3, 9]) == (0, 0, 1)


def test_a_conversation_as_text() -> None:
    assert prompt_text(prompt_of("How?")) == "How?"
    assert prompt_text(FULL.prompt) == "system: Be brief.\n\nuser: How?"


Make = Callable[..., Ranking]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"completions": ("a",), "ranks": (0,)}, "1 completion"),
        ({"completions": (), "ranks": ()}, "0 completions"),
        ({"ranks": (0, 1)}, "2 ranks"),
        ({"ranks": (0, -1, 1)}, "ranks"),
        ({"shown": (0, 0, 1)}, "shown"),
        ({"shown": (0, 1)}, "shown"),
        ({"ratings": (8, 1, 1)}, "ratings"),
        ({"ratings": (1, 1)}, "ratings"),
        ({"strength": 2}, "strength"),
        ({"completions": ("a", "b"), "ranks": (0, 0), "strength": 2}, "strength"),
        ({"completions": ("a", "b"), "ranks": (0, 1), "strength": 5}, "strength"),
        ({"prompt": ()}, "no message"),
        ({"prompt": prompt_of("  ")}, "empty"),
        ({"prompt": (Message("user", "a"), Message("assistant", "b"))}, "assistant"),
        ({"prompt": (Message("human", "a"),)}, "human"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_ranking(change: dict[str, object], says: str) -> None:
    values: dict[str, object] = {"prompt": prompt_of("q"), "completions": ("a", "b", "c"), "ranks": (0, 1, 2)}
    with pytest.raises(DanluError, match=says):
        Ranking(**(values | change))  # type: ignore[arg-type]


def test_what_is_no_demonstration() -> None:
    with pytest.raises(DanluError, match="empty response"):
        Demonstration(prompt_of("q"), " \n")


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(DanluError, match="anotator"):
        ranking_from({**to_json(FULL), "anotator": "x"}, "file, line 3")
