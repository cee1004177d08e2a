"""All that a story holds at one moment, and how new things come into it."""

from typing import TypeAlias

from danlu.corpus.toy.chooser import ZIPF, Choice, Chooser, ranked
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import (
    AGES,
    ANIMALS,
    COLOURS,
    FOODS,
    FURS,
    INDOORS,
    PLACES,
    SIZES,
    THINGS,
    Animal,
    Description,
    Noun,
    Place,
    Quality,
    Time,
    Weather,
    describe,
)

PLACE = ranked(PLACES)
PLACE_BIT = {place: 1 << i for i, place in enumerate(PLACES)}
ANYWHERE = (1 << len(PLACES)) - 1
THING = ranked(THINGS)
FOOD_BIT = {noun: 1 << i for i, noun in enumerate(FOODS)}


_Qualities: TypeAlias = tuple[Quality | None, Quality | None]


def _qualities(letters: str) -> Choice[_Qualities]:
    """What may be said of a noun: a colour, or a size or age, or both."""
    others = (SIZES if "s" in letters else ()) + (AGES if "a" in letters else ())
    palette = COLOURS if "c" in letters else FURS if "f" in letters else ()
    alone: list[tuple[_Qualities, float]] = [((None, other), 0.2 if palette else 1.0) for other in others]
    colours = [(colour, rank**-ZIPF) for rank, colour in enumerate(palette, start=1)]
    plain: list[tuple[_Qualities, float]] = [((colour, None), weight) for colour, weight in colours]
    both: list[tuple[_Qualities, float]] = [
        ((colour, other), 0.2 * weight) for colour, weight in colours for other in others
    ]
    return Choice(plain + alone + both)


QUALITIES = {noun: _qualities(noun.qualities) for noun in (*THINGS, *(animal.noun for animal in ANIMALS))}
ANIMAL = ranked(ANIMALS)
MAX_THINGS = 4


class Scene:
    """The people, things and weather of a story, with the chance that moves them and the voice that tells of them."""

    def __init__(self, choose: Chooser, voice: Voice, time: Time, weather: Weather) -> None:
        self.choose = choose
        self.voice = voice
        self.time = time
        self.weather = weather
        """At the beginning."""
        self.wet = self.rained = weather.wet
        """It rains or snows now: nobody goes outdoors."""
        self.cast: list[Actor] = []
        self.things: list[Thing] = []
        self.fresh_foods = (1 << len(FOODS)) - 1
        """The bits of the foods not yet named."""
        self.beast: Beast | None = None
        self.counted: Noun | None = None
        self.gifts: dict[Thing, tuple[Actor, Actor] | None] = {}
        """Who gave a thing to whom; None where it was given more than once."""
        self.meals: list[tuple[Actor, Thing]] = []
        self.topic = "day"
        self._topic_rank = 0
        self.went: Actor | None = None
        """Who has just come to where they are, and has done nothing since but greet."""
        self.met = False
        """Whether that one has greeted somebody there."""
        self.fresh: Thing | None = None
        """What has just passed into somebody's hands, or been used: not put away at once, nor used again."""

    def any_place(self, but: int = 0) -> Place:
        """A place where one can go in this weather, except those of the bits `but`."""
        return self.choose.among(PLACE, (INDOORS if self.wet else ANYWHERE) & ~but)

    def can_go(self, place: Place) -> bool:
        """Whether the weather lets people go there."""
        return place.indoors or not self.wet

    def move(self, x: Actor, place: Place) -> None:
        """Change where somebody is, before it is told."""
        x.place = place
        x.idle = True
        self.went = x
        self.met = False

    def moved(self, x: Actor) -> None:
        """After a move was told: tell that the animal came along, if it did."""
        beast = self.beast
        if beast is not None and beast.friend is x:
            beast.place = x.place
            self.voice.follows(beast)

    def new_thing(self) -> Thing:
        """A thing never named before; its qualities set it apart from those of its kind."""
        noun = self.choose.pick(THING)
        suit = QUALITIES[noun]
        twins = [t for t in self.things if t.noun is noun]
        if twins:
            said = {id(quality) for t in twins for quality in (t.about.colour, t.about.other) if quality}
            mask = 0
            for i, qualities in enumerate(suit.options):
                if all(id(quality) not in said for quality in qualities):
                    mask |= 1 << i
            colour, other = self.choose.among(suit, mask)
            for twin in twins:
                twin.double = True
        else:
            colour, other = self.choose.pick(suit)
        thing = Thing(describe(noun, colour, other))
        thing.double = bool(twins)
        self.things.append(thing)
        return thing

    def new_food(self, noun: Noun) -> Thing:
        """A food of a kind that the story has not named."""
        self.fresh_foods &= ~FOOD_BIT.get(noun, 0)
        thing = Thing(describe(noun))
        self.things.append(thing)
        return thing

    def some_animal(self) -> tuple[Animal, Description]:
        """An animal, in the story or in somebody's mind."""
        animal = self.choose.pick(ANIMAL)
        return animal, describe(animal.noun, *self.choose.pick(QUALITIES[animal.noun]))

    def is_fresh(self, food: Noun) -> bool:
        """Whether a food is still to be named in this story."""
        return all(t.noun is not food for t in self.things)

    def about(self, topic: str, rank: int) -> None:
        """Note what the story is about: the rarest kind of event in it."""
        if rank > self._topic_rank:
            self.topic, self._topic_rank = topic, rank
