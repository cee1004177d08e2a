"""Sentences of the toy language as skeletons: what names something of the world becomes a token of its class.

"Mia gave the red ball to Tom." becomes "P gave T to P.", with Mia, the red ball and Tom beside it. So a sentence can be
looked up, and reading costs the same however much the language can say. The classes of tokens:

    P a person    S she, he    H her, him    I his    i it
    A a new thing, with its article    T a known thing    N a thing without an article    a, t the same of animals
    X what one does something to at a place    G a place    @ at a place    O a spot
    W a weather    V a weather as a clause    M a time of day    C so many counted things    + so many more of them

and of lists: L of A, l of a, x of X (each of one or more), Q of P (two or more).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from danlu.corpus.toy.config import Language
from danlu.corpus.toy.world import (
    AGES,
    ANIMALS,
    BONE,
    COLOURS,
    COUNTED,
    FOODS,
    FURS,
    NUMBERS,
    NUMBERS_ZH,
    PEOPLE,
    PLACES,
    SIZES,
    THINGS,
    TIMES,
    WEATHERS,
    Description,
    Noun,
    Phrase,
    describe,
)

SHE, HE, IT = "she", "he", "it"
"""The values of pronouns."""
_OFFSET = 0xE000
"""Tokens are letters of Unicode's private use area, so that no word of a text is taken for one."""
_PRIVATE = re.compile("[\ue000-\uf8ff]")


def token(kind: str) -> str:
    """The letter that stands for a class in a skeleton."""
    return chr(_OFFSET + ord(kind))


def kind_of(letter: str) -> str | None:
    """The class that a letter of a skeleton stands for; None: it is a letter of the text."""
    number = ord(letter) - _OFFSET
    return chr(number) if 0 <= number < 256 else None


