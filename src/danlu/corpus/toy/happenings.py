"""What each event means to a reader: what must hold for it, and what it changes. One function an event."""

from collections.abc import Callable

from danlu.corpus.toy.truth import Creature, Figure, Item, Part, Story, animal_of
from danlu.corpus.toy.world import (
    BEDROOM,
    EDIBLE,
    FRAGILE,
    OUTDOORS,
    THROWN,
    TOY,
    UMBRELLA,
    Act,
    Description,
    Phrase,
    Place,
)

_SHOPS = ("shop", "market")


def _item(part: Part) -> Item | None:
    return part.t if isinstance(part.t, Item) else None


def _trait(s: Story, t: Item | None, trait: int) -> None:
    """A thing must be of a sort."""
    if t is not None:
        s.need(bool(t.about.noun.traits & trait), "sort")


def _under_the_sky(s: Story, t: Item | None, x: Figure | None) -> None:
    """Some things are used only out of doors."""
    if t is not None and x is not None and x.place is not None:
        s.need(not (t.about.noun.traits & OUTDOORS and x.place.indoors), "indoors")


# The scene


def opening(s: Story, p: Part) -> None:
    s.need(not s.opened, "opened again")
    s.opened = True
    _weather(s, p)
    if p.x is not None:
        s.cast.setdefault(p.x.person, p.x)
        p.x.place = p.place


def weather_is(s: Story, p: Part) -> None:
    s.need(not s.opened, "opened again")
    s.opened = True
    _weather(s, p)


def _weather(s: Story, p: Part) -> None:
    s.time = p.time or s.time
    if p.weather is not None:
        s.wet = p.weather.wet


def joins(s: Story, p: Part) -> None:
    y, place = p.y, p.place or s.here
    if y is None:
        return
    if s.cast.setdefault(y.person, y) is y and y.place is None:
        y.place = place
    else:
        s.at(y, place)


def lie(s: Story, p: Part) -> None:
    place = s.spot_at(p.spot, p.place)
    _different(s, p.things)
    for about in p.things:
        s.add(about).laid(place, p.spot)


def owns(s: Story, p: Part) -> None:
    _different(s, p.things)
    for about in p.things:
        item = s.add(about)
        if p.x is not None:
            item.held(p.x)


def _different(s: Story, things: object) -> None:
    """New things must differ in words from each other and from those that are there."""
    assert isinstance(things, tuple)
    s.need(len(set(things)) == len(things) and all(t.about not in things or t.gone for t in s.items), "twice")


# Moving, and what people do


def goes(s: Story, p: Part) -> None:
    s.move(p.x, p.place)


def follows(s: Story, p: Part) -> None:
    creature = s.beast(p.animals)
    s.need(p.x is not None and creature.friend is p.x, "no friend")
    creature.place = p.x.place if p.x is not None else None


def meets(s: Story, p: Part) -> None:
    if p.x is None:  # "Tom was there too."
        s.at(p.y, s.subject.place if s.subject is not None else s.here)
        p.x = s.subject
    else:
        s.together(p.x, p.y)


def does(s: Story, p: Part) -> None:
    assert isinstance(p.fixed, Place)
    s.need(p.place is None or p.place is p.fixed, "place")
    s.at(p.x, p.fixed)
    if p.fixed.objects:
        # A word may belong to several places ("grass"), or name a food too (蛋糕): so the words are compared.
        words = {word for phrase in p.fixed.objects for word in (phrase.en, phrase.zh)}
        said = [what.en if isinstance(what, Phrase) and what.en in words else what.zh for what in p.objects]
        s.need(set(said) <= words and len(set(said)) == len(said), "object")
    p.place = p.fixed


def person_only(s: Story, p: Part) -> None:
    """What can be said of anybody at any time."""


def naps(s: Story, p: Part) -> None:
    s.need(p.place is BEDROOM, "place")
    s.move(p.x, p.place)


# Things


