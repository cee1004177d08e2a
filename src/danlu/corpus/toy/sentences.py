"""What a sentence of the toy language tells: which event, and who and what take part in it.

The voices themselves are the grammar. Each way a voice can tell each event is written out once, as the skeleton of its
sentences; reading a sentence is looking its skeleton up. So what is read and what is written cannot part ways.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import TypeAlias, TypeVar

from danlu.corpus.toy import chinese, english
from danlu.corpus.toy.chinese import Chinese
from danlu.corpus.toy.chooser import Choice
from danlu.corpus.toy.config import Language
from danlu.corpus.toy.english import English
from danlu.corpus.toy.lexicon import HE, SHE, Skeleton, kind_of, lexicon
from danlu.corpus.toy.parse import Explorer
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import (
    ANIMALS,
    APPLE,
    COLOURS,
    COUNTED,
    MANNERS,
    PEOPLE,
    PLACES,
    PUTTINGS,
    SIZES,
    THINGS,
    TIMES,
    WEATHERS,
    Act,
    Description,
    Person,
    Phrase,
    Place,
    Time,
    describe,
)

T = TypeVar("T")
Memory: TypeAlias = tuple[str | None, str | None, str | None]
"""What a listener has in mind as subject, other and it: a part of the sentence (x, t, ...) or one of before (@it)."""

SENTENCE = re.compile(r"\n+|[^\n.?!。？！]*(?:[.?!。？！]+[\"”]?|$|(?=\n))")
"""A sentence with its closing mark, or a line's end, or what is left without a mark."""
_LEADS: dict[Language, tuple[str, ...]] = {
    "en": tuple(sorted((str(lead) for lead in english.LEAD.options if lead), key=len, reverse=True)),
    "zh": tuple(sorted((str(lead) for lead in chinese.LEAD.options if lead), key=len, reverse=True)),
}
_TIMES: dict[Language, dict[str, Time]] = {
    "en": {f"In the {time}, ": time for time in TIMES},
    "zh": {f"{zh}，": time for time, zh in TIMES.items()},
}


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that a skeleton can tell."""

    event: str
    """The name of the voice's method that tells it; `weather_is` for the weather told by itself."""
    roles: tuple[str, ...]
    """The part that each token plays, in their order."""
    memory: Memory
    """Who or what the sentence leaves in the listener's mind as subject, other and it: a part, or one of before."""
    adverb: bool
    """Whether it may begin with an adverb."""
    past: bool | None
    """The tense, in English; None where the words do not tell it."""
    fixed: Act | Place | None
    """What its words say that no token does: the act, or the place where one does it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence that the language can say, whatever the state of the story."""

    time: Time | None
    """The time of day that it begins with."""
    lead: bool
    """Whether it begins with an adverb."""
    values: tuple[object, ...]
    meanings: tuple[Meaning, ...]
    """What it can mean; most sentences mean one thing."""


@dataclass(frozen=True)
class _Case:
    """One event with who and what take part, to be told in every way."""

    event: str
    tell: Callable[[Voice], None]
    parts: dict[str, object]
    fixed: Act | Place | None = None
    memory: Memory | None = None
    """Where the general rule cannot tell what is remembered."""


class _Teller(Explorer):
    """Goes through all ways of telling, less the adverbs, which it only notes."""

    adverb = False

    def pick(self, choice: Choice[T]) -> T:
        if choice is english.LEAD or choice is chinese.LEAD:
            self.adverb = True
            return choice.options[0]
        return super().pick(choice)


def _thing(about: Description, place: Place = PLACES[0]) -> Thing:
    thing = Thing(about)
    thing.lay(place, place.spots[0])
    return thing


