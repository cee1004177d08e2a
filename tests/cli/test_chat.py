"""A talk with an assistant: turns are kept as long as they fit, and a message that is too long costs nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from danlu.cli.chat import Talk
from danlu.common.errors import DanluError
from danlu.generation.config import SamplingConfig

SAMPLING = SamplingConfig()


class Echo:
    """A generator that says how long the prompt is."""

    decoder = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=60))

    def stream(self, prompt: Sequence[int], sampling: SamplingConfig) -> Iterator[str]:
        yield from ("heard ", str(len(prompt)))


class Letters:
    """A template that writes a token for each letter and two for each turn."""

    def prompt(self, turns: Sequence[Mapping[str, str]]) -> list[int]:
        return [0] * sum(len(turn["content"]) + 2 for turn in turns)


def talk(system: str = "") -> Talk:
    made: Any = Talk(Echo(), Letters(), system)  # type: ignore[arg-type]
    return made


def test_the_talk_is_remembered_and_an_empty_line_forgets_it() -> None:
    one = talk("be kind")
    assert "".join(one.answer("hello", SAMPLING)) == "heard 16"
    assert [turn["role"] for turn in one.turns] == ["system", "user", "assistant"]
    assert "".join(one.answer("again", SAMPLING)) == "heard 33"
    assert list(one.answer("", SAMPLING)) == []
    assert one.turns == [{"role": "system", "content": "be kind"}]


def test_the_oldest_turns_go_first_and_it_is_said() -> None:
    one = talk("s")
    for _ in range(2):
        list(one.answer("0123456789", SAMPLING))
    said = "".join(one.answer("0123456789", SAMPLING))
    assert said.startswith("[the first 2 messages")
    assert one.turns[0]["role"] == "system"
    assert len(one.turns) == 5


def test_a_message_that_is_too_long_is_refused_and_nothing_is_lost() -> None:
    one = talk()
    list(one.answer("hello", SAMPLING))
    before = list(one.turns)
    with pytest.raises(DanluError, match="have room"):
        list(one.answer("x" * 100, SAMPLING))
    assert one.turns == before