def _new(s: Story, p: Part) -> Item:
    assert isinstance(p.t, Description)
    s.need(all(t.gone or t.about is not p.t for t in s.items), "twice")
    p.t = s.add(p.t)
    return p.t


def finds(s: Story, p: Part) -> None:
    item = _new(s, p)
    s.beside(p.x, p.spot)
    s.spot_at(p.spot, p.place)
    if p.x is not None:
        item.held(p.x)


def takes(s: Story, p: Part) -> None:
    t = _item(p)
    s.lies(t, p.x.place if p.x is not None else None)
    if t is not None and p.x is not None:
        t.held(p.x)


def puts(s: Story, p: Part) -> None:
    t = _item(p)
    s.holds(p.x, t)
    s.beside(p.x, p.spot)
    place = s.spot_at(p.spot, p.place)
    if t is not None:
        t.laid(place, p.spot)


def praises(s: Story, p: Part) -> None:
    s.together(p.x, p.y)
    s.holds(p.x, _item(p))


def gives(s: Story, p: Part) -> None:
    t = _item(p)
    s.holds(p.x, t)
    s.together(p.x, p.y)
    if t is not None and p.y is not None:
        t.held(p.y)
        t.gifts.add((p.x, p.y))


def two_together(s: Story, p: Part) -> None:
    """What two people do who are at one place."""
    s.together(p.x, p.y)


def shows(s: Story, p: Part) -> None:
    s.holds(p.x, _item(p))
    s.together(p.x, p.y)


def uses(s: Story, p: Part) -> None:
    t = _item(p)
    s.holds(p.x, t)
    assert isinstance(p.fixed, Act)
    if t is not None:
        s.need(t.about.noun.use is p.fixed, "use")
    _under_the_sky(s, t, p.x)


def plays(s: Story, p: Part) -> None:
    t = _item(p)
    s.together(p.x, p.y)
    _trait(s, t, TOY)
    if t is not None and t.known:
        s.need(t.holder is not None and t.holder in (p.x, p.y), "not held")
    _under_the_sky(s, t, p.x)


def laugh(s: Story, p: Part) -> None:
    s.need(s.subject is not None and s.other is not None, "pronoun")
    p.x, p.y = s.subject, s.other


def throws(s: Story, p: Part) -> None:
    t = _item(p)
    s.holds(p.x, t)
    _trait(s, t, THROWN)
    s.together(p.x, p.y)
    if t is not None:
        s.thrown = (t, p.y)


def catches(s: Story, p: Part) -> None:
    t = _item(p)
    s.need(s.thrown is not None and s.thrown[0] is t and s.thrown[1] is p.y, "not thrown")
    s.thrown = None
    if t is not None and p.y is not None:
        t.held(p.y)


def misses(s: Story, p: Part) -> None:
    t = _item(p)
    s.need(s.thrown is not None and s.thrown[0] is t and s.thrown[1] is p.y, "not thrown")
    s.thrown = None
    s.beside(p.y, p.spot)
    if t is not None:
        t.laid(s.spot_at(p.spot, None), p.spot)


def breaks(s: Story, p: Part) -> None:
    t = _item(p)
    s.holds(p.x, t)
    _trait(s, t, FRAGILE)
    if t is not None:
        t.end()


# Wishes


def wants(s: Story, p: Part) -> None:
    t = _item(p)
    s.need(t is None or p.x is None or not t.known or t.holder is not p.x, "has it")


def fetches(s: Story, p: Part) -> None:
    t = _item(p)
    s.lies(t, p.place)
    s.move(p.x, p.place)
    if t is not None and p.x is not None:
        t.held(p.x)


def asks_for(s: Story, p: Part) -> None:
    t = _item(p)
    s.holds(p.y, t)
    s.together(p.x, p.y)
    s.asked = (p.x, t, p.y)


