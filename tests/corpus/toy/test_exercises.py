import math
import re
from collections import Counter

import pytest

from danlu.corpus.toy.chinese import Chinese
from danlu.corpus.toy.chooser import Chooser
from danlu.corpus.toy.english import English
from danlu.corpus.toy.exercises import lists, sums
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import NUMBERS, NUMBERS_ZH


def _write(exercise: object, language: type[Voice], seed: int, entropy: float = 0.5) -> tuple[str, float, object]:
    plan, words = Chooser(entropy), Chooser(entropy)
    plan.start(2 * seed)
    words.start(2 * seed + 1)
    voice = language(words, [])
    label = exercise(plan, voice)  # type: ignore[operator]
    return voice.text, plan.logprob + words.logprob, label


def test_lists_are_as_long_as_they_say() -> None:
    for seed in range(200):
        text, _, label = _write(lists, English, seed)
        for line, (category, number) in zip(text.split("\n"), label, strict=True):  # type: ignore[call-overload]
            head, members = line.rstrip(".").split(": ")
            assert head.lower().removeprefix("here are ") == f"{NUMBERS[number]} {category}"
            members = re.split(", | and ", members)
            assert len(members) == len(set(members)) == number
        text, _, label_zh = _write(lists, Chinese, seed)
        assert label_zh == label
        for line, (_, number) in zip(text.split("\n"), label, strict=True):  # type: ignore[call-overload]
            assert len(re.split("[、和]", line.split("：")[1])) == number


def test_sums_are_right() -> None:
    value, value_zh = {word: i for i, word in enumerate(NUMBERS)}, {word: i for i, word in enumerate(NUMBERS_ZH)}
    for seed in range(300):
        text, _, number = _write(sums, English, seed)
        assert len(text.split("\n")) == number
        for first, sign, second, result in re.findall(r"^(\w+) (plus|minus) (\w+) is (\w+)\.$", text, re.M):
            left, right = value[first.lower()], value[second]
            assert value[result] == (left + right if sign == "plus" else left - right)
        has = "(?:had|has)"
        for had, more, now in re.findall(rf"{has} (\w+) .*? (?:found|finds) (\w+) more .*? {has} (\w+)", text):
            assert value[now] == value[had] + value[more]
        for had, fewer, now in re.findall(rf"{has} (\w+) .*? (?:lost|loses) (\w+) .*? {has} (\w+)", text):
            assert value[now] == value[had] - value[fewer]
        text, _, _ = _write(sums, Chinese, seed)
        for first, sign, second, result in re.findall(r"^(\w+?)([加减])(\w+?)等于(\w+)。$", text, re.M):
            left, right = value_zh[first], value_zh[second]
            assert value_zh[result] == (left + right if sign == "加" else left - right)


@pytest.mark.parametrize("language", [English, Chinese])
def test_equal_texts_are_equally_likely_and_as_frequent_as_that(language: type[Voice]) -> None:
    # A choice hidden from the text would give one text several probabilities, and too small ones.
    count = 4000
    made = [_write(lists, language, seed, 0.0)[:2] for seed in range(count)]
    probabilities = {text: math.exp(logprob) for text, logprob in made}
    for text, logprob in made:
        assert math.exp(logprob) == pytest.approx(probabilities[text])
    for text, times in Counter(text for text, _ in made).most_common(5):
        expected = count * probabilities[text]
        assert times == pytest.approx(expected, abs=5 * math.sqrt(expected))
