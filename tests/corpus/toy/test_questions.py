"""Answers against the world, and against what a reader can gather from the words alone."""

import re

import pytest

from danlu.corpus.document import Document
from danlu.corpus.toy import english, voice
from danlu.corpus.toy.chooser import Choice
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.language import documents
from danlu.corpus.toy.questions import KINDS
from danlu.corpus.toy.world import NUMBERS, PLACES

AT = {place.at: place.en for place in PLACES}
NOW = "(?:now|at the end)"


def _asked(count: int = 1000) -> list[tuple[Document, str, str, str]]:
    config = ToyConfig(languages=("en",), questions=1.0)
    return [
        (document, kind, question, answer)
        for document in documents(config, 0, count)
        for kind, question, answer in document.labels["questions"]  # type: ignore[misc, union-attr]
    ]


def _of(kind: str) -> list[tuple[Document, str, str]]:
    found = [(document, question, answer) for document, k, question, answer in _asked() if k == kind]
    assert len(found) > 15
    return found


def _people(document: Document) -> dict[str, tuple[str, int]]:
    return {name: (place, count) for name, place, count in document.labels["people"]}  # type: ignore[misc, union-attr]


def _things(document: Document) -> dict[str, list[str]]:
    return {name: where for name, *where in document.labels["things"]}  # type: ignore[misc, union-attr]


def _named(document: Document, words: str) -> list[str]:
    """Where the thing is that a question calls by its noun, or by its adjectives too."""
    (where,) = [where for name, where in _things(document).items() if f" {name}".endswith(f" {words}") and where]
    return where


def _must(pattern: str, text: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, text)
    assert match, text
    return match.groups()


def test_every_kind_is_asked_and_stands_in_the_text() -> None:
    asked = _asked()
    assert {kind for _, kind, _, _ in asked} == {kind.name for kind in KINDS}
    for document, _, question, answer in asked:
        assert f"\nQuestion: {question}\nAnswer: {answer}" in document.text
    for document in documents(ToyConfig(languages=("zh",), questions=1.0), 0, 100):
        for _, question, answer in document.labels["questions"]:  # type: ignore[misc, union-attr]
            assert f"\n问：{question}\n答：{answer}" in document.text


def test_where_people_are() -> None:
    for document, question, answer in _of("where_person"):
        (name,) = _must(rf"Where (?:is|was) (\w+) {NOW}\?", question)
        _, at = _must(r"(\w+) (?:is|was) (.*)\.", answer)
        assert _people(document)[name][0] == AT[at]


def test_where_things_are() -> None:
    for document, question, answer in _of("where_thing"):
        (thing,) = _must(rf"Where (?:is|was) the (.*) {NOW}\?", question)
        where = _named(document, thing)
        if len(where) == 1:
            assert re.fullmatch(rf"{where[0]} (has|had) (it|the {thing})\.", answer)
        else:
            spot, place = where
            assert answer.endswith(f" {spot} {next(at for at in AT if AT[at] == place)}.")


def test_who_has_what() -> None:
    for document, question, answer in _of("who_has"):
        (thing,) = _must(rf"Who (?:has|had) the (.*) {NOW}\?", question)
        assert answer.split()[0] == _named(document, thing)[0]
    for document, question, answer in _of("what_has"):
        (name,) = _must(rf"What (?:does|did) (\w+) have {NOW}\?", question)
        (things,) = _must(r"\w+ (?:has|had) an? (.*)\.", answer)
        held = {thing for thing, where in _things(document).items() if where == [name]}
        assert set(re.split(r"(?:, | and )an? ", things)) == held


def test_yes_and_no() -> None:
    answers = set()
    for document, question, answer in _of("is_in"):
        name, at = _must(rf"(?:Is|Was) (\w+) (.*) {NOW}\?", question)
        assert answer.startswith("Yes") == (_people(document)[name][0] == AT[at])
        answers.add(answer[:2])
    for document, question, answer in _of("has"):
        name, thing = _must(rf"(?:Does|Did) (\w+) have the (.*) {NOW}\?", question)
        assert answer.startswith("Yes") == (_named(document, thing) == [name])
    assert answers == {"Ye", "No"}


