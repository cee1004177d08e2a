"""What one person of a story may do next, and what comes of it."""

from collections.abc import Callable

from danlu.corpus.toy.chooser import Choice, ranked
from danlu.corpus.toy.errands import (
    can_eat,
    can_feed,
    feed,
    hunger,
    lose,
    tire,
    want,
    wishes,
)
from danlu.corpus.toy.scene import MAX_THINGS, PLACE_BIT, Scene
from danlu.corpus.toy.state import Actor, Thing
from danlu.corpus.toy.world import (
    FRAGILE,
    OUTDOORS,
    PUTTINGS,
    THROWN,
    TOY,
    USEFUL,
    Place,
)

MAX_COUNT = 12
NUM_OBJECTS = Choice({1: 3, 2: 2, 3: 1})
NUM_ANIMALS = Choice({1: 2, 2: 1})
PUTTING = ranked(PUTTINGS)
TOWARDS = Choice({True: 2, False: 1})
"""Whether one goes to where somebody or something is."""
REACTION = Choice({"thanks": 3, "rejoices": 3, "": 1})
LAUGHED = Choice({True: 2, False: 1})
CAUGHT = Choice({True: 2, False: 1})
COMFORTED = Choice({True: 3, False: 1})


def go(scene: Scene, x: Actor) -> None:
    targets = [y.place for y in scene.cast if y.place is not x.place]
    targets += [t.place for t in scene.things if t.place is not None and t.place is not x.place]
    places: list[Place] = [place for place in dict.fromkeys(targets) if scene.can_go(place)]
    barred = PLACE_BIT[x.place] | sum(PLACE_BIT[place] for place in places)
    if bool(places) and (not scene.open_places(barred) or scene.choose.pick(TOWARDS)):
        place = scene.choose.one_of(places)
    else:
        place = scene.any_place(barred)
    scene.travel(x, place)


def do(scene: Scene, x: Actor) -> None:
    x.idle = False
    if x.place.objects:
        left = list(x.place.objects)
        number = scene.choose.among(NUM_OBJECTS, (1 << len(left)) - 1)
        objects = [left.pop(scene.choose.one_of(range(len(left)))) for _ in range(number)]
        scene.voice.does(x, objects)
    else:
        scene.voice.does(x, [scene.some_animal()[1] for _ in range(scene.choose.pick(NUM_ANIMALS))])


def meet(scene: Scene, x: Actor) -> None:
    scene.voice.meets(x, scene.choose.one_of(scene.others(x)))
    scene.went = x
    scene.met = True


