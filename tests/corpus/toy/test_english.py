import itertools
import re

import pytest

from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.language import documents
from danlu.corpus.toy.verbs import PRESENT
from danlu.corpus.toy.world import COUNTED, NUMBERS, PEOPLE, THINGS

FEMALE = {person.en: person.female for person in PEOPLE}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [document.text for document in documents(ToyConfig(languages=("en",), entropy=0.8), 0, 1500)]


def test_orthography(texts: list[str]) -> None:
    for text in texts:
        assert re.fullmatch(r"[A-Za-z ,.?:\"'\n]+", text)
        assert not re.search(r"  | [,.?:]|\n\n|\n$|^\s|,\w", text)
        assert text.count('"') % 2 == 0
        for start in re.findall(r"(?:^|[.?]\"? |\n)(\"?.)", text):
            assert start.strip('"').isupper(), (start, text)


def test_articles_agree_with_the_next_sound(texts: list[str]) -> None:
    for text in texts:
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", text)


def test_numbers_agree_with_nouns(texts: list[str]) -> None:
    plurals = {noun.plural: noun.en for noun in COUNTED}
    seen = 0
    for text in texts:
        for number, noun in re.findall(rf"\b({'|'.join(NUMBERS)})(?: more)? ({'|'.join(plurals)})\b", text):
            assert number != "one", noun
            seen += 1
        for noun in re.findall(rf"\bone(?: more)? ({'|'.join(plurals.values())})\b", text):
            assert noun in plurals.values()
    assert seen > 100


def test_pronouns_have_the_gender_of_whom_they_mean(texts: list[str]) -> None:
    seen = 0
    for text in texts:
        for name, she in re.findall(r"(\w+) (?:is|was) (?:happy|glad) because (she|he) ha", text):
            if name in FEMALE:
                assert (she == "she") is FEMALE[name]
                seen += 1
        for name, her in re.findall(r"(\w+) (?:cannot|could not) find (her|his) ", text):
            if name in FEMALE:
                assert (her == "her") is FEMALE[name]
        # A sentence that begins with a pronoun goes on about the one of that gender in the sentence before.
        sentences = re.split(r"(?<=[.?])\s", re.sub(r'"[^"]*([.?,])"', r"\1", text))
        for before, sentence in itertools.pairwise(sentences):
            if she := re.match(r"(She|He)\b", sentence):
                names = {name for name in re.findall(r"[A-Z]\w+", before) if name in FEMALE}
                meant = {name for name in names if FEMALE[name] is (she[1] == "She")}
                if before.startswith("The "):  # an animal's deed in between
                    continue
                spoken_of = re.search(rf"\b({she[1]}|{she[1].lower()}|her|him|They)\b", before)
                assert len(meant) == 1 or (not meant and spoken_of), (before, sentence)
                seen += 1
    assert seen > 50


def test_a_story_keeps_to_its_tense() -> None:
    past_only = set(PRESENT) - set(PRESENT.values()) - {"laughed", "played"}
    present_only = set(PRESENT.values()) - set(PRESENT) - {"laugh", "play", "leaves"}  # "leaves" fall from trees, too
    tenses = set()
    for document in documents(ToyConfig(languages=("en",), entropy=0.8, questions=0.0), 0, 1000):
        if document.labels["kind"] != "story":
            continue
        narrated = re.sub(r'"[^"]*"', "", document.text)
        has_past = any(re.search(rf"\b{verb}\b", narrated) for verb in past_only)
        has_present = any(re.search(rf"\b{verb}\b", narrated) for verb in present_only)
        assert has_past != has_present, document.text
        tenses.add(has_past)
    assert tenses == {True, False}


def test_things_are_new_once() -> None:
    for document in documents(ToyConfig(languages=("en",), entropy=0.8, questions=0.0), 0, 1000):
        if document.labels["kind"] == "story":
            for noun in THINGS:
                new = re.findall(rf"\b(?:a|an) ((?:\w+ ){{0,2}}{noun.en})\b", document.text)
                assert len(new) == len(set(new))