def grants(s: Story, p: Part) -> None:
    _answers(s, p)
    if s.asked is not None:
        x, t, y = s.asked
        if t is not None and x is not None:
            t.held(x)
            t.gifts.add((y, x))


def refuses(s: Story, p: Part) -> None:
    _answers(s, p)


def _answers(s: Story, p: Part) -> None:
    s.need(s.asked is not None and s.asked[2] is p.y, "not asked")
    if s.asked is not None:
        p.x = s.asked[0]


def buys(s: Story, p: Part) -> None:
    item = _new(s, p)
    if p.place is not None:
        s.need(p.place.en in _SHOPS, "no shop")
        s.move(p.x, p.place)
    elif p.x is not None and p.x.place is not None:
        s.need(p.x.place.en in _SHOPS, "no shop")
    if p.x is not None:
        s.need(item.about.noun is p.x.person.likes, "taste")
        item.held(p.x)


def eats(s: Story, p: Part) -> None:
    t = _item(p)
    _trait(s, t, EDIBLE)
    if t is not None and t.known and p.x is not None:
        here = t.holder is p.x or (t.holder is None and t.place is not None and p.x.place in (None, t.place))
        s.need(here, "not there")
    if t is not None:
        t.end()


def goes_and_eats(s: Story, p: Part) -> None:
    t = _item(p)
    _trait(s, t, EDIBLE)
    s.lies(t, p.place)
    s.move(p.x, p.place)
    if t is not None:
        t.end()


def loses(s: Story, p: Part) -> None:
    item = _new(s, p)
    item.known = False
    if p.x is not None:
        s.lost[id(item)] = p.x


def searches(s: Story, p: Part) -> None:
    s.beside(p.x, p.spot)
    s.spot_at(p.spot, p.place)


def discovers(s: Story, p: Part) -> None:
    s.beside(p.x, p.spot)
    s.spot_at(p.spot, p.place)
    _found(s, p)


def discovers_elsewhere(s: Story, p: Part) -> None:
    s.move(p.x, p.place)
    s.spot_at(p.spot, p.place)
    _found(s, p)


def _found(s: Story, p: Part) -> None:
    t = _item(p)
    if t is None:
        return
    owner = s.lost.pop(id(t), None)
    s.need(owner is not None and owner is p.x, "not lost")
    if p.x is not None:
        t.held(p.x)


def asks_where(s: Story, p: Part) -> None:
    t = _item(p)
    s.together(p.x, p.y)
    if t is not None:
        s.need(s.lost.get(id(t)) is p.x, "not lost")


def tells_where(s: Story, p: Part) -> None:
    place = s.spot_at(p.spot, p.place)
    t = _item(p) or s.it
    s.need(t is not None and id(t) in s.lost, "not lost")
    if t is not None:
        s.lost.pop(id(t), None)
        t.laid(place, p.spot)
        p.t = t


# Counting


def has_some(s: Story, p: Part) -> None:
    assert p.number is not None
    s.need(s.counted is None, "twice")
    s.counted = p.number.noun
    if p.x is not None:
        p.x.count = p.number.number


def shares(s: Story, p: Part) -> None:
    s.together(p.x, p.y)
    number = _counted(s, p)
    if p.x is not None and p.x.count is not None:
        s.need(p.x.count >= number, "number")
        p.x.count -= number
    if p.y is not None and p.y.count is not None:
        p.y.count += number


def gains(s: Story, p: Part) -> None:
    number = _counted(s, p)
    if p.x is not None and p.x.count is not None:
        s.need(p.x.count > 0, "number")  # "more" says that there were some
        p.x.count += number


def drops(s: Story, p: Part) -> None:
    number = _counted(s, p)
    if p.x is not None and p.x.count is not None:
        s.need(p.x.count >= number, "number")
        p.x.count -= number


def tallies(s: Story, p: Part) -> None:
    for x, counted in ((p.x, p.number), (p.y, p.number2)):
        if x is None or counted is None:
            continue
        s.need(s.counted is counted.noun, "unknown thing")
        s.need(x.count in (None, counted.number), "number")
        x.count = counted.number