def take(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of(scene.lying(x))
    t.take(x)
    scene.fresh = t
    scene.voice.takes(x, t)


def put(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of([t for t in x.things if t is not scene.fresh])
    spot = scene.choose.one_of(x.place.spots)
    how = scene.choose.pick(PUTTING)
    t.lay(x.place, spot)
    scene.fresh = t
    scene.voice.puts(x, t, how)


def presents(scene: Scene, x: Actor) -> list[tuple[Thing, Actor]]:
    """What x could give, and to whom: nothing goes back to its giver."""
    return [(t, y) for t in reversed(x.things) for y in scene.others(x) if t.giver is not y]


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
    t = scene.choose.one_of([t for t in x.things if not t.shown])
    t.shown = True
    scene.voice.shows(x, t, scene.choose.one_of(scene.others(x)))


def finery(scene: Scene, x: Actor) -> list[tuple[Thing, Actor]]:
    """What others here have that x could praise."""
    return [(t, y) for y in scene.others(x) for t in y.things if t.traits & USEFUL and not t.praised]


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
    return [
        (t, y)
        for y in scene.others(x)
        for holder in (x, y)
        for t in holder.things
        if t.traits & trait == TOY and not t.played
    ]


def play(scene: Scene, x: Actor) -> None:
    t, y = scene.choose.one_of(toys(scene, x))
    t.played = True
    scene.about("play", 2)
    scene.voice.plays(x, y, t)
    if scene.choose.pick(LAUGHED):
        scene.voice.laugh(x, y)


def throw(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of([t for t in x.things if t.traits & THROWN])
    y = scene.choose.one_of(scene.others(x))
    scene.about("play", 2)
    scene.voice.throws(x, t, y)
    if scene.choose.pick(CAUGHT):
        t.take(y)
        scene.fresh = t
        scene.voice.catches(y, t)
    else:
        t.lay(x.place, scene.choose.one_of(x.place.spots))
        scene.voice.misses(y, t)


def break_it(scene: Scene, x: Actor) -> None:
    t = scene.choose.one_of([t for t in x.things if t.traits & FRAGILE])
    t.leave()
    scene.about("accident", 4)
    scene.voice.breaks(x, t)
    scene.voice.grieves(x)
    near = scene.others(x)
    if bool(near) and scene.choose.pick(COMFORTED):
        scene.voice.comforts(scene.choose.one_of(near), x)


def find(scene: Scene, x: Actor) -> None:
    t = scene.new_thing()
    t.take(x)
    scene.fresh = t
    scene.about("find", 1)
    scene.voice.finds(x, t, scene.choose.one_of(x.place.spots))


def share(scene: Scene, x: Actor) -> None:
    y = scene.choose.one_of([y for y in scene.others(x) if y.count <= MAX_COUNT - 3])
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


STEPS: dict[Callable[[Scene, Actor], None], float] = {
    go: 4,
    do: 4,
    meet: 6,
    take: 7,
    put: 4,
    give: 7,
    show: 3,
    praise: 3,
    use: 5,
    play: 5,
    throw: 5,
    break_it: 1,
    want: 1.5,
    hunger: 0.6,
    lose: 0.6,
    find: 1,
    tire: 0.5,
    share: 6,
    gain: 3,
    drop: 2,
    pet: 6,
    feed: 8,
}
"""Every step and its weight."""
STEP = Choice(STEPS)
_BIT = {step: 1 << i for i, step in enumerate(STEPS)}


def possible(scene: Scene, x: Actor) -> int:
    """The bits of the steps that x can take now. There is always one: who cannot go has just come, and is idle."""
    here, held = x.place, x.things
    just_came = scene.went is x
    near = scene.others(x)
    mask = _BIT[do] if x.idle else 0
    if not just_came:
        mask |= _BIT[go]
        if wishes(scene, x):
            mask |= _BIT[want]
    if scene.lying(x):
        mask |= _BIT[take]
    if held:
        if usable(scene, x):
            mask |= _BIT[use]
        if len(held) > 1 or held[0] is not scene.fresh:
            mask |= _BIT[put]
        traits = 0
        for t in held:
            traits |= t.traits
        if traits & FRAGILE:
            mask |= _BIT[break_it]
        if near:
            if any(not t.shown for t in held):
                mask |= _BIT[show]
            if traits & THROWN:
                mask |= _BIT[throw]
            if presents(scene, x):
                mask |= _BIT[give]
    if near:
        if just_came and not scene.met:
            mask |= _BIT[meet]
        if toys(scene, x):
            mask |= _BIT[play]
        if finery(scene, x):
            mask |= _BIT[praise]
    if not x.fed and can_eat(scene, x):
        mask |= _BIT[hunger]
    if len(scene.things) < MAX_THINGS:
        mask |= _BIT[find] | _BIT[lose]
    if not x.rested:
        mask |= _BIT[tire]
    if x.count:
        if x.count > 1:
            mask |= _BIT[drop]
            if any(y.count <= MAX_COUNT - 3 for y in near):
                mask |= _BIT[share]
        if x.count <= MAX_COUNT - 3:
            mask |= _BIT[gain]
    beast = scene.beast
    if beast is not None and beast.place is here:
        if not beast.petted:
            mask |= _BIT[pet]
        if not beast.fed and can_feed(scene, x, beast):
            mask |= _BIT[feed]
    return mask