@dataclass(frozen=True, slots=True)
class Counted:
    """So many of a counted noun."""

    number: int
    noun: Noun


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A sentence with its tokens taken out."""

    text: str
    """The words that remain, with a letter of the private use area for each token or list."""
    values: tuple[object, ...]
    """What those letters stand for, in order; a list is a tuple."""


def _descriptions(noun: Noun) -> Iterator[Description]:
    """A noun with all the qualities that suit it, or some of them, or none."""
    letters = noun.qualities
    colours = COLOURS if "c" in letters else FURS if "f" in letters else ()
    others = (SIZES if "s" in letters else ()) + (AGES if "a" in letters else ())
    for colour in (None, *colours):
        for other in (None, *others):
            yield describe(noun, colour, other)


def _shared() -> Iterator[tuple[str, str, str, object]]:
    """Class, English word, Chinese word and value of what both languages name alike."""
    for person in PEOPLE:
        yield "P", person.en, person.zh, person
    for place in PLACES:
        yield "@", place.at, place.zh_at, place
        yield "G", place.to, place.zh, place
        for spot in place.spots:
            yield "O", spot.en, spot.zh, spot
        for phrase in place.objects:
            yield "X", phrase.en, phrase.zh, phrase
    for weather in WEATHERS:
        yield "W", weather.en, weather.zh, weather
    for time, zh in TIMES.items():
        yield "M", time, zh, time


def _english() -> Iterator[tuple[str, str, object]]:
    for kind, en, _, value in _shared():
        yield kind, en, value
    for noun in (*THINGS, *FOODS, BONE):
        for about in _descriptions(noun):
            yield "A", about.a, about
            yield "T", about.the, about
            if noun in THINGS:
                yield "N", about.en, about
    for animal in ANIMALS:
        for about in _descriptions(animal.noun):
            yield "a", about.a, about
        yield "t", f"the {animal.noun.en}", describe(animal.noun)
    for noun in COUNTED:
        for number in range(1, len(NUMBERS)):
            name = noun.en if number == 1 else noun.plural
            yield "C", f"{NUMBERS[number]} {name}", Counted(number, noun)
            yield "+", f"{NUMBERS[number]} more {name}", Counted(number, noun)
    for kind, words, gender in (("S", ("she",), SHE), ("S", ("he",), HE), ("H", ("her",), SHE), ("H", ("him",), HE)):
        for word in words:
            yield kind, word, gender
    yield "I", "his", HE
    yield "i", "it", IT


def _chinese() -> Iterator[tuple[str, str, object]]:
    for noun in (*THINGS, *FOODS, BONE):
        for about in _descriptions(noun):
            yield "A", about.zh_a, about
            yield "T", about.zh, about
            yield "N", f"那{noun.measure}{about.zh}", about
    for kind, _, zh, value in _shared():
        yield kind, zh, value
    for weather in WEATHERS:
        yield "V", weather.zh_clause, weather
    for animal in ANIMALS:
        for about in _descriptions(animal.noun):
            yield "a", about.zh_a, about
        yield "t", animal.noun.zh, describe(animal.noun)
    for noun in COUNTED:
        for number in range(1, len(NUMBERS_ZH)):
            zh = "两" if number == 2 else NUMBERS_ZH[number]
            yield "C", f"{zh}{noun.measure}{noun.zh}", Counted(number, noun)
    for word, gender in (("她", SHE), ("他", HE)):
        yield "S", word, gender
    yield "i", "它", IT
    for word in ("她们", "他们"):  # they hold a pronoun and are none
        yield "", word, None


def _any(words: Iterable[str]) -> str:
    """A pattern for any of some words, the longest first."""
    return "|".join(map(re.escape, sorted(set(words), key=len, reverse=True)))


class Lexicon:
    """The words of one language that name something of the world."""

    def __init__(self, language: Language) -> None:
        words = _english() if language == "en" else _chinese()
        self._values: dict[str, tuple[str, object]] = {}
        for kind, word, value in words:
            self._values.setdefault(word, (kind, value))
        self._both = {place.zh for place in PLACES if place.zh == place.zh_at}
        """Chinese: the places that are called alike as where one is and where one goes; the context tells."""
        nouns = (*THINGS, *FOODS, BONE, *(animal.noun for animal in ANIMALS))
        simple = _any(word for word, (kind, _) in self._values.items() if kind not in ("A", "T", "N", "a", "t"))
        if language == "en":
            before, colours = _any(quality.en for quality in SIZES + AGES), _any(quality.en for quality in COLOURS)
            thing = f"(?:(?:the|an?) )?(?:(?:{before}) )?(?:(?:{colours}) )?(?:{_any(noun.en for noun in nouns)})"
            self._pattern = re.compile(rf"\b(?:{simple}|{thing})\b")
            comma, conjunction = ", ", " and "
        else:
            colours, after = _any(quality.zh for quality in COLOURS), _any(quality.zh for quality in SIZES + AGES)
            measures = _any(noun.measure for noun in nouns)
            thing = f"(?:[一那](?:{measures}))?(?:{colours})?(?:{after})?(?:{_any(noun.zh for noun in nouns)})"
            self._pattern = re.compile(f"{simple}|{thing}")
            comma, conjunction = "、", "和"
        self._lists = self._list_patterns(comma, conjunction)

    @staticmethod
    def _list_patterns(comma: str, conjunction: str) -> re.Pattern[str]:
        """A pattern that finds each list, as a group called after its class, and each token that is in none."""
        groups = []
        for many, ones in (("L", "A"), ("l", "a"), ("x", "XT"), ("Q", "P")):
            one = f"[{''.join(map(token, ones))}]"
            more = f"(?:(?:{comma}{one})*{conjunction}{one})"
            single = "" if many == "Q" else f"|{token(ones[0])}"
            groups.append(f"(?P<{many}>{one}{more}{single})")
        return re.compile("|".join([*groups, _PRIVATE.pattern]))

    def skeleton(self, sentence: str) -> Skeleton:
        """A sentence's skeleton; any string has one."""
        values: list[object] = []

        def take(match: re.Match[str]) -> str:
            found = self._values.get(match.group())
            if found is None or not found[0]:
                return match.group()
            kind, value = found
            values.append(value)
            if kind == "@" and match.group() in self._both:
                before, after = match.string[: match.start()], match.string[match.end() :]
                kind = "@" if before.endswith("在") and not after.startswith("的") else "G"
            return token(kind)

        flat = self._pattern.sub(take, _PRIVATE.sub("\ufffd", sentence))
        grouped: list[object] = []
        at = 0

        def gather(match: re.Match[str]) -> str:
            nonlocal at
            many = match.lastgroup
            if many is None:
                grouped.append(values[at])
                at += 1
                return match.group()
            members = sum(1 for letter in match.group() if kind_of(letter) is not None)
            grouped.append(tuple(values[at : at + members]))
            at += members
            return token(many)

        text = self._lists.sub(gather, flat)
        return Skeleton(text, tuple(grouped))


@cache
def lexicon(language: Language) -> Lexicon:
    """The lexicon of a language, made once."""
    return Lexicon(language)


def same_word(value: object) -> Phrase | None:
    """What a token of the class X or T means among the things one does something to at a place."""
    if isinstance(value, Phrase):
        return value
    if isinstance(value, Description):
        return next((p for place in PLACES for p in place.objects if p.zh == value.zh), None)
    return None
