"""All that a story holds at one moment, and how new things come into it."""

from collections.abc import Sequence

from danlu.corpus.toy.chooser import Choice, Chooser, ranked
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import (
    AGES,
    ANIMALS,
    COLOURS,
    FOODS,
    FURS,
    INDOORS,
    MANNERS,
    PLACES,
    SIZES,
    THINGS,
    Animal,
    Description,
    Noun,
    Place,
    Time,
    Weather,
    describe,
)

PLACE = ranked(PLACES)
PLACE_BIT = {place: 1 << i for i, place in enumerate(PLACES)}
ANYWHERE = (1 << len(PLACES)) - 1
THING = ranked(THINGS)
FOOD_BIT = {noun: 1 << i for i, noun in enumerate(FOODS)}
PALETTE = {"c": ranked(COLOURS), "f": ranked(FURS)}
OTHER = {
    "s": Choice({None: 4, **dict.fromkeys(SIZES, 1)}),
    "sa": Choice({None: 6, **dict.fromkeys(SIZES + AGES, 1)}),
}
"""What may be said of a noun beside its colour."""
PLAIN = {"sa": Choice(dict.fromkeys(SIZES + AGES, 1))}
"""What is said of a noun of which no colour is told."""
MANNER = ranked(MANNERS)
ANIMAL = ranked(ANIMALS)
MAX_THINGS = 6


class Scene:
    """The people, things and weather of a story, with the chance that moves them and the voice that tells of them."""

    def __init__(self, choose: Chooser, voice: Voice, time: Time, weather: Weather) -> None:
        self.choose = choose
        self.voice = voice
        self.time = self.start = time
        self.weather = weather
        """At the beginning."""
        self.visited: dict[Place, None] = {}
        """The places where somebody has been, in order."""
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
        """What was just taken, put or used: the same is not undone or done again at once."""

    def open_places(self, but: int = 0) -> int:
        """The bits of the places where one can go in this weather, except some."""
        return (INDOORS if self.wet else ANYWHERE) & ~but

    def any_place(self, but: int = 0) -> Place:
        """One of these places."""
        return self.choose.among(PLACE, self.open_places(but))

    def can_go(self, place: Place) -> bool:
        """Whether the weather lets people go there."""
        return place.indoors or not self.wet

    def move(self, x: Actor, place: Place) -> None:
        """Change where somebody is, before it is told."""
        x.place = place
        self.visited[place] = None
        x.idle = True
        self.went = x
        self.met = False

    def travel(self, x: Actor, place: Place) -> None:
        """Let somebody go to a place in some manner, and tell it."""
        manner = self.choose.pick(MANNER)
        self.move(x, place)
        self.voice.goes(x, manner)
        self.moved(x)

    def others(self, x: Actor) -> list[Actor]:
        """Who else is where x is."""
        return [y for y in self.cast if y.place is x.place and y is not x]

    def lying(self, x: Actor) -> list[Thing]:
        """What lies about where x is, and was not put there just now."""
        return [t for t in self.things if t.place is x.place and t is not self.fresh]

    def moved(self, x: Actor) -> None:
        """After a move was told: tell that the animal came along, if it did."""
        beast = self.beast
        if beast is not None and beast.friend is x:
            beast.place = x.place
            self.voice.follows(beast)

    def new_thing(self) -> Thing:
        """A thing never named before, at most two of a kind; colour, or size or age, sets them apart."""
        noun = self.choose.among(THING, THING.mask(but={t.noun for t in self.things if t.double}))
        twins = [t for t in self.things if t.noun is noun]
        thing = Thing(self.describe(noun, twins))
        if twins:
            thing.double = twins[0].double = True
        self.things.append(thing)
        return thing

    def describe(self, noun: Noun, twins: Sequence[Thing] = ()) -> Description:
        """A noun with qualities that chance chooses."""
        letters = noun.qualities
        palette = PALETTE.get(letters[0])
        if palette is None:
            said = [t.about.other for t in twins]
            return describe(noun, None, self.choose.among(PLAIN[letters], PLAIN[letters].mask(but=said)))
        said = [t.about.colour for t in twins]
        colour = self.choose.among(palette, palette.mask(but=said))
        other = OTHER.get(letters[1:])
        return describe(noun, colour, other and self.choose.pick(other))

    def new_food(self, noun: Noun) -> Thing:
        """A food of a kind that the story has not named."""
        self.fresh_foods &= ~FOOD_BIT.get(noun, 0)
        thing = Thing(describe(noun))
        self.things.append(thing)
        return thing

    def some_animal(self) -> tuple[Animal, Description]:
        """An animal, in the story or in somebody's mind."""
        animal = self.choose.pick(ANIMAL)
        return animal, self.describe(animal.noun)

    def is_fresh(self, food: Noun) -> bool:
        """Whether a food is still to be named in this story."""
        return all(t.noun is not food for t in self.things)

    def about(self, topic: str, rank: int) -> None:
        """Note what the story is about: the rarest kind of event in it."""
        if rank > self._topic_rank:
            self.topic, self._topic_rank = topic, rank
