"""The course of a story: a scene, some steps, an ending.

No fact is settled before the text tells it: a thing gets its colour when it is first named, a lost hat its place when
somebody says where it is. So every choice can be read off the text.
"""

from collections.abc import Iterable

from danlu.corpus.toy.chooser import Choice, Chooser, Rounds, ranked
from danlu.corpus.toy.scene import PLACE_BIT, Scene
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.steps import STEP, possible
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import COUNTED, FOODS, PEOPLE, UMBRELLA, WEATHERS, Place, Spot, Time

PERSON = ranked(PEOPLE)
PERSON_BIT = {person: 1 << i for i, person in enumerate(PEOPLE)}
FOOD = ranked(FOODS)
WEATHER = ranked(WEATHERS)
START: Choice[Time] = Choice({"morning": 3, "afternoon": 1})
NEXT: dict[Time, Time] = {"morning": "afternoon", "afternoon": "evening"}
NUM_COMPANIONS = Rounds({1: 6, 2: 3, 0: 1})
"""People beside the hero."""
TOGETHER = Choice({True: 2, False: 1})
NUM_GROUPS = Rounds({2: 3, 3: 2, 1: 1})
"""Sentences that bring things into the scene."""
NUM_THINGS = Choice({1: 2, 2: 3, 3: 1})
"""Things in one of them."""
IS_FOOD = Choice({False: 4, True: 1})
SEVERAL = Choice({False: 4, True: 1})
COUNTABLE = ranked(COUNTED)
AMOUNT = ranked((3, 5, 4, 6, 2, 8, 7))
OWNED = Choice({True: 2, False: 3})
NUM_STEPS = Rounds({3: 1, 4: 2, 5: 3, 6: 2, 7: 1})
NUM_STEPS_BRIEF = Rounds({2: 1, 3: 2, 4: 3, 5: 2})
"""Steps of a story that questions follow."""
STAGE = Choice({"act": 12, "later": 2, "rain": 1, "sun": 3, "animal": 1.5})
ACT, LATER, RAIN, SUN, COMES = 1, 2, 4, 8, 16
ENDING = Choice({"home": 3, "sleep": 2, "have": 3, "gift": 3, "friends": 2})
HOME, SLEEP, HAVE, GIFT, FRIENDS = 1, 2, 4, 8, 16
GOOD_DAY = Choice({False: 2, True: 1})


def tell(choose: Chooser, voice: Voice, *, brief: bool = False) -> Scene:
    """Let a story happen, told by the voice.

    Args:
        choose: what happens, as against the voice's own chooser: in which words.
        brief: shorter, and without its ending, for questions to follow.

    Returns:
        the scene as it is at the end.
    """
    scene = Scene(choose, voice, choose.pick(START), choose.pick(WEATHER))
    set_scene(scene)
    voice.new_paragraph()
    go_on(scene, choose.rounds(NUM_STEPS_BRIEF if brief else NUM_STEPS))
    if not brief:
        end(scene)
    return scene


def set_scene(scene: Scene) -> None:
    """The opening: when it is, who is where, and what there is."""
    choose, cast = scene.choose, scene.cast
    hero = Actor(choose.pick(PERSON), scene.any_place())
    cast.append(hero)
    scene.visited[hero.place] = None
    scene.voice.opening(hero, scene.time, scene.weather)
    strangers = (1 << len(PEOPLE)) - 1
    for _ in choose.rounds(NUM_COMPANIONS):
        strangers &= ~PERSON_BIT[cast[-1].person]
        person = choose.among(PERSON, strangers)
        place = hero.place if choose.pick(TOGETHER) else scene.any_place(PLACE_BIT[hero.place])
        cast.append(Actor(person, place))
        scene.visited[place] = None
        scene.voice.joins(cast[-1], hero)
    for _ in choose.rounds(NUM_GROUPS):
        _introduce(scene)


