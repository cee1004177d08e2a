"""Every text has one derivation: shown on parts of the language by enumeration, on whole documents by reading back."""

import math
from collections.abc import Callable

import pytest

from danlu.corpus.toy import chinese, english, errands, plan, questions, scene, steps
from danlu.corpus.toy.chinese import Chinese
from danlu.corpus.toy.chooser import Choice, Chooser, Rounds, ranked
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.english import English
from danlu.corpus.toy.language import documents
from danlu.corpus.toy.parse import Explorer, derivations
from danlu.corpus.toy.scene import Scene
from danlu.corpus.toy.state import Actor
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import ANIMALS, COLOURS, FURS, MANNERS, PLACES, SIZES, THINGS, WEATHERS

VOICES = pytest.mark.parametrize("language", [English, Chinese])


def _all_texts(entropy: float, start: Callable[[list[str]], Voice], go_on: Callable[[Voice, Explorer], None]) -> None:
    """Go through all that can follow a beginning: the probabilities add up to one and no text comes twice."""
    parts: list[str] = []
    explorer = Explorer(entropy, parts)

    def generate() -> None:
        parts.clear()
        voice = start(parts)
        voice.choose = explorer
        go_on(voice, explorer)

    texts: set[str] = set()
    total = 0.0
    for text, logprob in explorer.runs(generate):
        assert text not in texts
        texts.add(text)
        total += math.exp(logprob)
    assert total == pytest.approx(1.0)
    assert len(texts) > 1


