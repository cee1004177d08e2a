"""What fits, in which order, and how texts stand in rows."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from danlu.alignment.texts import (
    Limits,
    Order,
    collate,
    collate_groups,
    fit_demonstrations,
    fit_rankings,
    group_tokens,
    rounded_up,
    shares,
)
from danlu.feedback.records import Demonstration, Ranking, prompt_of
from danlu.tokens.chat import Chat, Text, load_chat
from danlu.training.distributed import World


@pytest.fixture(scope="module")
def chat(base: Path) -> Chat:
    return load_chat(base)


def test_too_long_prompts_are_dropped_and_counted_never_cut(chat: Chat) -> None:
    short, long = Demonstration(prompt_of("say red"), "red"), Demonstration(prompt_of("say red " * 40), "red")
    wordy = Demonstration(prompt_of("say red"), "red " * 90)
    fitted = fit_demonstrations([short, long, wordy, short], chat, Limits(context=64, prompt=32))
    assert len(fitted.units) == 2
    assert fitted.dropped == {"prompt longer than 32 tokens": 1, "longer than 64 tokens": 1}
    assert "left out: 1 (longer than 64 tokens), 1 (prompt longer than 32 tokens)" in fitted.summary("demonstrations")


def test_rankings_that_say_nothing_are_left_out_and_empty_responses_are_not(chat: Chat) -> None:
    prompt, limits = prompt_of("say red"), Limits(64, 64)
    tied = Ranking(prompt, ("red", "ash"), (0, 0))
    empty = Ranking(prompt, ("red", ""), (0, 1))
    long = Ranking(prompt, ("red", "ash " * 90, "tin"), (0, 1, 2))
    lost = Ranking(prompt, ("red", "ash " * 90), (0, 1))
    fitted = fit_rankings([tied, empty, long, lost], chat, limits)
    assert [unit.ranks for unit in fitted.units] == [(0, 1), (0, 2)]
    assert fitted.units[0].texts[1].tokens[-1] == chat.end
    assert fitted.units[0].texts[1].start == len(fitted.units[0].texts[1].tokens) - 1
    assert fitted.dropped == {
        "all tied": 1, "completion: longer than 64 tokens": 2, "fewer than two completions left": 1,
    }  # fmt: skip


@given(st.integers(1, 30), st.integers(1, 12), st.sampled_from([1.0, 2.0, 2.5]))
def test_every_unit_comes_once_an_epoch(count: int, batch: int, epochs: float) -> None:
    order = Order(count, batch, epochs, seed=3)
    seen = [unit for step in range(order.steps) for unit in order.units(step)]
    assert len(seen) == round(epochs * count) or (count == 1 and len(seen) == round(epochs))
    whole = int(epochs)
    assert all(n == whole for n in Counter(seen[: whole * count]).values())
    assert all(0 < len(order.units(step)) <= batch for step in range(order.steps))


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 5))
def test_processes_share_a_step_and_take_equally_many_pieces(units: int, size: int, piece: int) -> None:
    parts = [list(shares(range(units), World(rank, size), piece)) for rank in range(size)]
    assert len({len(part) for part in parts}) == 1
    assert sorted(unit for part in parts for some in part for unit in some) == list(range(units))


@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.sampled_from([None, 12]), st.sampled_from([0, 3]))
def test_texts_stand_whole_in_rows_with_their_responses_as_targets(
    lengths: list[int], width: int | None, padding: int
) -> None:
    texts = [Text(tuple(range(100 * i, 100 * i + n)), n // 2) for i, n in enumerate(lengths)]
    batch = collate(texts, 7777, torch.device("cpu"), width=width, left_padding=padding)
    if width is None:
        assert batch.tokens.size(0) == len(texts)
    flat, places, segments = batch.tokens.flatten(), batch.positions.flatten(), batch.segments.flatten()
    for i, text in enumerate(texts):
        mine = segments == i
        assert tuple(flat[mine].tolist()) == text.tokens
        assert places[mine].tolist() == list(range(len(text.tokens)))
        assert flat[batch.ends[i]] == text.tokens[-1]
        targets = batch.targets.flatten()[mine]
        assert targets[targets >= 0].tolist() == list(text.tokens[max(1, text.start) :])
    assert (flat[segments < 0] == 7777).all()
    assert batch.tokens[:, :padding].eq(7777).all()


def test_an_empty_share_is_a_row_of_padding() -> None:
    batch = collate([], 7, torch.device("cpu"))
    assert batch.tokens.tolist() == [[7] * 8]
    assert batch.num_targets == 0
    assert len(batch.ends) == 0


def test_a_prompt_stands_once_before_all_that_follows_it() -> None:
    group = (Text((1, 2, 3, 9), 3), Text((1, 2, 3, 4, 9), 3), Text((1, 2, 3, 9), 3))
    odd = (Text((1, 5, 9), 2), Text((1, 6, 6, 9), 3))  # of two prompts: nothing is common
    assert [group_tokens(one) for one in (group, odd)] == [7, 7]
    batch = collate_groups([group, odd], 0, torch.device("cpu"), left_padding=1)
    assert batch.tokens.shape == (2, 32)
    assert batch.tokens[:, :8].tolist() == [[0, 1, 2, 3, 9, 4, 9, 9], [0, 1, 5, 9, 1, 6, 6, 9]]
    assert batch.positions[:, :8].tolist() == [[0, 0, 1, 2, 3, 3, 4, 3], [0, 0, 1, 2, 0, 1, 2, 3]]
    assert batch.segments[:, :8].tolist() == [[-1, 0, 0, 0, 1, 2, 2, 3], [-1, 5, 5, 5, 6, 6, 6, 6]]
    assert (batch.segments[:, 8:] == -1).all()
    assert batch.ends.tolist() == [4, 6, 7, 32 + 3, 32 + 7]
    assert batch.shared is not None
    assert batch.shared[0].tolist() == [[0, 0]] * 4 + [[1, 4]] * 4 + [[0, 0]] * 24
    assert not (batch.shared[1, :, 1] - batch.shared[1, :, 0]).any()
    assert collate_groups([group, group, odd], 0, torch.device("cpu"), packing=False).tokens.size(0) == 3
    assert len(collate_groups([], 0, torch.device("cpu")).ends) == 0


@pytest.mark.parametrize(("length", "step", "rounded"), [(1, 8, 8), (8, 8, 8), (9, 8, 16), (33, 32, 64)])
def test_rows_come_in_few_lengths(length: int, step: int, rounded: int) -> None:
    assert rounded_up(length, step) == rounded
