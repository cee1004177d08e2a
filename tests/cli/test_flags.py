"""Plain words are read as tyro reads them, and what is not plain is left to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import tyro

from danlu.cli.flags import plain_flags


@dataclass(frozen=True)
class Flags:
    """Some flags."""

    name: str = "x"
    count: int | None = None
    rate: float = 1.0
    file_path: Path | None = None
    loud: bool = False
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Needy:
    """One that needs a name."""

    name: str


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--name y",
        "--count 3 --rate 1e-3",
        "--file-path a/b --name=with=equals",
        "--file_path c",
        "--name -",
    ],
)
def test_plain_words_are_read_as_tyro_reads_them(words: str) -> None:
    assert plain_flags(Flags, words.split()) == tyro.cli(Flags, args=words.split())


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "--nam y",
        "--name",
        "--count three",
        "--count 3.5",
        "--name y --name z",
        "--loud",
        "--kind b",
        "stray",
        "--name --count",
        "--count None",
    ],
)
def test_other_words_are_left_to_tyro(words: str) -> None:
    assert plain_flags(Flags, words.split()) is None


def test_a_flag_that_must_be_given_is_asked_for_by_tyro() -> None:
    assert plain_flags(Needy, []) is None
    assert plain_flags(Needy, ["--name", "y"]) == Needy("y")
