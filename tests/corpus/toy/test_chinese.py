import re

import pytest

from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.language import documents
from danlu.corpus.toy.world import AGES, ANIMALS, COLOURS, COUNTED, FOODS, PEOPLE, SIZES, THINGS

NOUNS = {noun.zh: noun.measure for noun in (*THINGS, *FOODS, *COUNTED, *(animal.noun for animal in ANIMALS))}
MEASURES = "".join(sorted(set(NOUNS.values())))
QUALITIES = "|".join(quality.zh for quality in (*COLOURS, *SIZES, *AGES))
FEMALE = {person.zh: person.female for person in PEOPLE}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [document.text for document in documents(ToyConfig(languages=("zh",), entropy=0.8), 0, 1500)]


def test_orthography(texts: list[str]) -> None:
    for text in texts:
        assert re.fullmatch(r"[\u4e00-\u9fff，。？！、：“”\n]+", text)
        assert text.count("“") == text.count("”")
        assert not re.search(r"[，。？！、：]{2}|的的|了了|\n\n|\n$", text)
        for paragraph in text.split("\n"):
            assert re.search(r"[。？”]$", paragraph)


def test_measure_words_suit_their_nouns(texts: list[str]) -> None:
    nouns = "|".join(sorted(NOUNS, key=len, reverse=True))
    seen = 0
    for text in texts:
        for measure, noun in re.findall(rf"[一两三四五六七八九十几那]([{MEASURES}])(?:{QUALITIES})*({nouns})", text):
            seen += 1
            assert NOUNS[noun] == measure, (noun, measure)
    assert seen > 1000


def test_two_before_a_measure_word_is_not_er(texts: list[str]) -> None:
    for text in texts:
        assert not re.search(rf"(?<!十)二[{MEASURES}种样]", text)


def test_pronouns_have_the_gender_of_whom_they_mean(texts: list[str]) -> None:
    names = "|".join(FEMALE)
    seen = 0
    for text in texts:
        for name, she in re.findall(rf"({names})很(?:高兴|开心)，因为([她他])有", text):
            assert (she == "她") is FEMALE[name]
            seen += 1
        for name, she in re.findall(rf"({names})找不到([她他])那", text):
            assert (she == "她") is FEMALE[name]
            seen += 1
        for first, second, they in re.findall(rf"({names})和({names})一起玩[^。]*。([她他])们", text):
            assert (they == "她") is (FEMALE[first] and FEMALE[second])
            seen += 1
    assert seen > 100