def _cases(x: Actor, y: Actor, z: Actor) -> Iterator[_Case]:
    """Every event with the variants that change its words. x and y are of different genders."""
    ball = describe(THINGS[0], COLOURS[0], SIZES[1])
    t, food = _thing(ball), _thing(describe(APPLE))
    garden = PLACES[0]
    spot = garden.spots[0]
    beast = Beast(ANIMALS[0], describe(ANIMALS[0].noun, COLOURS[4]), garden)
    beast.friend = x
    new: dict[str, object] = {"things": ball}

    def case(event: str, *arguments: object, fixed: Act | Place | None = None, **parts: object) -> _Case:
        return _Case(event, lambda voice: getattr(voice, event)(*arguments), parts, fixed)

    for weather in WEATHERS:
        yield case("opening", x, "morning", weather, x=x, weather=weather, time="morning")
    yield case("joins", y, x, y=y, x=x)
    for number in (1, 2, 3):
        yield _Case("lie", partial(_lie, number, ball), new, None, (None, None, "only"))
        yield _Case("owns", partial(_own, number, ball, x), {**new, "x": x}, None, ("x", None, "only"))
    for manner in MANNERS:
        yield case("goes", x, manner, x=x)
    yield case("follows", beast, x=x, beast=beast)
    yield case("meets", x, y, x=x, y=y)
    for place in PLACES:
        here = Actor(x.person, place)
        animals = [describe(ANIMALS[i].noun, COLOURS[4]) for i in (0, 1)]
        for single in place.objects or animals[:1]:
            yield case("does", here, [single], fixed=place, x=here)
        several: list[list[Phrase]] | list[list[Description]] = [animals]
        if place.objects:
            several = [list(place.objects[:2]), list(place.objects[:3])]
        for some_objects in several:
            yield case("does", here, some_objects, fixed=place, x=here)
    yield case("tires", x, x=x)
    yield case("rests", x, x=x)
    yield case("naps", x, describe(ANIMALS[0].noun, COLOURS[4]), x=x)
    yield case("finds", x, t, spot, x=x, t=t)
    yield case("takes", x, t, x=x, t=t)
    for how in PUTTINGS:
        yield case("puts", x, t, how, x=x, t=t)
    yield case("praises", y, x, t, y=y, x=x, t=t)
    for event in ("gives", "shows", "throws"):
        yield case(event, x, t, y, x=x, t=t, y=y)
    yield case("thanks", y, x, y=y, x=x)
    yield case("rejoices", x, x=x)
    yield case("grieves", x, x=x)
    yield case("comforts", y, x, y=y, x=x)
    for noun in THINGS:
        used = _thing(describe(noun))
        yield case("uses", x, used, fixed=noun.use, x=x, t=used)
    yield case("plays", x, y, t, x=x, y=y, t=t)
    yield case("laugh", x, y, x=x, y=y)
    female = Actor(next(p for p in PEOPLE if p.female and p not in (x.person, y.person)), garden)
    yield case("laugh", x if x.female else y, female, x=x, y=y)
    yield case("catches", y, t, y=y, t=t)
    yield case("misses", y, t, y=y, t=t)
    yield case("breaks", x, t, x=x, t=t)
    yield case("wants", x, t, x=x, t=t)
    yield case("fetches", x, t, x=x, t=t)
    yield case("asks_for", x, t, y, x=x, t=t, y=y)
    yield case("grants", y, x, y=y, x=x)
    yield case("refuses", y, x, y=y, x=x)
    yield case("hungers", x, x=x)
    for there in (True, False):
        yield case("buys", x, food, there, x=x, t=food)
    yield case("eats", x, food, x=x, t=food)
    yield case("goes_and_eats", x, food, x=x, t=food)
    yield case("is_full", x, x=x)
    yield case("loses", x, t, x=x, t=t)
    yield case("searches", x, spot, x=x)
    yield case("discovers", x, t, spot, x=x, t=t)
    yield case("discovers_elsewhere", x, t, spot, x=x, t=t)
    yield case("asks_where", x, t, y, x=x, t=t, y=y)
    yield case("tells_where", y, t, y=y, t=t)
    for event in ("gains", "drops"):
        yield case(event, x, 2, x=x)
    yield case("has_some", x, COUNTED[0], x=x)
    yield case("shares", x, y, 2, x=x, y=y)
    yield case("tallies", x, None, x=x)
    yield case("tallies", x, y, x=x, y=y)
    yield case("rains")
    yield case("shelters", x, t, x=x, t=t)
    yield _Case("flees", lambda voice: voice.flees([x]), {"x": x}, None, ("x", None, None))
    yield _Case("flees", lambda voice: voice.flees([x, y]), {}, None, ("first", "second", None))
    yield _Case("flees", lambda voice: voice.flees([x, y, z]), {}, None, ("first", "second", None))
    yield case("clears")
    yield case("comes", beast, beast=beast)
    yield case("pets", x, beast, x=x, beast=beast)
    for animal in ANIMALS:
        some = Beast(animal, describe(animal.noun, COLOURS[4]), garden)
        yield case("sounds", some, fixed=animal.sound, beast=some)
    yield case("beast_hungers", beast, beast=beast)
    yield case("feeds", x, t, beast, x=x, t=t, beast=beast)
    yield case("beast_eats", beast, beast=beast, x=x)
    yield case("befriends", beast, x, beast=beast, x=x)
    yield case("all_go_home", x, False)
    yield case("all_go_home", x, True, x=x)
    yield _Case("all_go_home", lambda voice: _in_the_evening(voice, x, False), {})
    yield _Case("all_go_home", lambda voice: _in_the_evening(voice, x, True), {"x": x})
    yield case("sleeps", x, x=x)
    yield case("is_happy_with", x, t, x=x, t=t)
    yield case("is_grateful", y, x, t, y=y, x=x, t=t)
    yield case("are_friends", x, y, x=x, y=y)
    yield case("good_day")