def _introduce(scene: Scene) -> None:
    """New things, lying where somebody is or in somebody's hands, or several of a kind that somebody has."""
    choose = scene.choose
    if scene.counted is None and choose.pick(SEVERAL):
        owner = choose.one_of(scene.cast)
        owner.count = choose.pick(AMOUNT)
        scene.counted = choose.pick(COUNTABLE)
        scene.about("numbers", 6)
        scene.voice.has_some(owner, scene.counted)
        return
    number = choose.pick(NUM_THINGS)
    if choose.pick(OWNED):
        owner = choose.one_of(scene.cast)
        scene.voice.owns(owner, number, (_new(scene, owner, None) for _ in range(number)))
    else:
        place = choose.one_of(list(dict.fromkeys(x.place for x in scene.cast)))
        spot = choose.one_of(place.spots)
        scene.voice.lie(spot, place, number, (_new(scene, place, spot) for _ in range(number)))


def _new(scene: Scene, where: Actor | Place, spot: Spot | None) -> Thing:
    """A new thing or food in somebody's hands or at a spot; it comes to be as it is named."""
    food = scene.choose.pick(IS_FOOD)
    t = scene.new_food(scene.choose.among(FOOD, scene.fresh_foods)) if food else scene.new_thing()
    if isinstance(where, Actor):
        t.take(where)
    else:
        assert spot is not None
        t.lay(where, spot)
    return t


def go_on(scene: Scene, rounds: Iterable[int]) -> None:
    """The middle: people act, and now and then time passes, the weather turns or an animal comes."""
    choose, cast = scene.choose, scene.cast
    actor = cast[0]
    since = 0  # steps since the paragraph began
    for _ in rounds:
        mask = ACT
        if scene.time != "evening":
            if since > 1:
                mask |= LATER
            if scene.wet and since:
                mask |= SUN
        if not scene.rained and any(not x.place.indoors for x in cast):
            mask |= RAIN
        if scene.beast is None and not scene.wet:
            mask |= COMES
        stage = choose.among(STAGE, mask)
        if stage == "later":
            scene.time = NEXT[scene.time]
            scene.voice.later(scene.time)
            since = 0
            # What comes next tells the time, so it must be somebody's step.
            stage = "act"
        if stage == "act":
            if len(cast) > 1:
                actor = choose.one_of([actor, *(x for x in cast if x is not actor)])
            step = choose.among(STEP, possible(scene, actor))
            scene.went = None
            step(scene, actor)
        elif stage == "rain":
            _rain(scene)
        elif stage == "sun":
            scene.wet = False
            scene.voice.clears()
        else:
            _animal(scene, actor)
        since += 1


def _rain(scene: Scene) -> None:
    """It rains: an umbrella helps; whoever has none runs, those in one place together."""
    scene.wet = scene.rained = True
    scene.about("rain", 3)
    scene.voice.rains()
    groups: dict[object, list[Actor]] = {}
    for x in scene.cast:
        if x.place.indoors:
            continue
        umbrella = next((t for t in x.things if t.traits & UMBRELLA), None)
        if umbrella is not None:
            scene.voice.shelters(x, umbrella)
        else:
            groups.setdefault(x.place, []).append(x)
    for group in groups.values():
        shelter = scene.any_place()
        for x in group:
            scene.move(x, shelter)
        scene.voice.flees(group)
        for x in group:
            scene.moved(x)
    scene.went = None


def _animal(scene: Scene, near: Actor) -> None:
    scene.beast = Beast(*scene.some_animal(), near.place)
    scene.about("animal", 2)
    scene.voice.comes(scene.beast)


def end(scene: Scene) -> None:
    """A closing sentence that the state allows, and perhaps another."""
    choose, voice, cast = scene.choose, scene.voice, scene.cast
    owners = [x for x in cast if x.things]
    gifts = [(y, x, t) for t, gift in scene.gifts.items() if gift for x, y in (gift,) if t.holder is y]
    mask = HOME | SLEEP | (HAVE if owners else 0) | (GIFT if gifts else 0) | (FRIENDS if len(cast) > 1 else 0)
    ending = choose.among(ENDING, mask)
    if ending == "home":
        if scene.time != "evening":
            voice.later("evening")
        voice.all_go_home(cast[0], len(cast) == 1)
    elif ending == "sleep":
        voice.new_paragraph()
        voice.sleeps(choose.one_of(cast))
    elif ending == "have":
        x = choose.one_of(owners)
        voice.is_happy_with(x, choose.one_of(x.things))
    elif ending == "gift":
        voice.is_grateful(*choose.one_of(gifts))
    else:
        voice.are_friends(cast[0], choose.one_of(cast[1:]))
    if choose.pick(GOOD_DAY):
        voice.good_day()
