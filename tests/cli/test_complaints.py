"""Wrong words are two plain lines with the nearest flag, and help is plain text."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from danlu.cli.main import main
from danlu.cli.parse import parse
from danlu.common.errors import DanluError


@dataclass(frozen=True)
class Inner:
    """How it is trained."""

    lr: float | None = None
    """Learning rate, whose
    sentence goes on in the next line."""
    kind: Literal["a", "b"] = "a"
    """Which one (I)."""


@dataclass(frozen=True)
class Verb:
    """A verb for these tests."""

    table: tyro.conf.Positional[Path]
    """The table."""
    out: Path
    """What is written."""
    sizes: tuple[int, ...] = ()
    """Sizes."""
    packing: bool = True
    """Several in a row."""
    inner: Inner = field(default_factory=Inner)
    flat: Annotated[Inner, tyro.conf.arg(name="")] = field(default_factory=Inner)


GOOD = ["t.csv", "--out", "o"]


@pytest.mark.parametrize(
    ("words", "cause", "remedy"),
    [
        ([*GOOD, "--szes", "1"], "danlu verb has no flag --szes.", "Did you mean --sizes?"),
        ([*GOOD, "--szes=1"], "danlu verb has no flag --szes.", "Did you mean --sizes?"),
        ([*GOOD, "--inner.ls", "1"], "danlu verb has no flag --inner.ls.", "Did you mean --inner.lr"),
        ([*GOOD, "--no-pack"], "danlu verb has no flag --no-pack.", "Did you mean --no-packing?"),
        ([*GOOD, "--short-form", "1"], "danlu verb has no flag --short-form.", "Did you mean --short-from?"),
        (
            [*GOOD, "--quite-different", "1"],
            "danlu verb has no flag --quite-different.",
            "danlu verb --help lists them.",
        ),
        ([*GOOD, "stray"], "danlu verb cannot tell what 'stray' is for.", "danlu verb --help"),
        (["t.csv"], "danlu verb needs --out PATH.", "--out: What is written."),
        ([], "danlu verb needs PATH and --out PATH.", "PATH: The table. --out: What is written."),
        (["t.csv", "--out"], "--out needs a value.", "--out PATH: What is written."),
        ([*GOOD, "--sizes", "1", "1.5"], "--sizes is '1 1.5', which is no whole number.", "such as 1024"),
        ([*GOOD, "--inner.lr", "high"], "--inner.lr is 'high', which is no number.", "such as 2.5"),
        ([*GOOD, "--inner.kind", "c"], "--inner.kind is 'c'.", "It is one of a, b."),
        ([*GOOD, "--out", "p"], "--out is given twice.", "Give it once"),
    ],
)
def test_wrong_words_are_two_plain_lines(words: list[str], cause: str, remedy: str) -> None:
    with pytest.raises(DanluError) as caught:
        parse(Verb, words, "verb", short={"--short-from": "--inner.lr"})
    assert caught.value.cause == cause
    assert remedy in caught.value.remedy
    assert not set("│╭╰─{}") & set(str(caught.value))


def test_a_short_form_is_what_it_stands_for() -> None:
    assert parse(Verb, [*GOOD, "--short=2"], "verb", short={"--short": "--inner.lr"}).inner.lr == 2


def test_help_is_plain_and_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(Verb, ["--help"], "verb")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: danlu verb PATH [OPTIONS]\n\nA verb for these tests.\n")
    assert not set("│╭╰─") & set(shown)
    for noise in ("{None}", "default: None", "default: )"):
        assert noise not in shown
    words = " ".join(shown.split())
    assert "inner options: How it is trained. --inner.lr FLOAT Learning rate, whose sentence goes on in" in words
    assert "--no-packing Turns this off: Several in a row." in words
    assert "--inner.kind {a,b} Which one (I). (default: a)" in words
    assert "I: InstructGPT" in words


@pytest.mark.parametrize("verb", ["plan", "outlook", "sft", "align", "chat"])
def test_a_verb_says_plainly_that_there_is_no_such_flag(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, *(["x"] if verb == "align" else []), "--no-such-flag-at-all", "1"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("danlu: ")


def test_aligning_nothing_is_not_begun(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align"]) == 2
    assert "danlu align needs PATH" in capsys.readouterr().err
