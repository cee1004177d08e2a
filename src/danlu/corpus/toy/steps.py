"""What one person of a story may do next, and what comes of it."""

from collections.abc import Callable

from danlu.corpus.toy.chooser import Choice, ranked
from danlu.corpus.toy.scene import FOOD_BIT, MAX_THINGS, PLACE_BIT, Scene
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.world import (
    BEDROOM,
    EDIBLE,
    FRAGILE,
    MANNERS,
    OUTDOORS,
    PLACES,
    PUTTINGS,
    THROWN,
    TOY,
    USEFUL,
    Place,
)

MAX_COUNT = 12
MANNER = ranked(MANNERS)
NUM_OBJECTS = Choice({1: 3, 2: 2, 3: 1})
NUM_ANIMALS = Choice({1: 2, 2: 1})
PUTTING = ranked(PUTTINGS)
TOWARDS = Choice({True: 2, False: 1})
"""Whether one goes to where somebody or something is."""
GRANTED = Choice({True: 3, False: 2})
REACTION = Choice({"thanks": 3, "rejoices": 3, "": 1})
LAUGHED = Choice({True: 2, False: 1})
CAUGHT = Choice({True: 2, False: 1})
COMFORTED = Choice({True: 3, False: 1})
SEARCH = Choice({"vain": 3, "found": 2, "ask": 4, "elsewhere": 2})
VAIN, FOUND, ASK, ELSEWHERE = 1, 2, 4, 8
FULL = Choice({True: 1, False: 1})
GLAD = Choice({True: 2, False: 1})
NAPPED = Choice({True: 1, False: 1})
SHOP = ranked(place for name in ("shop", "market") for place in PLACES if place.en == name)
BEFRIENDED = Choice({True: 2, False: 1})


def go(scene: Scene, x: Actor) -> None:
    targets = [y.place for y in scene.cast if y.place is not x.place]
    targets += [t.place for t in scene.things if t.place is not None and t.place is not x.place]
    places: list[Place] = [place for place in dict.fromkeys(targets) if scene.can_go(place)]
    if bool(places) and scene.choose.pick(TOWARDS):
        place = scene.choose.one_of(places)
    else:
        place = scene.any_place(PLACE_BIT[x.place] | sum(PLACE_BIT[place] for place in places))
    travel(scene, x, place)


def travel(scene: Scene, x: Actor, place: Place) -> None:
    """Go to a place in some manner, and tell it."""
    manner = scene.choose.pick(MANNER)
    scene.move(x, place)
    scene.voice.goes(x, manner)
    scene.moved(x)


def others(scene: Scene, x: Actor) -> list[Actor]:
    """Who else is where x is."""
    return [y for y in scene.cast if y.place is x.place and y is not x]


def lying(scene: Scene, x: Actor) -> list[Thing]:
    """What lies about where x is."""
    return [t for t in scene.things if t.place is x.place]


def do(scene: Scene, x: Actor) -> None:
    x.idle = False
    if x.place.objects:
        left = list(x.place.objects)
        objects = [left.pop(scene.choose.one_of(range(len(left)))) for _ in range(scene.choose.pick(NUM_OBJECTS))]
        scene.voice.does(x, objects)
    else:
        scene.voice.does(x, [scene.some_animal()[1] for _ in range(scene.choose.pick(NUM_ANIMALS))])


def meet(scene: Scene, x: Actor) -> None:
    scene.voice.meets(x, scene.choose.one_of(others(scene, x)))
    scene.went = x
    scene.met = True


