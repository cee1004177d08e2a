"""What happens: a story's world, step by step. Chance picks among what the state allows; a voice tells it.

No fact is settled before the text tells it: a thing gets its colour when it is first named, a lost hat its place when it
is found. So every choice can be read off the text, and the text's probability is that of its choices.
"""

from danlu.corpus.toy.chooser import Choice, Chooser, ranked
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import (
    ADJECTIVES,
    ANIMALS,
    BEDROOM,
    COUNTED,
    FOODS,
    INDOORS,
    PEOPLE,
    PLACES,
    THINGS,
    WEATHERS,
    Manner,
    Noun,
    Person,
    Place,
    Putting,
    Spot,
    Time,
    Weather,
    describe,
)

HERO = ranked(PEOPLE)
PLACE = ranked(PLACES)
PLACE_BIT = {place: 1 << i for i, place in enumerate(PLACES)}
THING = ranked(THINGS)
FOOD = ranked(FOODS)
FOOD_BIT = {noun: 1 << i for i, noun in enumerate(FOODS)}
SUIT = {
    kinds: ranked(adjective for kind in kinds for adjective in ADJECTIVES[kind])
    for kinds in {noun.adjectives for noun in THINGS} | {animal.noun.adjectives for animal in ANIMALS}
}
ANIMAL = ranked(ANIMALS)
COUNTABLE = ranked(COUNTED)
WEATHER = ranked(WEATHERS)
MORNING: Choice[Time] = Choice({"morning": 3, "afternoon": 1})
CAST = Choice({2: 4, 1: 1, 3: 2})
TOGETHER = Choice({True: 1, False: 1})
NUM_THINGS = Choice({1: 3, 2: 4, 3: 1})
IS_FOOD = Choice({False: 4, True: 1})
OWNED = Choice({True: 1, False: 1.5})
NUM_STEPS = Choice({3: 1, 4: 2, 5: 3, 6: 2, 7: 1})
NUM_STEPS_BRIEF = Choice({2: 1, 3: 2, 4: 3, 5: 2})
"""Steps of a story that questions follow."""
MANNER: Choice[Manner] = Choice({"go": 3, "walk": 2, "run": 1})
PUTTING: Choice[Putting] = Choice({"put": 4, "leave": 2, "hide": 1})
TOWARDS = Choice({True: 2, False: 1})
"""Whether one goes to where somebody or something is."""
YES = Choice({True: 3, False: 2})
REACTION = Choice({"thanks": 3, "rejoices": 3, "": 1})
MOOD = Choice({True: 2, False: 1})
CAUGHT = Choice({True: 2, False: 1})
SEARCH = Choice({"vain": 3, "found": 2, "ask": 4, "elsewhere": 2})
NAP = Choice({True: 1, False: 1})
AMOUNT = ranked((3, 5, 4, 6, 2, 8, 7))
FRIENDSHIP = Choice({True: 2, False: 1})
ENDING = Choice({"home": 3, "sleep": 2, "have": 3, "gift": 3, "friends": 2})
GOOD_DAY = Choice({False: 2, True: 1})

STAGE = Choice({"act": 9, "later": 2, "rain": 1, "sun": 3, "animal": 1.5})
STEP = Choice(
    {
        "go": 2.5, "do": 2, "meet": 5, "take": 5, "put": 2, "give": 4, "show": 1.5, "use": 3, "want": 3, "hunger": 1.5,
        "lose": 1.2, "find": 0.8, "play": 4, "throw": 3, "break": 0.7, "tire": 0.6, "have": 0.8, "share": 3, "gain": 1.5,
        "drop": 1, "pet": 3, "feed": 4,
    }
)  # fmt: skip
(
    GO, DO, MEET, TAKE, PUT, GIVE, SHOW, USE, WANT, HUNGER, LOSE, FIND, PLAY, THROW, BREAK, TIRE, HAVE, SHARE, GAIN, DROP,
    PET, FEED,
) = (1 << i for i in range(len(STEP.options)))  # fmt: skip
ACT, LATER, RAIN, SUN, CREATURE = (1 << i for i in range(len(STAGE.options)))
MAX_THINGS = 4
MAX_COUNT = 12
NEXT_TIME: dict[Time, Time] = {"morning": "afternoon", "afternoon": "evening"}


