"""The world of a story as its text tells it, sentence by sentence, and where the text contradicts it.

This is the reader's side: it knows nothing of the plan, only what was said. What is checked: who and what is spoken of
has been named before; pronouns have one meaning; people, things and animals are where they must be and are held by whom
they must be; what is eaten or broken is gone; numbers add up; a spot belongs to its place; in rain and snow nobody goes
out of doors; time does not go back; and the facts of the world (what each person and animal eats, what each thing is
for). Not checked: habits of the generator that are no facts, such as which event it would let follow which.

After a contradiction the sentence is taken at its word, so that one mistake counts once.
"""

from collections.abc import Sequence

from danlu.corpus.toy.lexicon import IT, SHE, Counted
from danlu.corpus.toy.sentences import Meaning, Reading
from danlu.corpus.toy.world import PLACES, Animal, Description, Noun, Person, Phrase, Place, Spot, Time, Weather

PLACE_OF: dict[Spot, Place] = {spot: place for place in PLACES for spot in place.spots}
_HOURS: tuple[Time, ...] = ("morning", "afternoon", "evening")


class Figure:
    """A person of a story, as far as it has told."""

    __slots__ = ("count", "female", "person", "place")

    def __init__(self, person: Person, place: Place | None) -> None:
        self.person = person
        self.female = person.female
        self.place = place
        """None: not told; anywhere is possible."""
        self.count: int | None = 0
        """How many of the counted things; None: not told."""


class Item:
    """A thing of a story. It is held, or lies somewhere, or is gone, or nothing is known of it."""

    __slots__ = ("about", "gifts", "gone", "holder", "known", "place", "spot")

    def __init__(self, about: Description, *, known: bool = True) -> None:
        self.about = about
        self.known = known
        """Whether the story has told where it is."""
        self.holder: Figure | None = None
        self.place: Place | None = None
        self.spot: Spot | None = None
        self.gifts: set[tuple[Figure | None, Figure]] = set()
        """Who has given it to whom."""
        self.gone = False

    def held(self, holder: Figure) -> None:
        """From now on somebody has it."""
        self.known, self.gone, self.holder, self.place, self.spot = True, False, holder, None, None

    def laid(self, place: Place | None, spot: Spot | None) -> None:
        """From now on it lies somewhere."""
        self.known, self.gone, self.holder, self.place, self.spot = True, False, None, place, spot

    def end(self) -> None:
        """From now on it is no more."""
        self.known, self.gone, self.holder, self.place, self.spot = True, True, None, None, None

    def fits(self, about: Description) -> bool:
        """Whether some words can mean it: they may leave qualities out."""
        mine = self.about
        return (
            mine.noun is about.noun
            and (about.colour is None or about.colour is mine.colour)
            and (about.other is None or about.other is mine.other)
        )


class Creature:
    """The animal of a story."""

    __slots__ = ("animal", "friend", "place")

    def __init__(self, animal: Animal, place: Place | None) -> None:
        self.animal = animal
        self.place = place
        self.friend: Figure | None = None


class Part:
    """Who and what take part in the sentence at hand. What it does not name stays None."""

    __slots__ = (
        "animals",
        "fixed",
        "number",
        "number2",
        "objects",
        "people",
        "place",
        "spot",
        "t",
        "things",
        "time",
        "weather",
        "x",
        "y",
    )

    def __init__(self) -> None:
        self.x: Figure | None = None
        self.y: Figure | None = None
        self.t: Item | Description | None = None
        self.place: Place | None = None
        self.spot: Spot | None = None
        self.weather: Weather | None = None
        self.time: Time | None = None
        self.number: Counted | None = None
        self.number2: Counted | None = None
        self.things: Sequence[Description] = ()
        self.animals: Sequence[Description] = ()
        self.objects: Sequence[Phrase | Description] = ()
        self.people: Sequence[Figure] = ()
        self.fixed: object = None


NEW = frozenset({"finds", "buys", "loses"})
"""Events whose thing is new to the story."""


