"""Questions about a story whose answers its world knows."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeAlias, TypeVar

from danlu.corpus.toy.chinese import Chinese
from danlu.corpus.toy.chooser import Choice, Rounds
from danlu.corpus.toy.english import English
from danlu.corpus.toy.scene import Scene
from danlu.corpus.toy.state import Actor, Thing
from danlu.corpus.toy.world import TIMES, Place, Time, Weather

NUM_QUESTIONS = Rounds({1: 1, 2: 2, 3: 2})
SHORT = Choice({False: 3, True: 2})
"""Whether an answer says no more than it must."""

S = TypeVar("S")
Words: TypeAlias = tuple[str, str, str]
"""A question, its full answer and its short one."""


def pronoun(x: Actor) -> str:
    """At the start of a sentence."""
    return "She" if x.female else "He"


def pronoun_zh(x: Actor) -> str:
    """The same in Chinese."""
    return "她" if x.female else "他"


def capital(words: str) -> str:
    """With a capital letter at the start."""
    return words[0].upper() + words[1:]


class Kind(ABC, Generic[S]):
    """A kind of question."""

    name: str

    @abstractmethod
    def subjects(self, scene: Scene) -> list[S]:
        """What this story could be asked, the likelier first."""

    @abstractmethod
    def english(self, voice: English, subject: S) -> Words:
        """The question and its answers."""

    @abstractmethod
    def chinese(self, voice: Chinese, subject: S) -> Words:
        """The same in Chinese."""


class WherePerson(Kind[Actor]):
    name = "where_person"

    def subjects(self, scene: Scene) -> list[Actor]:
        return list(scene.cast)

    def english(self, voice: English, subject: Actor) -> Words:
        name, at, was = subject.person.en, subject.place.at, voice.verbs["was"]
        return f"Where {was} {name} {voice.finally_}?", f"{name} {was} {at}.", f"{pronoun(subject)} {was} {at}."

    def chinese(self, voice: Chinese, subject: Actor) -> Words:
        name, at = subject.person.zh, subject.place.zh_at
        return f"最后{name}在哪里？", f"{name}在{at}。", f"{pronoun_zh(subject)}在{at}。"


class WhereThing(Kind[Thing]):
    name = "where_thing"

    def subjects(self, scene: Scene) -> list[Thing]:
        return [t for t in scene.things if t.place or t.holder]

    def english(self, voice: English, subject: Thing) -> Words:
        the, was = voice.exactly(subject), voice.verbs["was"]
        question = f"Where {was} {the} {voice.finally_}?"
        if subject.holder:
            name, had = subject.holder.person.en, voice.verbs["had"]
            return question, f"{name} {had} {the}.", f"{name} {had} it."
        assert subject.spot
        assert subject.place
        where = f"{was} {subject.spot.en} {subject.place.at}."
        return question, f"{capital(the)} {where}", f"It {where}"

    def chinese(self, voice: Chinese, subject: Thing) -> Words:
        the = voice.exactly(subject)
        if subject.holder:
            where = f"在{subject.holder.person.zh}手里。"
        else:
            assert subject.spot
            assert subject.place
            where = f"在{subject.place.zh}的{subject.spot.zh}。"
        return f"最后{the}在哪里？", the + where, where


class WhoHas(Kind[Thing]):
    name = "who_has"

    def subjects(self, scene: Scene) -> list[Thing]:
        return [t for t in scene.things if t.holder]

    def english(self, voice: English, subject: Thing) -> Words:
        assert subject.holder
        the, had, name = voice.exactly(subject), voice.verbs["had"], subject.holder.person.en
        return f"Who {had} {the} {voice.finally_}?", f"{name} {had} {the}.", f"{name} {had} it."

    def chinese(self, voice: Chinese, subject: Thing) -> Words:
        assert subject.holder
        the, name = voice.exactly(subject), subject.holder.person.zh
        return f"最后谁有{the}？", f"{name}有{the}。", f"{name}。"


class WhatHas(Kind[Actor]):
    name = "what_has"

    def subjects(self, scene: Scene) -> list[Actor]:
        return [x for x in scene.cast if x.things]

    def english(self, voice: English, subject: Actor) -> Words:
        name, had = subject.person.en, voice.verbs["had"]
        things = voice.listed([t.about.a for t in subject.things])
        question = f"What {voice.did} {name} have {voice.finally_}?"
        return question, f"{name} {had} {things}.", f"{pronoun(subject)} {had} {things}."

    def chinese(self, voice: Chinese, subject: Actor) -> Words:
        name, things = subject.person.zh, voice.listed([t.about.zh_a for t in subject.things])
        return f"最后{name}有什么？", f"{name}有{things}。", f"{pronoun_zh(subject)}有{things}。"


class HowMany(Kind[Actor]):
    name = "how_many"

    def subjects(self, scene: Scene) -> list[Actor]:
        return [x for x in scene.cast if x.count]

    def english(self, voice: English, subject: Actor) -> Words:
        assert voice.counted
        name, had, number = subject.person.en, voice.verbs["had"], voice.number_of(subject.count)
        question = f"How many {voice.counted.plural} {voice.did} {name} have {voice.finally_}?"
        return question, f"{name} {had} {number}.", f"{pronoun(subject)} {had} {number}."

    def chinese(self, voice: Chinese, subject: Actor) -> Words:
        noun = voice.counted
        assert noun
        name, number = subject.person.zh, voice.number_of(subject.count)
        question = f"最后{name}有几{noun.measure}{noun.zh}？"
        return question, f"{name}有{number}。", f"{pronoun_zh(subject)}有{number}。"


class WhatColour(Kind[Thing]):
    name = "colour"

    def subjects(self, scene: Scene) -> list[Thing]:
        return [t for t in scene.things if t.about.colour and not t.double]

    def english(self, voice: English, subject: Thing) -> Words:
        assert subject.about.colour
        the, is_colour = subject.about.the_short, f"{voice.verbs['was']} {subject.about.colour.en}."
        return f"What colour {voice.verbs['was']} {the}?", f"{capital(the)} {is_colour}", f"It {is_colour}"

    def chinese(self, voice: Chinese, subject: Thing) -> Words:
        assert subject.about.colour
        the, is_colour = subject.noun.zh, f"是{subject.about.colour.zh}。"
        return f"{the}是什么颜色的？", the + is_colour, is_colour


class IsIn(Kind[tuple[Actor, Place]]):
    name = "is_in"

    def subjects(self, scene: Scene) -> list[tuple[Actor, Place]]:
        here = [(x, x.place) for x in scene.cast]
        return here + [(x, place) for x in scene.cast for place in scene.visited if place is not x.place]

    def english(self, voice: English, subject: tuple[Actor, Place]) -> Words:
        x, place = subject
        she, was = pronoun(x).lower(), voice.verbs["was"]
        question = f"{capital(was)} {x.person.en} {place.at} {voice.finally_}?"
        if x.place is place:
            return question, f"Yes, {she} {was} {place.at}.", f"Yes, {she} {was}."
        return question, f"No, {she} {was} {x.place.at}.", f"No, {she} {was} not."

    def chinese(self, voice: Chinese, subject: tuple[Actor, Place]) -> Words:
        x, place = subject
        question, here = f"最后{x.person.zh}在{place.zh_at}吗？", f"{pronoun_zh(x)}在{x.place.zh_at}。"
        if x.place is place:
            return question, f"是的，{here}", "是的。"
        return question, f"不，{here}", "不在。"


class Has(Kind[tuple[Actor, Thing]]):
    name = "has"

    def subjects(self, scene: Scene) -> list[tuple[Actor, Thing]]:
        there = [t for t in scene.things if t.place or t.holder]
        yes = [(t.holder, t) for t in there if t.holder]
        return yes + [(x, t) for x in scene.cast for t in there if t.holder is not x]

    def english(self, voice: English, subject: tuple[Actor, Thing]) -> Words:
        x, t = subject
        she, did, the = pronoun(x).lower(), voice.did, voice.exactly(t)
        question = f"{capital(did)} {x.person.en} have {the} {voice.finally_}?"
        if t.holder is x:
            return question, f"Yes, {she} {voice.verbs['had']} it.", f"Yes, {she} {did}."
        if t.holder:
            return question, f"No, {t.holder.person.en} {voice.verbs['had']} it.", f"No, {she} {did} not."
        assert t.spot
        return question, f"No, it {voice.verbs['was']} {t.spot.en}.", f"No, {she} {did} not."

    def chinese(self, voice: Chinese, subject: tuple[Actor, Thing]) -> Words:
        x, t = subject
        the = voice.exactly(t)
        question = f"最后{x.person.zh}有{the}吗？"
        if t.holder is x:
            return question, f"是的，{pronoun_zh(x)}有{the}。", "是的。"
        if t.holder:
            return question, f"不，{the}在{t.holder.person.zh}手里。", "没有。"
        assert t.spot
        return question, f"不，{the}在{t.spot.zh}。", "没有。"


class Gift(Kind[tuple[Actor, Thing, Actor]]):
    """Questions about who gave what to whom."""

    def subjects(self, scene: Scene) -> list[tuple[Actor, Thing, Actor]]:
        return [(gift[0], t, gift[1]) for t, gift in scene.gifts.items() if gift]


class WhoGave(Gift):
    name = "who_gave"

    def english(self, voice: English, subject: tuple[Actor, Thing, Actor]) -> Words:
        x, t, y = subject
        gave, the = voice.verbs["gave"], voice.exactly(t)
        question = f"Who {gave} {the} to {y.person.en}?"
        return question, f"{x.person.en} {gave} {the} to {y.person.en}.", f"{x.person.en} {voice.did}."

    def chinese(self, voice: Chinese, subject: tuple[Actor, Thing, Actor]) -> Words:
        x, t, y = subject
        gave = f"把{voice.exactly(t)}给了{y.person.zh}"
        return f"谁{gave}？", f"{x.person.zh}{gave}。", f"{x.person.zh}。"


class ToWhom(Gift):
    name = "to_whom"

    def english(self, voice: English, subject: tuple[Actor, Thing, Actor]) -> Words:
        x, t, y = subject
        name, gave, the = x.person.en, voice.verbs["gave"], voice.exactly(t)
        question = f"To whom {voice.did} {name} give {the}?"
        return question, f"{name} {gave} {the} to {y.person.en}.", f"To {y.person.en}."

    def chinese(self, voice: Chinese, subject: tuple[Actor, Thing, Actor]) -> Words:
        x, t, y = subject
        gave = f"{x.person.zh}把{voice.exactly(t)}给了"
        return f"{gave}谁？", f"{gave}{y.person.zh}。", f"{y.person.zh}。"


class WhoAte(Kind[tuple[Actor, Thing]]):
    name = "who_ate"

    def subjects(self, scene: Scene) -> list[tuple[Actor, Thing]]:
        return list(scene.meals)

    def english(self, voice: English, subject: tuple[Actor, Thing]) -> Words:
        x, t = subject
        ate = f"{voice.verbs['ate']} {t.about.the}"
        return f"Who {ate}?", f"{x.person.en} {ate}.", f"{x.person.en} {voice.did}."

    def chinese(self, voice: Chinese, subject: tuple[Actor, Thing]) -> Words:
        x, t = subject
        ate = f"吃了{t.noun.zh}"
        return f"谁{ate}？", f"{x.person.zh}{ate}。", f"{x.person.zh}。"


class WhatWeather(Kind[tuple[Time, Weather]]):
    name = "weather"

    def subjects(self, scene: Scene) -> list[tuple[Time, Weather]]:
        return [(scene.start, scene.weather)]

    def english(self, voice: English, subject: tuple[Time, Weather]) -> Words:
        time, weather = subject
        was = voice.verbs["was"]
        return f"How {was} the weather that {time}?", f"The weather {was} {weather.en}.", f"It {was} {weather.en}."

    def chinese(self, voice: Chinese, subject: tuple[Time, Weather]) -> Words:
        time, weather = subject
        when = f"那天{TIMES[time]}"
        return f"{when}天气怎么样？", f"{when}{weather.zh_clause}。", f"{weather.zh_clause}。"


KINDS: tuple[Kind[Any], ...] = (
    WherePerson(),
    WhereThing(),
    WhoHas(),
    WhatHas(),
    HowMany(),
    WhatColour(),
    IsIn(),
    Has(),
    WhoGave(),
    ToWhom(),
    WhoAte(),
    WhatWeather(),
)
KIND = Choice(dict(enumerate((3, 3, 3, 2, 4, 2, 2, 2, 3, 2, 2, 1))))


def ask(scene: Scene) -> list[list[str]]:
    """Ask some questions about the story just told, none twice, and answer them.

    Returns:
        kind, question and answer of each.
    """
    choose, voice = scene.choose, scene.voice
    asked: list[list[str]] = []
    left = [kind.subjects(scene) for kind in KINDS]
    for _ in choose.rounds(NUM_QUESTIONS):
        number = choose.among(KIND, sum(1 << i for i, subjects in enumerate(left) if subjects))
        kind, subjects = KINDS[number], left[number]
        subject = subjects.pop(choose.one_of(range(len(subjects))))
        if isinstance(voice, English):
            question, full, short = kind.english(voice, subject)
        else:
            assert isinstance(voice, Chinese)
            question, full, short = kind.chinese(voice, subject)
        answer = short if voice.choose.pick(SHORT) else full
        voice.asks(question, answer)
        asked.append([kind.name, question, answer])
    return asked