def take(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of(lying(scene, x))
    t.take(x)
    scene.fresh = t
    scene.voice.takes(x, t)


def put(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of([t for t in x.things if t is not scene.fresh])
    spot = scene.choose.one_of(x.place.spots)
    how = scene.choose.pick(PUTTING)
    t.lay(x.place, spot)
    scene.voice.puts(x, t, how)


def presents(scene: Scene, x: Actor) -> list[tuple[Thing, Actor]]:
    """What x could give, and to whom: nothing goes back to its giver."""
    return [(t, y) for t in reversed(x.things) for y in others(scene, x) if t.giver is not y]


def give(scene: Scene, x: Actor) -> None:
    t, y = scene.choose.one_of(presents(scene, x))
    t.take(y)
    t.giver = x
    scene.fresh = t
    scene.gifts[t] = (x, y) if t not in scene.gifts else None
    scene.about("gift", 3)
    scene.voice.gives(x, t, y)
    reaction = scene.choose.pick(REACTION)
    if reaction == "thanks":
        scene.voice.thanks(y, x)
    elif reaction == "rejoices":
        scene.voice.rejoices(y)


def show(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of(x.things)
    scene.voice.shows(x, t, scene.choose.one_of(others(scene, x)))


def finery(scene: Scene, x: Actor) -> list[tuple[Thing, Actor]]:
    """What others here have that x could praise."""
    return [(t, y) for y in others(scene, x) for t in y.things if t.traits & USEFUL and not t.praised]


def praise(scene: Scene, x: Actor) -> None:
    t, y = scene.choose.one_of(finery(scene, x))
    t.praised = True
    scene.voice.praises(x, y, t)


def usable(scene: Scene, x: Actor) -> list[Thing]:
    """What x holds and can use here."""
    trait = USEFUL | OUTDOORS if x.place.indoors else USEFUL
    return [t for t in x.things if t.traits & trait == USEFUL and t is not scene.fresh]


def use(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of(usable(scene, x))
    scene.fresh = t
    scene.voice.uses(x, t)


def toys(scene: Scene, x: Actor) -> list[tuple[Thing, Actor]]:
    """What x could play with here, and with whom: one of the two has it."""
    trait = TOY | OUTDOORS if x.place.indoors else TOY
    return [(t, y) for y in others(scene, x) for holder in (x, y) for t in holder.things if t.traits & trait == TOY]


def play(scene: Scene, x: Actor) -> None:
    t, y = scene.choose.one_of(toys(scene, x))
    scene.about("play", 2)
    scene.voice.plays(x, y, t)
    if scene.choose.pick(LAUGHED):
        scene.voice.laugh(x, y)


def throw(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of([t for t in x.things if t.traits & THROWN])
    y = scene.choose.one_of(others(scene, x))
    scene.about("play", 2)
    scene.voice.throws(x, t, y)
    if scene.choose.pick(CAUGHT):
        t.take(y)
        scene.fresh = t
        scene.voice.catches(y, t)
    else:
        t.lay(x.place, scene.choose.one_of(x.place.spots))
        scene.voice.misses(y, t)


def break_(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of([t for t in x.things if t.traits & FRAGILE])
    t.leave()
    scene.about("accident", 4)
    scene.voice.breaks(x, t)
    scene.voice.grieves(x)
    near = others(scene, x)
    if bool(near) and scene.choose.pick(COMFORTED):
        scene.voice.comforts(scene.choose.one_of(near), x)


def wishes(scene: Scene, x: Actor) -> list[Thing]:
    """What x could want: what lies elsewhere or is in another's hands, within reach, and was not wanted before."""
    found = []
    for t in scene.things:
        holder = t.holder
        place = t.place if holder is None else holder.place
        if t.wanted or place is None or holder is x or (holder is None and place is x.place):
            continue
        if scene.can_go(place):
            found.append(t)
    return found


def want(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of(wishes(scene, x))
    t.wanted = True
    scene.about("wish", 1)
    scene.voice.wants(x, t)
    y, place = t.holder, t.place
    scene.fresh = t
    if y is None:
        assert place is not None
        scene.move(x, place)
        t.take(x)
        scene.voice.fetches(x, t)
        scene.moved(x)
        return
    if y.place is not x.place:
        travel(scene, x, y.place)
    scene.went = None
    scene.voice.asks_for(x, t, y)
    if scene.choose.pick(GRANTED):
        t.take(x)
        t.giver = y
        scene.gifts[t] = (y, x) if t not in scene.gifts else None
        scene.voice.grants(y, x)
    else:
        scene.voice.refuses(y, x)
        scene.voice.grieves(x)


def meal(scene: Scene, x: Actor) -> Thing | None:
    """What x would eat: what x holds, else what lies here, else what lies within reach."""
    near = None
    for t in scene.things:
        if t.traits & EDIBLE:
            if t.holder is x:
                return t
            place = t.place
            if place is not None and (near is None or (place is x.place and near.place is not place)):
                near = t if scene.can_go(place) else near
    return near


def can_eat(scene: Scene, x: Actor) -> bool:
    """Whether there is food for x: in the story, or to be bought."""
    return bool(scene.fresh_foods & FOOD_BIT[x.person.likes]) or meal(scene, x) is not None


def hunger(scene: Scene, x: Actor) -> None:
    voice = scene.voice
    x.fed = True
    scene.about("meal", 2)
    voice.hungers(x)
    t = meal(scene, x)
    if t is None:
        there = x.place in SHOP.options
        if not there:
            scene.move(x, SHOP.options[0] if scene.wet else scene.choose.pick(SHOP))
        t = scene.new_food(x.person.likes)
        voice.buys(x, t, there)
        if not there:
            scene.moved(x)
        voice.eats(x, t)
    elif t.place is None or t.place is x.place:
        voice.eats(x, t)
    else:
        scene.move(x, t.place)
        voice.goes_and_eats(x, t)
        scene.moved(x)
    t.leave()
    scene.meals.append((x, t))
    scene.went = None
    if scene.choose.pick(FULL):
        voice.is_full(x)


def lose(scene: Scene, x: Actor) -> None:
    choose, voice = scene.choose, scene.voice
    t = scene.new_thing()
    scene.about("search", 5)
    voice.loses(x, t)
    near = others(scene, x)
    spots = list(x.place.spots)
    mask = VAIN | FOUND | ELSEWHERE | (ASK if near else 0)
    while True:
        how = choose.among(SEARCH, mask)
        if how != "vain":
            break
        spot = choose.one_of(spots)
        spots.remove(spot)
        voice.searches(x, spot)
        if not spots:
            mask &= ~(VAIN | FOUND)
    scene.fresh = t
    if how == "found":
        t.take(x)
        voice.discovers(x, t, choose.one_of(spots))
    else:
        place = scene.any_place(PLACE_BIT[x.place])
        spot = choose.one_of(place.spots)
        if how == "ask":
            y = choose.one_of(near)
            t.lay(place, spot)
            voice.asks_where(x, t, y)
            voice.tells_where(y, t)
            scene.move(x, place)
            t.take(x)
            voice.fetches(x, t)
        else:
            scene.move(x, place)
            t.take(x)
            voice.discovers_elsewhere(x, t, spot)
        scene.moved(x)
    if choose.pick(GLAD):
        voice.rejoices(x)


def find(scene: Scene, x: Actor) -> None:
    t = scene.new_thing()
    t.take(x)
    scene.fresh = t
    scene.about("find", 1)
    scene.voice.finds(x, t, scene.choose.one_of(x.place.spots))


def tire(scene: Scene, x: Actor) -> None:
    x.rested = True
    scene.voice.tires(x)
    if x.place is BEDROOM or not scene.choose.pick(NAPPED):
        scene.voice.rests(x)
    else:
        scene.move(x, BEDROOM)
        _, dream = scene.some_animal()
        scene.voice.naps(x, dream)
        scene.moved(x)
        scene.went = None


def share(scene: Scene, x: Actor) -> None:
    y = scene.choose.one_of([y for y in others(scene, x) if y.count <= MAX_COUNT - 3])
    number = scene.choose.one_of(range(1, min(x.count, 4)))
    x.count -= number
    y.count += number
    scene.voice.shares(x, y, number)
    scene.voice.tallies(x, y)


def gain(scene: Scene, x: Actor) -> None:
    number = scene.choose.one_of(range(1, 4))
    x.count += number
    scene.voice.gains(x, number)
    scene.voice.tallies(x, None)


def drop(scene: Scene, x: Actor) -> None:
    number = scene.choose.one_of(range(1, min(x.count, 4)))
    x.count -= number
    scene.voice.drops(x, number)
    scene.voice.tallies(x, None)


def pet(scene: Scene, x: Actor) -> None:
    beast = scene.beast
    assert beast is not None
    beast.petted = True
    scene.voice.pets(x, beast)
    scene.voice.sounds(beast)


def fodder(x: Actor, beast: Beast) -> Thing | None:
    """What x holds of the food of this animal."""
    return next((t for t in x.things if t.noun is beast.animal.food), None)


def can_feed(scene: Scene, x: Actor, beast: Beast) -> bool:
    """Whether x has food for the animal, or could come upon some."""
    return fodder(x, beast) is not None or scene.is_fresh(beast.animal.food)


def feed(scene: Scene, x: Actor) -> None:
    beast, voice = scene.beast, scene.voice
    assert beast is not None
    beast.fed = True
    scene.about("feeding", 4)
    voice.beast_hungers(beast)
    t = fodder(x, beast)
    if t is None:
        t = scene.new_food(beast.animal.food)
        voice.finds(x, t, scene.choose.one_of(x.place.spots))
    t.leave()
    voice.feeds(x, t, beast)
    voice.beast_eats(beast)
    if scene.choose.pick(BEFRIENDED):
        beast.friend = x
        voice.befriends(beast, x)


STEPS: dict[str, tuple[float, Callable[[Scene, Actor], None]]] = {
    "go": (3, go),
    "do": (3, do),
    "meet": (6, meet),
    "take": (7, take),
    "put": (3, put),
    "give": (7, give),
    "show": (3, show),
    "praise": (3, praise),
    "use": (5, use),
    "play": (5, play),
    "throw": (5, throw),
    "break": (1, break_),
    "want": (2.5, want),
    "hunger": (1, hunger),
    "lose": (0.8, lose),
    "find": (1, find),
    "tire": (0.5, tire),
    "share": (6, share),
    "gain": (3, gain),
    "drop": (2, drop),
    "pet": (6, pet),
    "feed": (8, feed),
}
"""Every step, its weight and what it does."""
STEP = Choice({step: weight for weight, step in STEPS.values()})
(
    GO, DO, MEET, TAKE, PUT, GIVE, SHOW, PRAISE, USE, PLAY, THROW, BREAK, WANT, HUNGER, LOSE, FIND, TIRE, SHARE, GAIN,
    DROP, PET, FEED,
) = (1 << i for i in range(len(STEPS)))  # fmt: skip


def possible(scene: Scene, x: Actor) -> int:
    """The bits of the steps that x can take now. There is always one: who cannot go has just come, and is idle."""
    here, held = x.place, x.things
    just_came = scene.went is x
    near = others(scene, x)
    mask = DO if x.idle else 0
    if not just_came:
        mask |= GO
        if wishes(scene, x):
            mask |= WANT
    if lying(scene, x):
        mask |= TAKE
    if held:
        if usable(scene, x):
            mask |= USE
        if len(held) > 1 or held[0] is not scene.fresh:
            mask |= PUT
        traits = 0
        for t in held:
            traits |= t.traits
        if traits & FRAGILE:
            mask |= BREAK
        if near:
            mask |= SHOW
            if traits & THROWN:
                mask |= THROW
            if presents(scene, x):
                mask |= GIVE
    if near:
        if just_came and not scene.met:
            mask |= MEET
        if toys(scene, x):
            mask |= PLAY
        if finery(scene, x):
            mask |= PRAISE
    if not x.fed and can_eat(scene, x):
        mask |= HUNGER
    if len(scene.things) < MAX_THINGS:
        mask |= FIND | LOSE
    if not x.rested:
        mask |= TIRE
    if x.count:
        if x.count > 1:
            mask |= DROP
            if any(y.count <= MAX_COUNT - 3 for y in near):
                mask |= SHARE
        if x.count <= MAX_COUNT - 3:
            mask |= GAIN
    beast = scene.beast
    if beast is not None and beast.place is here:
        if not beast.petted:
            mask |= PET
        if not beast.fed and can_feed(scene, x, beast):
            mask |= FEED
    return mask