class Story:
    """One story's world, and the chance that moves it."""

    def __init__(self, choose: Chooser) -> None:
        self.choose = choose
        self._steps = {name: getattr(self, f"_{name}") for name in STEP.options}

    # The whole

    def tell(self, voice: Voice, *, brief: bool = False) -> None:
        """Let a story happen, told by the voice.

        Args:
            brief: shorter and without its ending, for questions to follow.
        """
        choose = self.choose
        self.voice = voice
        self.cast: list[Actor] = []
        self.things: list[Thing] = []
        self.foods = (1 << len(FOODS)) - 1
        """The bits of the foods that this story has not yet named."""
        self.beast: Beast | None = None
        self.counted: Noun | None = None
        self.gifts: dict[Thing, tuple[Actor, Actor] | None] = {}
        """Who gave a thing to whom; None where it was given more than once."""
        self.meals: list[tuple[Actor, Thing]] = []
        self.topic = "day"
        self.topic_rank = 0
        self.wet = False
        self._scene()
        voice.new_paragraph()
        self._middle(choose.pick(NUM_STEPS_BRIEF if brief else NUM_STEPS))
        if not brief:
            self._ending()

    def _scene(self) -> None:
        choose, voice = self.choose, self.voice
        self.time = choose.pick(MORNING)
        self.weather: Weather = choose.pick(WEATHER)
        self.wet = self.rained = self.weather.wet
        hero = Actor(choose.pick(HERO), self._any_place())
        self.cast.append(hero)
        voice.opening(hero, self.time, self.weather)
        for _ in range(choose.pick(CAST) - 1):
            self._join(hero)
        for _ in range(choose.pick(NUM_THINGS)):
            self._introduce()

    def _any_place(self, but: int = 0) -> Place:
        """A place where one can be in this weather, except those of the bits `but`."""
        allowed = INDOORS if self.wet else (1 << len(PLACES)) - 1
        return self.choose.among(PLACE, allowed & ~but)

    def _join(self, hero: Actor) -> None:
        choose = self.choose
        here = sum(1 << i for i, person in enumerate(PEOPLE) if any(person is x.person for x in self.cast))
        person: Person = choose.among(HERO, ((1 << len(PEOPLE)) - 1) & ~here)
        place = hero.place if choose.pick(TOGETHER) else self._any_place(PLACE_BIT[hero.place])
        actor = Actor(person, place)
        self.cast.append(actor)
        self.voice.joins(actor, hero)

    def _introduce(self) -> None:
        choose, cast = self.choose, self.cast
        thing = self._new_food(choose.among(FOOD, self.foods)) if choose.pick(IS_FOOD) else self._new_thing()
        if choose.pick(OWNED):
            owner = choose.one_of(cast)
            thing.take(owner)
            self.voice.owns(owner, thing)
        else:
            places = list(dict.fromkeys(x.place for x in cast))
            place = choose.one_of(places)
            thing.lay(place, choose.one_of(place.spots))
            self.voice.lies(thing)

    def _new_thing(self) -> Thing:
        """A thing never named before; its adjective sets it apart from those of its kind."""
        noun = self.choose.pick(THING)
        suit = SUIT[noun.adjectives]
        mask = (1 << len(suit.options)) - 1
        twins = [t for t in self.things if t.noun is noun]
        for twin in twins:
            twin.double = True
            mask &= ~(1 << suit.options.index(twin.about.adjective))  # type: ignore[arg-type]
        adjective = self.choose.among(suit, mask) if twins else self.choose.pick(suit)
        thing = Thing(describe(noun, adjective))
        thing.double = bool(twins)
        self.things.append(thing)
        return thing

    def _new_food(self, noun: Noun) -> Thing:
        self.foods &= ~FOOD_BIT.get(noun, 0)
        thing = Thing(describe(noun))
        self.things.append(thing)
        return thing

    def _middle(self, num_steps: int) -> None:
        choose, cast = self.choose, self.cast
        self.actor = cast[0]
        self.went: Actor | None = None
        """Who has just come to where they are, and has done nothing since."""
        self.met = False
        """Whether that one has greeted somebody there."""
        self.fresh: Thing | None = None
        """What has just passed into somebody's hands or been used: not put away at once, nor used again."""
        since = 0
        while num_steps:
            mask = ACT
            if since >= 2 and self.time != "evening":
                mask |= LATER
            if self.wet and since >= 1 and self.time != "evening":
                mask |= SUN
            if not self.rained and any(not x.place.indoors for x in cast):
                mask |= RAIN
            if self.beast is None and not self.wet:
                mask |= CREATURE
            stage = "act" if mask == ACT else choose.among(STAGE, mask)
            if stage == "later":
                self.time = NEXT_TIME[self.time]
                self.voice.later(self.time)
                since = 0
                continue
            if stage == "act":
                self._act()
            elif stage == "rain":
                self._rain()
            elif stage == "sun":
                self.wet = False
                self.voice.clears()
            else:
                self._creature()
            since += 1
            num_steps -= 1

    def _theme(self, topic: str, rank: int) -> None:
        """Note what the story is about: its rarest kind of event."""
        if rank > self.topic_rank:
            self.topic, self.topic_rank = topic, rank

    def _act(self) -> None:
        """Somebody, likeliest whoever acted last, does something that the state allows."""
        cast, x = self.cast, self.actor
        if len(cast) > 1:
            self.actor = x = self.choose.one_of([x, *(y for y in cast if y is not x)])
        step = self.choose.among(STEP, self._possible(x))
        self.went = None
        self._steps[step](x)

    def _possible(self, x: Actor) -> int:
        """The bits of the steps that x can take now."""
        here, held, fresh = x.place, x.things, self.fresh
        just_came = self.went is x
        others = self.others = [y for y in self.cast if y.place is here and y is not x]
        lying = self.lying = [t for t in self.things if t.place is here]
        mask = DO if x.idle else 0
        if not just_came:
            mask |= GO
            if self._wishes(x):
                mask |= WANT
        if lying:
            mask |= TAKE
        misplaced = TOY | USEFUL | OUTDOORS if here.indoors else 0
        toys = 0
        if held:
            for t in held:
                traits = t.traits
                if traits & FRAGILE:
                    mask |= BREAK
                if t is not fresh:
                    mask |= PUT
                if misplaced and traits & OUTDOORS:
                    continue
                toys |= traits
                if traits & USEFUL and t is not fresh:
                    mask |= USE
            if others:
                mask |= SHOW
                if toys & THROWN:
                    mask |= THROW
                if self._presents(x):
                    mask |= GIVE
        if others:
            if just_came and not self.met:
                mask |= MEET
            if toys & TOY or self._toys(x):
                mask |= PLAY
        if not x.fed and self._can_eat(x):
            mask |= HUNGER
        if len(self.things) < MAX_THINGS:
            mask |= FIND | LOSE
        if not x.rested:
            mask |= TIRE
        if self.counted is None:
            mask |= HAVE
        elif x.count:
            mask |= DROP
            if others:
                mask |= SHARE
            if x.count <= MAX_COUNT - 3:
                mask |= GAIN
        beast = self.beast
        if beast is not None and beast.place is here:
            if not beast.petted:
                mask |= PET
            if not beast.fed and self._can_feed(x, beast):
                mask |= FEED
        return mask