def _lie(number: int, about: Description, voice: Voice) -> None:
    voice.lie(PLACES[0].spots[0], PLACES[0], number, (Thing(about) for _ in range(number)))


def _own(number: int, about: Description, x: Actor, voice: Voice) -> None:
    voice.owns(x, number, (Thing(about) for _ in range(number)))


def _in_the_evening(voice: Voice, x: Actor, alone: bool) -> None:
    """Everyone goes home in a sentence that begins with the time, which is left out here as when it is read."""
    voice.time = "evening"
    at = len(voice.parts)
    voice.all_go_home(x, alone)
    for words in _TIMES["en" if isinstance(voice, English) else "zh"]:
        voice.parts[at] = voice.parts[at].replace(words, "", 1)


def _actors(first: Person, second: Person, third: Person) -> tuple[Actor, Actor, Actor]:
    actors = tuple(Actor(person, PLACES[0]) for person in (first, second, third))
    actors[0].count, actors[1].count = 3, 4
    return actors  # type: ignore[return-value]


class Table:
    """All skeletons of one language and what they tell."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.meanings: dict[str, list[Meaning]] = {}
        self._lexicon = lexicon(language)
        self._parts: list[str] = []
        self._teller = _Teller(1.0, self._parts)
        self._voice: Voice = (English if language == "en" else Chinese)(self._teller, self._parts)
        girl, boy, woman = PEOPLE[0], PEOPLE[1], PEOPLE[2]
        for first, second in ((girl, boy), (boy, girl)):
            x, y, z = _actors(first, second, woman)
            for case in _cases(x, y, z):
                self._tell(case, x, y)
        self.pairs = {pair for text in self.meanings for pair in pairs_of(text)}
        """The pairs of neighbouring words that occur in its sentences."""

    def _tell(self, case: _Case, x: Actor, y: Actor) -> None:
        """Note every way of telling an event, whatever the listener has in mind."""
        memory = case.memory or self._remembered(case)
        thing, part = case.parts.get("t"), case.parts.get("x")
        if isinstance(part, Actor):
            x = part
        for subject, other in ((None, None), (x, None), (y, None), (x, y), (y, x)):
            for it in (None, thing) if thing else (None,):
                for here in (None, case.fixed if isinstance(case.fixed, Place) else PLACES[0]):
                    self._tell_so(case, memory, subject, other, it, here)

    def _start(self, subject: object, other: object, it: object, here: object) -> None:
        voice = self._voice
        voice.begin()
        if isinstance(voice, English):
            voice.choose_tense()
        voice.gap = " "
        voice.counted = COUNTED[0]
        voice.subject, voice.other = subject, other  # type: ignore[assignment]
        voice.it, voice.here = it, here  # type: ignore[assignment]

    def _tell_so(
        self, case: _Case, memory: Memory, subject: object, other: object,
        it: object, here: object,
    ) -> None:  # fmt: skip
        voice, teller = self._voice, self._teller
        tense: list[bool | None] = [None]

        def generate() -> None:
            teller.adverb = False
            self._start(subject, other, it, here)
            tense[0] = voice.past if isinstance(voice, English) else None
            case.tell(voice)

        for text, _ in teller.runs(generate):
            sentences = [match.group() for match in SENTENCE.finditer(text.strip()) if match.group().strip()]
            mind = memory if case.memory else self._mind(case, memory)
            for number, sentence in enumerate(sentences):
                event, kept = case.event, mind
                if event == "opening" and len(sentences) == 2:
                    event, kept = ("weather_is", (None, None, None)) if number == 0 else ("joins", ("y", None, None))
                skeleton = self._lexicon.skeleton(plain_start(sentence.strip(), self.language))
                roles = self._roles(case, skeleton)
                if event == "joins" and case.event == "opening":
                    roles = tuple("y" if role == "x" else role for role in roles)
                self._note(skeleton.text, Meaning(event, roles, kept, teller.adverb, tense[0], case.fixed))

    def _note(self, text: str, meaning: Meaning) -> None:
        known = self.meanings.setdefault(text, [])
        for i, old in enumerate(known):
            if (old.event, old.roles, old.fixed) == (meaning.event, meaning.roles, meaning.fixed):
                past = old.past if old.past == meaning.past else None
                adverb = old.adverb or meaning.adverb
                known[i] = Meaning(old.event, old.roles, old.memory, adverb, past, old.fixed)
                return
        known.append(meaning)

    def _remembered(self, case: _Case) -> Memory:
        """What an event leaves in the listener's mind, found out by telling it to one who has other things in mind."""
        before = tuple(Actor(person, PLACES[5]) for person in PEOPLE[3:5])
        thought = Thing(describe(THINGS[1]))
        names: dict[int, str] = {id(value): role for role, value in case.parts.items()}
        names |= {id(before[0]): "@subject", id(before[1]): "@other", id(thought): "@it"}

        def generate() -> None:
            self._start(before[0], before[1], thought, PLACES[5])
            case.tell(self._voice)

        for _ in self._teller.runs(generate):
            pass
        voice = self._voice
        remembered = (voice.subject, voice.other, voice.it)
        return tuple(names.get(id(value)) if value is not None else None for value in remembered)  # type: ignore[return-value]

    def _mind(self, case: _Case, memory: Memory) -> Memory:
        """What this one way of telling leaves in the listener's mind."""
        names = {id(value): role for role, value in case.parts.items()}
        voice = self._voice
        now = (voice.subject, voice.other, voice.it)
        return tuple(  # type: ignore[return-value]
            rule if rule is not None and rule.startswith("@") else names.get(id(value))
            for rule, value in zip(memory, now, strict=True)
        )

    def _roles(self, case: _Case, skeleton: Skeleton) -> tuple[str, ...]:
        """The part that each token of a sentence plays, known by its value or its class."""
        roles = []
        actors = [(role, part) for role, part in case.parts.items() if isinstance(part, Actor)]
        values = iter(skeleton.values)
        for letter in skeleton.text:
            kind = kind_of(letter)
            if kind is None:
                continue
            value = next(values)
            match kind:
                case "P":
                    role = next((role for role, part in actors if part.person is value), "x")
                case "S" | "H" | "I":
                    gender = SHE if value == SHE else HE
                    role = next((role for role, part in actors if part.female is (gender == SHE)), "x")
                case "T" if case.event == "does":
                    role = "objects"
                case "T" | "N" | "i" | "A":
                    role = "t" if "t" in case.parts else ""  # "it began to rain"
                case "L":
                    role = "t" if "t" in case.parts else "things"
                case "t":
                    role = "beast"
                case "l":
                    role = "beast" if "beast" in case.parts else "animals"
                case "x":
                    role = "objects"
                case "Q":
                    role = "people"
                case "G" | "@":
                    role = "place"
                case "O":
                    role = "spot"
                case "W" | "V":
                    role = "weather"
                case "M":
                    role = "time"
                case "C" | "+":
                    role = "number" if "number" not in roles else "number2"
                case _:
                    raise AssertionError(kind)
            roles.append(role)
        return tuple(roles)