@pytest.fixture
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same grammar with few words, so that all texts can be counted."""
    monkeypatch.setattr(scene, "THING", ranked(THINGS[i] for i in (0, 3, 7)))
    monkeypatch.setattr(scene, "PLACE", ranked(PLACES[:4]))
    monkeypatch.setattr(scene, "ANYWHERE", 0b1111)
    monkeypatch.setattr(scene, "ANIMAL", ranked(ANIMALS[:2]))
    monkeypatch.setattr(scene, "MANNER", ranked(MANNERS[:2]))
    monkeypatch.setattr(scene, "PALETTE", {"c": ranked(COLOURS[:2]), "f": ranked(FURS[:2])})
    sizes = Choice({None: 1, SIZES[0]: 1})
    monkeypatch.setattr(scene, "OTHER", {"s": sizes, "sa": sizes, "a": sizes})
    monkeypatch.setattr(steps, "NUM_OBJECTS", Choice({1: 1, 2: 1}))
    monkeypatch.setattr(steps, "NUM_ANIMALS", Choice({1: 1}))
    monkeypatch.setattr(errands, "SEARCH", Choice({"vain": 1, "found": 1, "ask": 1, "elsewhere": 1}))
    monkeypatch.setattr(plan, "PERSON", ranked(plan.PERSON.options[:4]))
    monkeypatch.setattr(english, "LEAD", Choice({"": 2, "Then ": 1}))
    monkeypatch.setattr(chinese, "LEAD", Choice({"": 2, "然后，": 1}))


def _story(language: type[Voice], seed: int, parts: list[str], num_steps: int) -> Scene:
    """A story told up to some step, the same each time."""
    choose, words = Chooser(0.5), Chooser(0.5)
    choose.start(2 * seed)
    words.start(2 * seed + 1)
    voice = language(words, parts)
    story = Scene(choose, voice, "morning", WEATHERS[0])
    plan.set_scene(story)
    voice.new_paragraph()
    plan.go_on(story, range(num_steps))
    return story


@VOICES
def test_openings(language: type[Voice]) -> None:
    def opening(voice: Voice, explorer: Explorer) -> None:
        weather, person = explorer.pick(plan.WEATHER), explorer.pick(plan.PERSON)
        story = Scene(explorer, voice, explorer.pick(plan.START), weather)
        voice.opening(Actor(person, story.any_place()), story.time, weather)

    _all_texts(0.5, lambda parts: language(Chooser(0.5), parts), opening)


@VOICES
@pytest.mark.parametrize("seed", range(6))
def test_what_can_happen_next(
    small_world: None, monkeypatch: pytest.MonkeyPatch, language: type[Voice], seed: int
) -> None:
    monkeypatch.setattr(steps, "MAX_THINGS", 0)  # nothing is found or lost: these have a test of their own
    stories: list[Scene] = []

    def start(parts: list[str]) -> Voice:
        stories[:] = [_story(language, seed, parts, seed % 4)]
        return stories[0].voice

    def go_on(voice: Voice, explorer: Explorer) -> None:
        stories[0].choose = explorer
        plan.go_on(stories[0], range(1))

    _all_texts(0.4, start, go_on)


@VOICES
@pytest.mark.parametrize("step", [errands.lose, steps.find])
def test_how_new_things_turn_up(
    small_world: None,
    monkeypatch: pytest.MonkeyPatch,
    language: type[Voice],
    step: Callable[[Scene, Actor], None],
) -> None:
    monkeypatch.setattr(scene, "THING", ranked(THINGS[:1]))
    monkeypatch.setattr(scene, "PLACE", ranked(PLACES[:2]))
    monkeypatch.setattr(scene, "ANYWHERE", 0b11)
    monkeypatch.setattr(english, "LEAD", Choice({"": 1}))
    monkeypatch.setattr(chinese, "LEAD", Choice({"": 1}))
    stories: list[Scene] = []

    def start(parts: list[str]) -> Voice:
        stories[:] = [_story(language, 2, parts, 1)]
        return stories[0].voice

    def go_on(voice: Voice, explorer: Explorer) -> None:
        stories[0].choose = explorer
        step(stories[0], stories[0].cast[0])

    _all_texts(0.4, start, go_on)


@VOICES
@pytest.mark.parametrize("seed", range(4))
def test_how_it_can_end(language: type[Voice], seed: int) -> None:
    stories: list[Scene] = []

    def start(parts: list[str]) -> Voice:
        stories[:] = [_story(language, seed, parts, 4)]
        return stories[0].voice

    def end(voice: Voice, explorer: Explorer) -> None:
        stories[0].choose = explorer
        plan.end(stories[0])

    _all_texts(0.7, start, end)


@VOICES
@pytest.mark.parametrize("seed", range(3))
def test_what_can_be_asked(
    small_world: None, monkeypatch: pytest.MonkeyPatch, language: type[Voice], seed: int
) -> None:
    monkeypatch.setattr(questions, "NUM_QUESTIONS", Rounds({1: 1, 2: 2}))
    stories: list[Scene] = []

    def start(parts: list[str]) -> Voice:
        stories[:] = [_story(language, seed, parts, 4)]
        return stories[0].voice

    def ask(voice: Voice, explorer: Explorer) -> None:
        stories[0].choose = explorer
        questions.ask(stories[0])

    _all_texts(0.5, start, ask)


CONFIG = ToyConfig(seed=5)


def _short(kind: str, language: str, count: int) -> list[tuple[str, float]]:
    found = [d for d in documents(CONFIG, 0, 400) if (d.labels["kind"], d.labels["language"]) == (kind, language)]
    found.sort(key=lambda d: d.num_bytes)
    return [(d.text, d.logprob or 0.0) for d in found[:count]]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["story", "questions", "lists", "sums"])
def test_a_document_read_back_has_one_derivation_of_its_probability(kind: str, language: str) -> None:
    for text, logprob in _short(kind, language, 1):
        assert derivations(text, CONFIG) == pytest.approx([logprob])


def test_what_the_language_cannot_say_has_no_derivation() -> None:
    ((text, _),) = _short("story", "en", 1)
    assert derivations(text[:-1], CONFIG) == []
    ((text, _),) = _short("lists", "en", 1)
    assert derivations(text + " ", CONFIG) == []
    assert derivations("Colourless green ideas sleep furiously.", CONFIG) == []