class Story:
    """What a text has told so far."""

    def __init__(self) -> None:
        self.cast: dict[Person, Figure] = {}
        self.items: list[Item] = []
        self.creature: Creature | None = None
        self.counted: Noun | None = None
        self.time: Time | None = None
        self.wet: bool | None = None
        """Whether it rains or snows; None: not told."""
        self.opened = False
        self.here: Place | None = None
        """The place named last."""
        self.asked: tuple[Figure | None, Item | None, Figure | None] | None = None
        """Who has asked whom for what in the sentence before."""
        self.lost: dict[int, Figure] = {}
        """Who looks for what, by the thing's identity."""
        self.thrown: tuple[Item, Figure | None] | None = None
        self.subject: Figure | None = None
        self.other: Figure | None = None
        self.it: Item | None = None
        self.problems: list[str] = []
        """What the sentence at hand contradicts."""
        self.events: list[tuple[object, ...]] = []
        """What was told: event and who or what took part, the same for both languages."""

    # What handlers of events use

    def need(self, holds: bool, problem: str) -> None:
        """Note a contradiction unless something holds."""
        if not holds:
            self.problems.append(problem)

    def together(self, x: Figure | None, y: Figure | None) -> None:
        """Two people must be at one place."""
        if x is None or y is None:
            return
        if x.place is None or y.place is None:
            x.place = y.place = x.place or y.place
        self.need(x.place is y.place, "apart")

    def at(self, x: Figure | None, place: Place | None) -> None:
        """Somebody must be at a place."""
        if x is None or place is None:
            return
        self.need(x.place is None or x.place is place, "elsewhere")
        x.place = place

    def beside(self, x: Figure | None, spot: Spot | None) -> None:
        """Somebody must be where a spot is."""
        if spot is not None:
            self.at(x, PLACE_OF[spot])

    def holds(self, x: Figure | None, t: Item | None) -> None:
        """Somebody must have a thing."""
        if x is not None and t is not None:
            self.need(not t.known or t.holder is x, "not held")

    def lies(self, t: Item | None, place: Place | None) -> None:
        """A thing must lie at a place."""
        if t is not None and t.known:
            self.need(t.holder is None and not t.gone and (place is None or t.place in (None, place)), "not there")

    def move(self, x: Figure | None, place: Place | None) -> None:
        """Somebody goes somewhere else."""
        if place is None:
            return
        if self.wet:
            self.need(place.indoors, "weather")
        if x is not None:
            self.need(x.place is not place, "there already")
            x.place = place
            creature = self.creature
            if creature is not None and creature.friend is x:
                creature.place = place

    def spot_at(self, spot: Spot | None, place: Place | None) -> Place | None:
        """The place of a spot, which must be the one that is named, if one is."""
        if spot is None:
            return place
        self.need(place is None or PLACE_OF[spot] is place, "spot")
        return PLACE_OF[spot]

    def beast(self, animals: object) -> Creature:
        """The story's animal, by what it is called."""
        about = animals
        assert isinstance(about, Description)
        creature = self.creature
        if creature is None or creature.animal.noun is not about.noun:
            self.problems.append("unknown animal")
            creature = self.creature = Creature(animal_of(about.noun), None)
        return creature

    # Who and what is meant

    def figure(self, value: object) -> Figure | None:
        """Whom a name or a pronoun means."""
        if isinstance(value, Person):
            found = self.cast.get(value)
            if found is None:
                self.problems.append("stranger")
                found = self.cast[value] = Figure(value, None)
            return found
        female = value == SHE
        subject, other = self.subject, self.other
        if subject is not None and subject.female is female:
            self.need(other is None or other.female is not female, "pronoun")
            return subject
        if other is not None and other.female is female:
            self.need(subject is not None, "pronoun")
            return other
        self.problems.append("pronoun")
        return None

    def item(self, value: object, event: str = "") -> Item | None:
        """What "it" or a thing's words mean; a question where it is means what is lost, a fall what was thrown."""
        if value == IT:
            self.need(self.it is not None, "pronoun")
            return self.it
        assert isinstance(value, Description)
        found = [t for t in self.items if not t.gone and t.fits(value)]
        if len(found) > 1 and event == "asks_where":
            found = [t for t in found if id(t) in self.lost] or found
        if len(found) > 1 and event == "misses" and self.thrown is not None and self.thrown[0] in found:
            found = [self.thrown[0]]
        if len(found) > 1:
            exact = [t for t in found if t.about is value]
            self.need(len(exact) == 1, "which")
            return (exact or found)[0]
        if found:
            return found[0]
        self.need(False, "gone" if any(t.fits(value) for t in self.items) else "unknown thing")
        return self.add(value, known=False)

    def add(self, about: Description, *, known: bool = True) -> Item:
        """A thing that is new to the story."""
        item = Item(about, known=known)
        self.items.append(item)
        return item

    # Reading on

    def tell(self, reading: Reading) -> list[str]:
        """Take in the next sentence.

        Returns:
            what in it contradicts what was told before, or the world; empty: nothing.
        """
        from danlu.corpus.toy.happenings import HAPPENINGS

        self.problems = []
        if reading.time is not None:
            self._turn(reading.time)
        meaning = self._meant(reading)
        part = self._part(meaning, reading.values)
        HAPPENINGS[meaning.event](self, part)
        self.events.append((meaning.event, meaning.fixed, *_gist(part)))
        if meaning.event != "asks_for":
            self.asked = None
        if part.spot is not None:
            self.here = PLACE_OF[part.spot]
        elif part.place is not None:
            self.here = part.place
        mind = [self._remembered(name, part) for name in meaning.memory]
        self.subject, self.other = mind[0], mind[1]  # type: ignore[assignment]
        self.it = mind[2] if isinstance(mind[2], Item) and not mind[2].gone else None
        return self.problems

    def new_paragraph(self) -> None:
        """Names come before pronouns again."""
        self.subject = self.other = self.it = None

    def _turn(self, time: Time) -> None:
        if self.time is not None:
            self.need(_HOURS.index(time) > _HOURS.index(self.time), "time")
        self.time = time

    def _meant(self, reading: Reading) -> Meaning:
        """Which of several meanings a sentence has here."""
        meanings = reading.meanings
        if len(meanings) == 1:
            return meanings[0]
        first = reading.values[0]
        known = self.cast.get(first) if isinstance(first, Person) else self.subject
        for meaning in meanings:
            if meaning.event == "meets" and known is not None:
                return meaning
            if meaning.event == "does" and known is not None and meaning.fixed is known.place:
                return meaning
        return meanings[0]

    def _part(self, meaning: Meaning, values: Sequence[object]) -> Part:
        part = Part()
        part.fixed = meaning.fixed
        event = meaning.event
        for role, value in zip(meaning.roles, values, strict=True):
            if role in ("x", "y"):
                self._take_figure(part, role, value, event)
            elif role == "t":
                what = value[0] if isinstance(value, tuple) else value
                if event in NEW and isinstance(what, Description):
                    part.t = what
                elif part.t is None:
                    part.t = self.item(what, event)
            elif role == "people":
                assert isinstance(value, tuple)
                part.people = [figure for person in value if (figure := self.figure(person)) is not None]
                if len(part.people) > 1:
                    part.x, part.y = part.people[0], part.people[1]
                    self.need(part.x is not part.y, "self")
            elif role == "objects":
                part.objects = value if isinstance(value, tuple) else (value,)
            elif role:
                setattr(part, role if role != "beast" else "animals", value)
        if part.x is not None and part.x is part.y:
            self.problems.append("self")
        return part

    def _take_figure(self, part: Part, role: str, value: object, event: str) -> None:
        already: Figure | None = getattr(part, role)
        if already is not None:  # "Mia was happy because she ...": the same again
            if not isinstance(value, Person):
                self.need(already.female is (value == SHE), "pronoun")
            return
        if isinstance(value, Person) and value not in self.cast and introduces(event, role):
            setattr(part, role, Figure(value, None))
            return
        setattr(part, role, self.figure(value))

    def _remembered(self, name: str | None, part: Part) -> Figure | Item | None:
        match name:
            case None:
                return None
            case "@subject":
                return self.subject
            case "@other":
                return self.other
            case "@it":
                return self.it
            case "only":
                return self.items[-1] if len(part.things) == 1 else None
            case "first" | "second":
                return None if len(part.people) != 2 else part.people[0 if name == "first" else 1]
        found = getattr(part, name, None)
        return found if isinstance(found, Figure | Item) else None


def introduces(event: str, role: str) -> bool:
    """Whether an event may name a person for the first time."""
    return (event == "opening" and role == "x") or (event == "joins" and role == "y")


def animal_of(noun: Noun) -> Animal:
    """The animal of a noun."""
    from danlu.corpus.toy.world import ANIMALS

    return next(animal for animal in ANIMALS if animal.noun is noun)


def _gist(part: Part) -> tuple[object, ...]:
    """What took part in an event, whatever the words: to compare two tellings."""
    t = part.t.about if isinstance(part.t, Item) else part.t
    people = (part.x and part.x.person, part.y and part.y.person, *(x.person for x in part.people))
    return (*people, t, part.spot, part.weather, part.number, part.number2, *part.things)
