"""What a need of somebody sets off: a chain of events, most of it a matter of course."""

from danlu.corpus.toy.chooser import Choice, ranked
from danlu.corpus.toy.scene import FOOD_BIT, PLACE_BIT, Scene
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.world import BEDROOM, EDIBLE, PLACES

GRANTED = Choice({True: 3, False: 2})
SHOP = ranked(place for name in ("shop", "market") for place in PLACES if place.en == name)
FULL = Choice({True: 1, False: 1})
SEARCH = Choice({"vain": 3, "found": 2, "ask": 4, "elsewhere": 2})
VAIN, FOUND, ASK, ELSEWHERE = 1, 2, 4, 8
GLAD = Choice({True: 2, False: 1})
NAPPED = Choice({True: 1, False: 1})
BEFRIENDED = Choice({True: 2, False: 1})


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
        scene.travel(x, y.place)
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
    food = [t for t in scene.things if t.traits & EDIBLE]
    for t in food:
        if t.holder is x:
            return t
    for t in food:
        if t.place is x.place:
            return t
    for t in food:
        if t.place is not None and scene.can_go(t.place):
            return t
    return None


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
    near = scene.others(x)
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