def test_how_many() -> None:
    for document, question, answer in _of("how_many"):
        noun, name = _must(rf"How many (\w+) (?:does|did) (\w+) have {NOW}\?", question)
        _, number, counted = _must(r"(\w+) (?:has|had) (\w+) (\w+)\.", answer)
        assert NUMBERS.index(number) == _people(document)[name][1]
        assert counted == noun or number == "one"


def test_what_colour() -> None:
    for document, question, answer in _of("colour"):
        (thing,) = _must(r"What colour (?:is|was) the (\w+)\?", question)
        (name,) = [name for name in _things(document) if name.endswith(f" {thing}")]
        assert answer.rstrip(".").split()[-1] == name.split()[-2]


def test_who_gave_what_to_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "NAME_AGAIN", Choice({True: 1}))
    monkeypatch.setattr(voice, "THING_AGAIN", Choice({True: 1}))
    monkeypatch.setattr(english, "THING_AGAIN", Choice({True: 1}))
    for kind in ("who_gave", "to_whom"):
        for document, question, answer in _of(kind):
            if kind == "who_gave":
                thing, receiver = _must(r"Who (?:gave|gives) the (.*) to (\w+)\?", question)
                giver = answer.split()[0]
            else:
                giver, thing = _must(r"To whom (?:did|does) (\w+) give the (.*)\?", question)
                receiver = answer.rstrip(".").split()[-1]
            ways = (
                rf"{giver} (gave|gives) the ([\w ]+ )?{thing} to {receiver}\.",
                rf"{giver} (gave|gives) {receiver} the ([\w ]+ )?{thing}\.",
                rf'{receiver} (asked|asks) {giver}, "Can I have the ([\w ]+ )?{thing}\?"\s({giver} \w+, )?"Yes',
            )
            assert any(re.search(way, document.text) for way in ways)


def test_who_ate_what() -> None:
    for document, question, answer in _of("who_ate"):
        (food,) = _must(r"Who (?:ate|eats) the (.*)\?", question)
        assert answer.split()[0] in _people(document)
        assert _things(document)[food] == []


def test_the_weather() -> None:
    for document, question, answer in _of("weather"):
        (time,) = _must(r"How (?:is|was) the weather that (\w+)\?", question)
        weather = answer.rstrip(".").split()[-1]
        assert f"{weather} {time}" in document.text


def test_a_reader_finds_people_and_counts_where_the_labels_say(monkeypatch: pytest.MonkeyPatch) -> None:
    # With names for pronouns and without adverbs, moves can be followed by a few patterns: an oracle of its own.
    monkeypatch.setattr(voice, "NAME_AGAIN", Choice({True: 1}))
    monkeypatch.setattr(english, "LEAD", Choice({"": 1}))
    place = "|".join(AT.values())
    number = "|".join(NUMBERS[1:])
    past = {"is": "was", "goes": "went", "walks": "walked", "runs": "ran", "run": "ran", "hurries": "hurried"}
    ways = r"(?:went|walked(?: \w+ly)?|ran(?: \w+ly)?|hurried)"
    for document in documents(ToyConfig(languages=("en",), questions=1.0), 0, 400):
        where: dict[str, str] = {}
        has: dict[str, int] = {}
        last = ""
        story = document.text.split("\nQuestion")[0]
        story = re.sub(rf"\b({'|'.join(past)})\b", lambda match: past[match[0]], story)
        story = re.sub(r'"[^"]*([.,?])"', r"\1", story)
        for sentence in re.split(r"(?<=[.?])\s", story):
            was = re.search(rf"([A-Z]\w+) was (?:there too|(?:in|at|on|by) the ({place}))\b", sentence)
            went = re.search(rf"^(?:In the \w+, )?((?:[A-Z]\w+(?:, | and )?)+) {ways} to the ({place})\b", sentence)
            if was:
                where[was[1]] = was[2] or last
            if went:
                where |= dict.fromkeys(re.split(", | and ", went[1]), went[2])
            last = ([last, *re.findall(rf"the ({place})\b", sentence)])[-1]
            for name, amount in re.findall(rf"([A-Z]\w+) (?:had|has) ({number}) ", sentence):
                has[name] = NUMBERS.index(amount)
        assert where == {name: place for name, (place, _) in _people(document).items()}
        assert has == {name: count for name, (_, count) in _people(document).items() if count}