@cache
def table(language: Language) -> Table:
    """The table of a language, made once (in a fraction of a second)."""
    return Table(language)


def pairs_of(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of neighbouring words of a skeleton, its borders included; a Chinese character is a word."""
    words = ["", *re.findall(r"[A-Za-z']+|\S", text), ""]
    return pairwise(words)


def plain_start(sentence: str, language: Language) -> str:
    """A sentence as it would stand after an adverb: without its capital, unless that is a name's."""
    if language == "zh" or not sentence or sentence.startswith(_NAMES):
        return sentence
    return sentence[0].lower() + sentence[1:]


_NAMES = tuple(person.en for person in PEOPLE)


LONGEST = 400
"""Letters; the language's own sentences are shorter. What is longer is not read, nor looked at beyond that."""


def read(sentence: str, language: Language) -> Reading | None:
    """What a sentence tells, in itself; None: the language has no such sentence.

    A capital where none belongs, a lower-case start, an adverb before what takes none: all that is no sentence either.
    """
    return _read(sentence, language) if len(sentence) <= LONGEST else None


@lru_cache(maxsize=16384)
def _read(sentence: str, language: Language) -> Reading | None:
    rest, time, lead = sentence, None, False
    for words, name in _TIMES[language].items():
        if rest.startswith(words):
            rest, time = rest[len(words) :], name
            break
    else:
        for words in _LEADS[language]:
            if rest.startswith(words):
                rest, lead = rest[len(words) :], True
                break
    if language == "en":
        if not rest:
            return None
        if time or lead:
            if rest[0].isupper() and not rest.startswith(_NAMES):
                return None
        elif rest[0].islower():
            return None
        else:
            rest = plain_start(rest, "en")
    skeleton = lexicon(language).skeleton(rest)
    meanings = table(language).meanings.get(skeleton.text)
    if meanings and lead:
        meanings = [meaning for meaning in meanings if meaning.adverb]
    if not meanings:
        return None
    return Reading(time, lead, skeleton.values, tuple(meanings))


def familiarity(sentence: str, language: Language) -> float:
    """How far a sentence that cannot be read resembles the language: the share of its pairs of words that occur there.

    A heuristic for partial credit, in [0, 1].
    """
    return _familiarity(sentence[:LONGEST], language)


@lru_cache(maxsize=16384)
def _familiarity(sentence: str, language: Language) -> float:
    for words in (*_TIMES[language], *_LEADS[language]):
        if sentence.startswith(words):
            sentence = sentence[len(words) :]
            break
    skeleton = lexicon(language).skeleton(plain_start(sentence, language))
    known, found = table(language).pairs, list(pairs_of(skeleton.text))
    return sum(pair in known for pair in found) / len(found)


def split(text: str) -> list[str]:
    """The sentences of a text, each with its closing mark, and whatever stands without one."""
    return [piece for match in SENTENCE.finditer(text) if (piece := match.group().strip())]
