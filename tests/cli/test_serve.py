"""The words of `danlu serve`."""

from pathlib import Path

import pytest

from danlu.cli.parse import parse
from danlu.cli.serve import Arguments, models_first


@pytest.mark.parametrize(
    "words",
    [
        ["A", "B", "--port", "8001", "--secure-cookies"],
        ["A", "--port", "8001", "B", "--secure-cookies"],
        ["--port=8001", "A", "--secure-cookies", "B"],
        ["--secure_cookies", "A", "--port", "8001", "B"],
    ],
)
def test_models_may_stand_anywhere(words: list[str]) -> None:
    found = parse(Arguments, models_first(words), "serve")
    assert (found.models, found.port, found.secure_cookies) == ((Path("A"), Path("B")), 8001, True)


def test_a_flag_of_several_values_keeps_them() -> None:
    words = models_first(["A", "--public-host", "x.org", "y.org", "--port", "8001", "B"])
    found = parse(Arguments, words, "serve")
    assert found.models == (Path("A"), Path("B"))
    assert found.public_host == ("x.org", "y.org")