def _counted(s: Story, p: Part) -> int:
    assert p.number is not None
    if s.counted is not p.number.noun:
        s.need(False, "unknown thing")
        s.counted = p.number.noun
        for x in s.cast.values():
            x.count = None
    return p.number.number


# Weather and animals


def rains(s: Story, p: Part) -> None:
    s.need(not s.wet, "weather")
    s.wet = True


def shelters(s: Story, p: Part) -> None:
    t = _item(p)
    s.need(bool(s.wet), "weather")
    s.holds(p.x, t)
    _trait(s, t, UMBRELLA)


def flees(s: Story, p: Part) -> None:
    s.need(bool(s.wet), "weather")
    for x in p.people or ([p.x] if p.x is not None else []):
        s.move(x, p.place)


def clears(s: Story, p: Part) -> None:
    s.need(s.wet is not False, "weather")
    s.wet = False


def comes(s: Story, p: Part) -> None:
    s.need(s.creature is None, "twice")
    about = p.animals[0] if isinstance(p.animals, tuple) else p.animals
    assert isinstance(about, Description)
    s.need(isinstance(p.animals, Description) or len(p.animals) == 1, "twice")
    s.creature = Creature(animal_of(about.noun), p.place)


def pets(s: Story, p: Part) -> None:
    _near(s, p, s.beast(p.animals))


def _near(s: Story, p: Part, creature: Creature) -> None:
    if p.x is not None and p.x.place is not None and creature.place is not None:
        s.need(creature.place is p.x.place, "apart")


def sounds(s: Story, p: Part) -> None:
    s.need(s.beast(p.animals).animal.sound is p.fixed, "sound")


def of_beast(s: Story, p: Part) -> None:
    """What can be said of the animal at any time."""
    s.beast(p.animals)


def feeds(s: Story, p: Part) -> None:
    t, creature = _item(p), s.beast(p.animals)
    s.holds(p.x, t)
    _near(s, p, creature)
    if t is not None:
        s.need(t.about.noun is creature.animal.food, "taste")
        t.end()


def befriends(s: Story, p: Part) -> None:
    creature = s.beast(p.animals)
    _near(s, p, creature)
    creature.friend = p.x


# The end


def all_go_home(s: Story, p: Part) -> None:
    if p.x is not None:
        s.need(len(s.cast) == 1, "not alone")


def is_happy_with(s: Story, p: Part) -> None:
    s.holds(p.x, _item(p))


def is_grateful(s: Story, p: Part) -> None:
    t = _item(p)
    s.holds(p.y, t)
    if t is not None and t.known:
        s.need((p.x, p.y) in t.gifts, "no gift")


_OF_THEIR_OWN: tuple[Callable[[Story, Part], None], ...] = (
    opening, weather_is, joins, lie, owns, goes, follows, meets, does, naps, finds, takes, puts, praises, gives,
    shows, uses, plays, laugh, throws, catches, misses, breaks, wants, fetches, asks_for, grants, refuses, buys,
    eats, goes_and_eats, loses, searches, discovers, discovers_elsewhere, asks_where, tells_where, has_some,
    shares, gains, drops, tallies, rains, shelters, flees, clears, comes, pets, sounds, feeds, befriends,
    all_go_home, is_happy_with, is_grateful,
)  # fmt: skip
HAPPENINGS: dict[str, Callable[[Story, Part], None]] = {
    **{happening.__name__: happening for happening in _OF_THEIR_OWN},
    **dict.fromkeys(("tires", "rests", "rejoices", "grieves", "hungers", "is_full", "sleeps", "good_day"), person_only),
    **dict.fromkeys(("thanks", "comforts"), two_together),
    **dict.fromkeys(("beast_hungers", "beast_eats"), of_beast),
    "are_friends": person_only,
}
"""What each event means, by the name of the voice's method that tells it."""
