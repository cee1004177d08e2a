import string
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danlu.report.language import LANGUAGES, Text, printable, same, strings, tr


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_strings() -> None:
    assert list(strings("en")) == list(strings("zh"))


@pytest.mark.parametrize("key", strings("en"))
def test_both_languages_ask_for_the_same_values(key: str) -> None:
    assert placeholders(strings("en")[key]) == placeholders(strings("zh")[key])


def test_every_string_is_used() -> None:
    room = files("danlu.report")
    sources = [path.read_text("utf-8") for path in room.iterdir() if path.name.endswith(".py")]
    templates = room.joinpath("templates").iterdir()
    sources += [path.read_text("utf-8") for path in templates if path.name.endswith(".jinja")]
    code = "\n".join(sources)
    for key in strings("en"):
        parts = key.split(".")
        splits = [(".".join(parts[:cut]), ".".join(parts[cut:])) for cut in range(1, len(parts))]
        assert key in code or any(f'"{group}' in code and name in code for group, name in splits), key


def test_a_value_may_be_in_two_languages() -> None:
    said = tr("pending", step=tr("step.ladder"))
    assert "ladder" in said.en
    assert "阶梯" in said.zh


def test_a_value_is_never_read_as_a_pattern() -> None:
    assert "{loss}" in tr("toy", seed="{loss}").en


def test_text_renders_both_languages_and_escapes() -> None:
    html = Text("<b>", "丹").__html__()
    assert html == '<span class="en" lang="en">&lt;b&gt;</span><span class="zh" lang="zh-CN">丹</span>'
    assert same("a & b").__html__() == "a &amp; b"


@given(st.text())
def test_printable_text_can_always_be_written(text: str) -> None:
    clean = printable(text + "\ud800\x00\u202e")
    clean.encode("utf-8")
    assert not set(clean) & {"\ud800", "\x00", "\u202e"}


def test_printable_text_keeps_words_lines_and_emoji() -> None:
    kept = "一只猫\n\tcat 👩‍🔬 é"
    assert printable(kept) == kept
    assert LANGUAGES == ("en", "zh")
