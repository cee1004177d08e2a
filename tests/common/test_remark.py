import json
import string
from pathlib import Path

import pytest

import danlu
from danlu.common.remark import Remark, placeholders, sentences
from danlu.common.strict import from_mapping, to_mapping


@pytest.mark.parametrize("key", sentences())
def test_both_languages_ask_for_the_same_figures_in_the_same_form(key: str) -> None:
    def asked(pattern: str) -> set[tuple[str | None, str | None]]:
        return {(name, spec) for _, name, spec, _ in string.Formatter().parse(pattern) if name}

    sentence = sentences()[key]
    assert set(sentence) == {"en", "zh"}
    assert asked(sentence["en"]) == asked(sentence["zh"])
    assert any("\u4e00" <= character <= "\u9fff" for character in sentence["zh"])


def test_a_remark_is_said_in_both_languages() -> None:
    remark = Remark.of("plan.text", tokens=1_234_567, epochs=4, spent=2e11, asked=4e13)
    assert str(remark).startswith("The text has 1.23M distinct tokens; passed 4 times")
    assert remark.say("zh").startswith("文本共有 1.23M 个不同词元")


def test_a_remark_is_the_same_after_a_way_through_a_file() -> None:
    remark = Remark.of("fit.bound", name="A", law="surface", value=3)
    there = json.loads(json.dumps(to_mapping(remark)))
    assert from_mapping(Remark, there, "file") == remark
    assert json.dumps(to_mapping(remark)) == json.dumps(there)


@pytest.mark.parametrize(
    "remark",
    [
        Remark("of.tomorrow", {"x": 1.0}),
        Remark("plan.epochs", {}),
        Remark("plan.epochs", {"epochs": "many"}),
    ],
)
def test_what_this_version_does_not_know_is_shown_bare(remark: Remark) -> None:
    assert remark.say("zh").startswith(f"{remark.key}:")


def test_placeholders() -> None:
    assert placeholders("{a:.2%} of {b}") == {"a", "b"}


def test_every_sentence_is_used() -> None:
    source = Path(danlu.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    assert not [key for key in sentences() if f'"{key}"' not in code]
